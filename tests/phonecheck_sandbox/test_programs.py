from __future__ import annotations

import pytest

from phonecheck_sandbox import programs
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.errors import SandboxError

ENV = {"PATH": "/bin"}


def test_on_an_ordinary_day_a_program_is_started_as_it_is():
    assert programs.as_started(["date"], ENV, Conditions()) == (["date"], ENV)


def test_where_binding_is_refused_another_program_puts_the_filter_on_and_becomes_it():
    argv, env = programs.as_started(["date", "-u"], ENV, Conditions(device_bind_refused=True))
    assert argv[-4:] == ["-m", "phonecheck_sandbox.seccomp", "date", "-u"]
    assert env == ENV


@pytest.mark.skipif(not programs.CLOCK.exists(), reason="datefudge is not installed")
@pytest.mark.parametrize(("preloaded", "joined"), [({}, ""), ({"LD_PRELOAD": "/x.so"}, "/x.so:")])
def test_a_wrong_clock_is_in_the_environment_beside_what_is_there(preloaded: dict[str, str], joined: str):
    argv, env = programs.as_started(["date"], ENV | preloaded, Conditions(device_clock=-1.5))
    assert argv == ["date"]
    assert env == ENV | {"LD_PRELOAD": f"{joined}{programs.CLOCK}", "DATEFUDGE": "129600"}


@pytest.mark.skipif(programs.CLOCK.exists(), reason="datefudge is installed")
def test_without_the_library_a_wrong_clock_is_refused_with_what_to_install():
    with pytest.raises(SandboxError, match="datefudge"):
        programs.as_started(["date"], ENV, Conditions(device_clock=1.0))
