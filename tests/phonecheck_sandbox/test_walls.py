from __future__ import annotations

import pytest

from phonecheck_sandbox import walls, world
from phonecheck_sandbox.conditions import APN_ACCESS, Conditions


def test_on_an_ordinary_day_there_are_none():
    assert walls.rules(Conditions(radio_dead=True, platform_cert="expired")) == {"carrier": "", "internet": ""}


@pytest.mark.parametrize("word", APN_ACCESS)
def test_an_apn_is_the_carriers_affair(word: str):
    rules = walls.rules(Conditions(apn_access=word))
    assert rules["internet"] == ""
    assert str(world.PORTAL) in rules["carrier"]
    assert str(world.PORTAL_6) in rules["carrier"]


def test_a_platform_that_is_down_is_so_from_outside_alone():
    rules = walls.rules(Conditions(platform_down=True))
    assert rules["carrier"] == ""
    assert f'iifname != "lo" ip daddr {world.PLATFORM} drop' in rules["internet"]
