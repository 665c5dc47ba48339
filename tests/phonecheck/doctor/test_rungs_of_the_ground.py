"""Kernel, clock, bus, polkit and ModemManager: what the modem stands on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from phonecheck.config import LinkChoice, ModemChoice, Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung
from phonecheck.doctor.ports.modem import Permission, Sight
from phonecheck.doctor.rungs import bus, clock, kernel, modem_manager, polkit
from phonecheck.errors import DeadlineExceeded, LinkError, ModemError
from phonecheck.model import Modem, ModemState

NOW = 1795490000.0  # 2026-11-24
AUTO = Settings(modem=ModemChoice(connect="auto"))
NO_MODEM = Settings(link=LinkChoice(interface="usb0"))
SILENT = ModemError("modem-manager-unavailable", "The system bus cannot be reached: it is not there.")
NOT_RUNNING = ModemError("modem-manager-unavailable", "ModemManager is not running.")


@dataclass
class Ground:
    """Kernel and bus in one: what each answers; an error is raised."""

    uname: str = "6.12.47+rpt-rpi-v8"
    refused: LinkError | None = None
    admin: bool = False
    time: float = NOW
    kept: bool | None = True
    bus_error: ModemError | None = None
    moved: bool = False
    spoken: bool = True
    verdict: str = "allowed"
    seen: Sight | ModemError | None = field(default_factory=lambda: Sight(Modem("/0"), "connect"))
    answer: str | ModemError = "1.24.0"
    there: bool = True
    runs: bool | None = True

    def release(self) -> str:
        return self.uname

    def binding_refused(self) -> LinkError | None:
        return self.refused

    def net_admin(self) -> bool:
        return self.admin

    def now(self) -> float:
        return self.time

    def synchronised(self) -> bool | None:
        return self.kept

    def reach_bus(self, deadline: Deadline) -> None:
        if self.bus_error:
            raise self.bus_error

    def bus_moved(self) -> bool:
        return self.moved

    def bus_spoken(self) -> bool:
        return self.spoken

    def permission(self, deadline: Deadline) -> Permission:
        if self.verdict == "late":
            raise DeadlineExceeded("The time allowed passed.")
        return Permission("org.example.control", self.verdict)

    def sight(self, far_enough: Any, deadline: Deadline) -> Sight | None:
        if isinstance(self.seen, ModemError):
            raise self.seen
        return self.seen

    def installed(self) -> bool:
        return self.there

    def running(self, deadline: Deadline) -> bool:
        if self.runs is None:
            raise DeadlineExceeded("The time allowed passed.")
        return self.runs

    def version(self, deadline: Deadline) -> str:
        if isinstance(self.answer, ModemError):
            raise self.answer
        return self.answer


def look(rung: Rung, settings: Settings = AUTO, **ground: Any) -> Finding:
    made = Ground(**ground)
    device = Device(settings, True, made, made, *[None] * 4)
    return rung.look(device, Deadline(5))


def test_a_new_kernel_lets_any_process_bind() -> None:
    found = look(kernel.RUNG)
    assert (found.state, found.words) == ("well", "Linux 6.12, anyone may bind; CAP_NET_ADMIN: no")
    assert found.facts == {"release": "6.12.47+rpt-rpi-v8", "may_bind": True, "net_admin": False}


def test_an_old_kernel_lets_this_process_bind_alone() -> None:
    assert (
        look(kernel.RUNG, uname="5.4.0-1", admin=True).words == "Linux 5.4, this process may bind; CAP_NET_ADMIN: yes"
    )


def test_a_release_that_says_nothing_is_shown_as_it_is() -> None:
    assert look(kernel.RUNG, uname="next").words.startswith("Linux next, anyone may bind")


def test_a_kernel_that_refuses_to_bind_is_the_failure() -> None:
    error = LinkError("bind-refused", "The kernel refuses.")
    found = look(kernel.RUNG, refused=error)
    assert (found.state, found.error, found.command) == ("failed", error, "uname -r")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (True, "synchronised"),
        (False, "not synchronised"),
        (None, "nobody says whether it is synchronised"),
    ],
)
def test_a_clock_that_may_be_right_is_well(kept: bool | None, words: str) -> None:
    found = look(clock.RUNG, kept=kept)
    assert (found.state, found.words) == ("well", f"2026-11-24 03:13 UTC, {words}")
    assert found.facts["utc"] == "2026-11-24T03:13:20Z"


@pytest.mark.parametrize(
    ("time", "says"),
    [
        (0, "1970-01-01"),
        (clock.EARLIEST - 1, "2025-12-31"),
        (clock.LATEST, "2100-01-01"),
        (-(2.0**62), "no date at all"),
        (2.0**62, "no date at all"),
    ],
)
def test_a_clock_that_cannot_be_right_is_not(time: float, says: str) -> None:
    found = look(clock.RUNG, time=time)
    assert found.error is not None
    assert found.error.code == "clock-wrong"
    assert says in found.error.message
    assert found.command == "timedatectl set-ntp true"


@pytest.mark.parametrize("time", [clock.EARLIEST, clock.LATEST - 1])
def test_the_ends_of_what_a_clock_may_say(time: float) -> None:
    assert look(clock.RUNG, time=time).state == "well"


def test_a_bus_that_answers_is_well() -> None:
    assert look(bus.RUNG).words == "answers"
    assert look(bus.RUNG, moved=True).words == "answers, where DBUS_SYSTEM_BUS_ADDRESS says"


@pytest.mark.parametrize(
    ("ground", "command"),
    [
        ({}, "systemctl start dbus"),
        ({"moved": True}, ""),
        ({"spoken": False}, "apt install python3-gi python3-pydbus"),
    ],
)
def test_a_bus_that_does_not_answer_has_its_cure(ground: dict[str, bool], command: str) -> None:
    found = look(bus.RUNG, bus_error=SILENT, **ground)
    assert (found.state, found.error, found.command) == ("failed", SILENT, command)


def test_a_link_that_is_no_modems_needs_no_bus() -> None:
    assert look(bus.RUNG, NO_MODEM, bus_error=SILENT).state == "idle"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        ("allowed", "well"),
        ("denied", "failed"),
        ("password", "failed"),
        ("absent", "unseen"),
        ("untold", "unseen"),
        ("late", "unseen"),
    ],
)
def test_polkits_word_is_the_finding(verdict: str, state: str) -> None:
    found = look(polkit.RUNG, verdict=verdict)
    assert found.state == state
    if state == "failed":
        assert found.error is not None
        assert found.error.code == "not-authorized"
        assert found.command == "pkcheck --action-id org.example.control --process $$"
        assert ("password" in found.error.message) == (verdict == "password")


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        (Settings(), Sight(Modem("/0"), "stop", NOT_RUNNING)),
        (dataclasses.replace(AUTO, link=LinkChoice(interface="usb0")), None),
        (AUTO, Sight(Modem("/0"), "use")),
    ],
    ids=["never-connects", "no-modem", "connected"],
)
def test_who_asks_nothing_of_the_modem_needs_no_permission(settings: Settings, seen: Sight | None) -> None:
    assert look(polkit.RUNG, settings, seen=seen, verdict="denied").state == "idle"


def test_permission_is_looked_at_where_the_modem_cannot_be_read() -> None:
    assert look(polkit.RUNG, seen=NOT_RUNNING, verdict="denied").state == "failed"


@pytest.mark.parametrize(("version", "words"), [("1.24.0", "ModemManager 1.24.0"), ("", "ModemManager")])
def test_a_modem_manager_tells_its_version(version: str, words: str) -> None:
    assert look(modem_manager.RUNG, answer=version).words == words


@pytest.mark.parametrize(
    ("ground", "command"),
    [
        ({"runs": False}, "systemctl start ModemManager"),
        ({"runs": True}, "systemctl restart ModemManager"),
        ({"runs": None}, "systemctl restart ModemManager"),
        ({"runs": False, "there": False}, "apt install modemmanager"),
    ],
    ids=["stopped", "hung", "hung-to-the-end", "missing"],
)
def test_a_modem_manager_that_does_not_answer_has_its_cure(ground: dict[str, bool | None], command: str) -> None:
    found = look(modem_manager.RUNG, answer=NOT_RUNNING, **ground)
    assert found.error is not None
    assert (found.error.code, found.command) == ("modem-manager-unavailable", command)
    assert ("apt" in found.error.hint) == ("apt" in command)


def test_a_modem_manager_that_refuses_this_user_is_not_restarted() -> None:
    refused = ModemError("not-authorized", "ModemManager may not be used by this user.")
    with pytest.raises(ModemError, match="may not be used"):
        look(modem_manager.RUNG, answer=refused)


def test_a_link_that_is_no_modems_needs_no_modem_manager() -> None:
    assert look(modem_manager.RUNG, NO_MODEM, answer=NOT_RUNNING).state == "idle"


def test_the_ground_is_looked_at_side_by_side() -> None:
    needs = {rung.slug: rung.needs for rung in (kernel.RUNG, clock.RUNG, bus.RUNG, polkit.RUNG, modem_manager.RUNG)}
    assert needs == {"kernel": (), "clock": (), "bus": (), "polkit": ("bus",), "modem-manager": ("bus",)}


def test_nothing_of_the_ground_costs_traffic() -> None:
    assert not any(r.traffic for r in (kernel.RUNG, clock.RUNG, bus.RUNG, polkit.RUNG, modem_manager.RUNG))


def test_a_failed_modem_is_no_reason_to_leave_permission_out() -> None:
    gone = Sight(Modem("/0", state=ModemState.FAILED), "stop", NOT_RUNNING)
    assert look(polkit.RUNG, seen=gone).state == "well"
