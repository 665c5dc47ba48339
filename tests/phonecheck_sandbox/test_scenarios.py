from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from phonecheck_sandbox import control
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.plan import Plan
from phonecheck_sandbox.scenarios import SCENARIOS, Scenario, named


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_names_only_what_there_is(name: str):
    scenario = SCENARIOS[name]
    Conditions(**scenario.conditions).check()
    kinds = get_type_hints(Plan)
    for field, value in scenario.plan.items():
        assert value in get_args(kinds[field]) or type(value) is kinds[field]
    for words in scenario.acts:
        control.parse(words.split(), scenario.plan.get("modems", 1))


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_says_what_it_does_in_one_line(name: str):
    does = SCENARIOS[name].does
    assert does.endswith(".")
    assert does.count("\n") == 0
    assert len(name) + len(does) <= 110


def test_a_name_that_is_none_is_refused_with_the_list():
    with pytest.raises(ValueError, match="phonecheck-sandbox scenarios"):
        named("sunny")


def test_what_a_plan_fixes_is_refused_by_a_running_sandbox():
    Scenario("", {"mno_loop": True}, acts=("lock-sim",)).check_running("locked")
    with pytest.raises(ValueError, match=r"modems.* --scenario pair"):
        Scenario("", plan={"modems": 2}).check_running("pair")
