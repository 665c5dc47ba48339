"""Each scenario with the agent in it: what it says, that it ends in time, and that it leaves the device as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import world
from phonecheck_sandbox.scenarios import SCENARIOS

TIMEOUT = 12
"""Seconds that each command is given; it must have ended soon after, whatever the modem does."""
TAKE_DOWN = 12
"""Seconds that taking a bearer down may take beyond it: a modem that hangs answers a disconnect late."""
NUMBER = f"+{world.SUBSCRIBER.msisdn}"


@dataclass(frozen=True)
class Case:
    """What is done in a scenario and what must come of it."""

    scenario: str
    status: int
    code: str | None = None
    words: tuple[str, ...] = ()
    settings: str = ""
    pin: str | None = None
    family: int | None = None
    changes: bool = False
    """The scenario itself changes the device while the command runs."""
    timeout: int = TIMEOUT
    """Less where all of it is waited for."""

    def __str__(self) -> str:
        how = [
            *self.words,
            *self.settings.split("\n"),
            f"pin {'right' if self.pin == '1234' else 'wrong'}" if self.pin else "",
        ]
        return " ".join([self.scenario, *filter(None, how)])


CONNECT = ("--connect", "--apn", "internet")
CASES = (
    Case("sim-locked", 4, "sim-locked"),
    Case("sim-locked", 4, "sim-locked", CONNECT),
    Case("sim-locked", 4, "pin-refused", CONNECT, pin="9999"),
    Case("sim-locked", 0, None, CONNECT, pin="1234"),
    Case("puk-locked", 4, "puk-required", CONNECT, pin="1234"),
    Case("no-sim", 4, "sim-missing", CONNECT),
    Case("unplugged", 4, "modem-not-found", CONNECT),
    Case("bus-down", 4, "modem-manager-unavailable", CONNECT),
    Case("weak-signal", 0),
    Case("modem-off", 4, "not-connected"),
    Case("modem-off", 0, None, CONNECT),
    Case("searching", 4, "not-registered"),
    Case("searching", 4, "not-registered", CONNECT, timeout=4),
    Case("denied", 4, "not-registered", CONNECT),
    Case("roaming", 4, "not-connected", CONNECT),
    Case("roaming", 0, None, CONNECT, "[modem]\nroaming = true"),
    Case("wrong-apn", 4, "connect-failed", CONNECT),
    Case("wrong-apn", 0, None, ("--connect", "--apn", "iot.example")),
    Case("refused-activation", 4, "connect-failed", CONNECT),
    Case("slow-activation", 0, None, CONNECT),
    Case("hung-activation", 4, "connect-failed", CONNECT, timeout=5),
    Case("bearer-down", 4, "not-connected"),
    Case("bearer-down", 0, None, CONNECT),
    Case("unconfigured", 0),
    Case("unconfigured", 5, "no-route", (), '[link]\nroutes = "never"'),
    Case("no-route", 0),
    Case("no-route", 5, "no-route", (), '[link]\nroutes = "never"'),
    Case("mwan3", 0),
    Case("mwan3", 5, "no-route", (), '[link]\nroutes = "never"'),
    Case("ethernet", 0),
    Case("dhcp", 0),
    Case("strict-rp-filter", 0),
    Case("strict-rp-filter", 5, "reply-filtered", (), '[link]\nroutes = "never"'),
    Case("vpn", 0),
    Case("vpn-kill-switch", 0),
    # A bound socket passes a kill switch on raw IP: with no route left, the kernel takes the peer for on-link.
    Case("vpn-kill-switch", 0, None, (), '[link]\nroutes = "never"'),
    Case("ipv6-only", 0, family=6),
    Case("dual-stack", 0),
    Case("one-family-black-holed", 0),
    Case("networkmanager", 0, None, CONNECT),
    Case("hat", 0, None, ("--interface", "usb0", "--dns", str(world.CARRIER_DNS[0]))),
    Case("polkit-denied", 4, "not-authorized", CONNECT),
    Case("manager-down", 4, "modem-manager-unavailable", CONNECT),
    Case("manager-late", 0, None, (*CONNECT, "--wait", "30"), changes=True),
    Case("drop", 5, "interface-gone", changes=True),
    Case("unplug", 5, "interface-gone", changes=True),
    Case("replug", 5, "interface-gone", changes=True),
    Case("manager-stops", 5, "interface-gone", changes=True),
    Case("manager-dies", 5, "interface-gone", changes=True),
    Case("link-lost", 5, "interface-gone", changes=True),
    Case("address-lost", 5, "interface-gone", changes=True),
    Case("device-gone", 5, "interface-gone", changes=True),
)


def test_no_scenario_is_left_out() -> None:
    started = {name for name, scenario in SCENARIOS.items() if scenario.plan or scenario.acts}
    # Of two modems, test_modem_states.py.
    assert {case.scenario for case in CASES} == started - {"two-modems"}


@pytest.fixture(scope="module")
def device_in(start_device: Any) -> Iterator[Callable[[str], Any]]:
    """The device of a scenario; kept while the next case is of the same one, for a start takes seconds."""
    with ExitStack() as running:
        now: tuple[str, Any] = ("", None)

        def get(scenario: str) -> Any:
            nonlocal now
            if scenario != now[0]:
                running.close()
                now = ("", None)
                now = (scenario, running.enter_context(start_device("--scenario", scenario)))
            return now[1]

        yield get


def state_of(device: Any) -> dict[str, Any]:
    """What must be after a run as it was before: the kernel's tables and ModemManager's bearers."""
    listed = device.run("phonecheck", "modem", "list", "--json")
    modems = json.loads(listed.stdout).get("modems", [])
    return {
        "kernel": device.box.ctl("snapshot"),
        "modems": [(m["state"], m["lock"], m["bearers"]) for m in modems],
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scenario(case: Case, device_in: Callable[[str], Any], tmp_path: Path) -> None:
    device = device_in(case.scenario)
    before = state_of(device)
    answer, seconds = run(device, case, tmp_path)
    device.assert_no_leak()
    assert (answer.status, answer.code) == (case.status, case.code), answer.stdout + answer.stderr
    assert seconds < case.timeout + TAKE_DOWN
    if case.family is not None:
        assert {hop["peer"].count(":") > 0 for hop in answer.json["hops"]} == {case.family == 6}
    assert device.run("phonecheck", "link", "cleanup").stdout == "Nothing was left behind.\n"
    if case.changes:
        return
    assert device.box.ctl("state")["ended"] == {}
    after = state_of(device)
    if case.pin == "1234" and case.status == 0:
        # An unlocked SIM stays unlocked, and its modem is what ModemManager makes of it.
        before["modems"] = after["modems"]
    if case.pin == "9999":
        before["modems"] = [("locked", "sim-pin", [])]
    if case.scenario == "networkmanager":
        # What it leaves of its own is its own: a bearer, not connected, that it takes again the next time.
        for state in (before, after):
            state["modems"] = [
                (s, lock, [b for b in bearers if b["connected"]]) for s, lock, bearers in state["modems"]
            ]
    assert after == before


def run(device: Any, case: Case, tmp_path: Path) -> tuple[Any, float]:
    text = device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
    if case.pin is not None:
        pin = tmp_path / "pin"
        pin.touch(0o600)
        pin.write_text(case.pin)
        text += f'[modem]\npin_file = "{pin}"\n'
    file = tmp_path / "agent.toml"
    file.write_text(f"{text}\n{case.settings}\n")
    device.packets(reset=True)
    started = time.monotonic()
    answer = device.phonecheck(
        "verify", NUMBER, "--timeout", case.timeout, *case.words, env={"PHONECHECK_CONFIG": str(file)}
    )
    return answer, time.monotonic() - started
