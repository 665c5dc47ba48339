"""Requests that the sandbox makes of itself, some time from now."""

from __future__ import annotations

import time
from typing import Any

import pytest


def test_a_request_is_made_when_its_time_has_come(device: Any) -> None:
    device.box.ctl("later", "0.3", "set", "radio_dead=yes")
    assert device.box.ctl("state")["conditions"]["radio_dead"] is False
    until = time.monotonic() + 10
    while not device.box.ctl("state")["conditions"]["radio_dead"]:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("soon", "drop-bearer"), "no number of seconds"),
        (("-1", "drop-bearer"), "no number of seconds"),
        (("1", "drop-bearers"), "Did you mean drop-bearer"),
        (("1", "unplug", "7"), "There is no modem '7'"),
        (("1",), "Say: ctl later"),
    ],
)
def test_what_could_not_be_made_is_told_at_once(device: Any, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        device.box.ctl("later", *words)
