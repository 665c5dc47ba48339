"""Modem, SIM, registration, signal and bearer: each judges one point of the modem's way, and leaves the others alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

import pytest

from phonecheck.config import LinkChoice, ModemChoice, Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung
from phonecheck.doctor.ports.modem import Sight
from phonecheck.doctor.rungs import bearer, modem, registration, signal, sim
from phonecheck.errors import AgentError, BearerError, DeadlineExceeded, ModemError, SimError
from phonecheck.model import (
    Bearer,
    IpConfig,
    IpMethod,
    Lock,
    Modem,
    ModemState,
    Registration,
    Sim,
)
from phonecheck.redact import Identity

RUNGS = (modem.RUNG, sim.RUNG, registration.RUNG, signal.RUNG, bearer.RUNG)
PATH = "/org/freedesktop/ModemManager1/Modem/0"
CARD = Sim("/org/freedesktop/ModemManager1/SIM/0", Identity("8944001012345678909"), operator_name="Testnet")
UP = Bearer("/B/1", "wwan0", connected=True, apn="internet", ip4=IpConfig(IpMethod.STATIC, ip_interface("10.0.0.2/30")))
READY = Modem(
    PATH,
    "/sys/usb1/1-1",
    "Quectel",
    "EC25",
    Identity("867223029999992"),
    ModemState.CONNECTED,
    lock=Lock.NONE,
    signal=67,
    technologies=("gsm", "lte"),
    registration=Registration.HOME,
    operator_code="00101",
    operator_name="Testnet",
    sim=CARD,
    bearers=(UP,),
)
REGISTERED = dataclasses.replace(READY, state=ModemState.REGISTERED, bearers=())
DISABLED = dataclasses.replace(REGISTERED, state=ModemState.DISABLED, registration=Registration.UNKNOWN, signal=None)
LOCKED = dataclasses.replace(DISABLED, state=ModemState.LOCKED, lock=Lock.SIM_PIN, retries=((Lock.SIM_PIN, 3),))
NEVER = Settings()
AUTO = Settings(modem=ModemChoice(connect="auto"))
NOT_CONNECTED = BearerError("not-connected", "No bearer is connected.")
DENIED = ModemError("not-authorized", "ModemManager may not be used by this user.")
LATE = DeadlineExceeded("The time allowed passed.")


@dataclass
class OneModem:
    """A modem whose way has three points: as it is found, then as it becomes, then its end."""

    found: Sight | AgentError | None
    then: Sight | None = None
    managed: bool = False

    def network_managers(self, deadline: Deadline) -> bool:
        return self.managed

    def modem(self) -> Modem | None:
        return self.found.modem if isinstance(self.found, Sight) else None

    def sight(self, far_enough: Callable[[Modem], bool], deadline: Deadline) -> Sight | None:
        if isinstance(self.found, AgentError):
            raise self.found
        if self.found is None or self.then is None or far_enough(self.found.modem):
            return self.found
        return self.then


def look(
    rung: Rung, found: Sight | AgentError | None, then: Sight | None = None, settings: Settings = NEVER
) -> Finding:
    return rung.look(Device(settings, True, None, OneModem(found, then), *[None] * 4), Deadline(5))


def sight(modem: Modem = READY, step: Any = "use", error: AgentError | None = None) -> Sight:
    return Sight(modem, step, error, UP if step == "use" else None)


@pytest.mark.parametrize(
    ("rung", "words"),
    [
        (modem.RUNG, "Quectel EC25, connected"),
        (sim.RUNG, "ICCID …8909, Testnet, unlocked"),
        (registration.RUNG, "home, Testnet (00101)"),
        (signal.RUNG, "67 %, lte"),
        (bearer.RUNG, "connected at wwan0, APN internet"),
    ],
)
def test_a_connected_modem_is_well_on_every_rung(rung: Rung, words: str) -> None:
    found = look(rung, sight())
    assert (found.state, found.words, found.command) == ("well", words, "")


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.slug)
def test_a_link_of_its_own_has_no_modem_to_look_at(rung: Rung) -> None:
    assert look(rung, None, settings=Settings(link=LinkChoice(interface="usb0"))).state == "idle"


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.slug)
def test_no_identity_is_shown(rung: Rung) -> None:
    for found in (look(rung, sight()), look(rung, sight(LOCKED, "stop", SimError("sim-locked", "Locked.")))):
        assert "8944001012345678909" not in repr(found)
        assert "867223029999992" not in repr(found)


def test_each_stands_on_the_one_below() -> None:
    assert [(rung.slug, rung.needs, rung.explained_by, rung.traffic) for rung in RUNGS] == [
        ("modem", ("modem-manager",), (), 0),
        ("sim", ("modem",), (), 0),
        ("registration", ("sim",), (), 0),
        ("signal", ("registration",), (), 0),
        ("bearer", ("registration", "polkit"), ("signal",), 0),
    ]


@pytest.mark.parametrize(
    ("error", "settings", "command"),
    [
        (ModemError("modem-not-found", "ModemManager knows no modem."), NEVER, "journalctl -b -u ModemManager"),
        (ModemError("modem-not-found", "None."), Settings(modem=ModemChoice(id="/x")), "phonecheck modem list"),
        (ModemError("ambiguous-modem", "2 modems fit."), NEVER, "phonecheck modem list"),
        (DENIED, NEVER, ""),
    ],
)
def test_a_modem_that_is_not_there(error: ModemError, settings: Settings, command: str) -> None:
    found = look(modem.RUNG, error, settings=settings)
    assert (found.state, found.error, found.command) == ("failed", error, command)


def test_a_modem_that_was_given_up_is_its_own_rungs_failure() -> None:
    given_up = BearerError("not-connected", "ModemManager has given the modem up.")
    found = look(modem.RUNG, sight(dataclasses.replace(READY, state=ModemState.FAILED), "stop", given_up))
    assert (found.error, found.command) == (given_up, f"mmcli -m {PATH} --reset")


def test_a_modem_without_a_sim_is_the_sims_failure() -> None:
    missing = SimError("sim-missing", "The modem has no SIM.")
    seen = sight(dataclasses.replace(READY, state=ModemState.FAILED, sim=None), "stop", missing)
    assert look(modem.RUNG, seen).state == "well"
    assert look(sim.RUNG, seen).error is missing
    assert look(sim.RUNG, seen).command == f"mmcli -m {PATH}"


def test_a_modem_with_no_name_is_called_by_its_place() -> None:
    assert look(modem.RUNG, sight(dataclasses.replace(READY, manufacturer="", model=""))).words.startswith("/sys/usb1")


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (NEVER, "phonecheck modem unlock"),
        (Settings(modem=ModemChoice(id="/s")), "phonecheck modem unlock /sys/usb1/1-1"),
    ],
)
def test_a_locked_sim_says_how_to_unlock_it(settings: Settings, command: str) -> None:
    locked = SimError("sim-locked", "The SIM is locked: it wants its PIN, with 3 tries left.")
    found = look(sim.RUNG, sight(LOCKED, "stop", locked), settings=settings)
    assert (found.state, found.error, found.command) == ("failed", locked, command)
    assert found.facts["tries_left"] == 3


def test_a_sim_that_wants_its_puk_says_so() -> None:
    blocked = dataclasses.replace(LOCKED, lock=Lock.SIM_PUK)
    found = look(sim.RUNG, sight(blocked, "stop", SimError("puk-required", "It wants its PUK.")))
    assert found.command == f"mmcli -i {CARD.path} --puk=PUK --pin=NEW-PIN"


def test_a_lock_of_the_modem_itself_is_opened_by_no_pin() -> None:
    bound = dataclasses.replace(LOCKED, lock=Lock.PH_NET_PIN)
    found = look(sim.RUNG, sight(bound, "stop", SimError("sim-locked", "The modem itself is locked.")))
    assert found.command == f"mmcli -m {PATH}"


def test_a_configured_pin_makes_a_locked_sim_well() -> None:
    assert look(sim.RUNG, sight(LOCKED, "unlock"), settings=AUTO).state == "well"
    assert look(sim.RUNG, sight(LOCKED, "unlock"), sight(DISABLED, "enable"), AUTO).words.endswith("unlocked")


def test_a_pin_that_was_refused_is_the_sims_failure_and_nobody_elses() -> None:
    refused = SimError("pin-refused", "The SIM refused the PIN, and has 2 tries left.")
    end = sight(LOCKED, "stop", refused)
    assert look(sim.RUNG, sight(LOCKED, "unlock"), end, AUTO).error is refused
    assert look(registration.RUNG, sight(LOCKED, "unlock"), end, AUTO).state == "unseen"


@pytest.mark.parametrize("error", [DENIED, LATE])
def test_a_way_that_ended_for_another_reason_leaves_the_sim_unseen(error: AgentError) -> None:
    assert look(sim.RUNG, sight(LOCKED, "unlock"), sight(LOCKED, "stop", error), AUTO).state == "unseen"


def test_a_sim_may_be_seen_later() -> None:
    young = dataclasses.replace(READY, state=ModemState.INITIALIZING, sim=None)
    assert look(sim.RUNG, sight(young, "wait", NOT_CONNECTED)).state == "unseen"


def test_a_modem_without_a_network_is_the_registrations_failure() -> None:
    searching = BearerError("not-registered", "The modem is searching.")
    seen = sight(dataclasses.replace(REGISTERED, state=ModemState.SEARCHING), "wait", searching)
    found = look(registration.RUNG, seen)
    assert (found.error, found.command) == (searching, f"mmcli -m {PATH}")
    assert look(sim.RUNG, seen).state == "well"


def test_a_disabled_modem_says_nothing_of_its_network() -> None:
    found = look(registration.RUNG, sight(DISABLED, "stop", NOT_CONNECTED))
    assert (found.state, found.words) == ("unseen", "the modem is disabled")
    assert look(bearer.RUNG, sight(DISABLED, "stop", NOT_CONNECTED)).error is NOT_CONNECTED


def test_a_modem_that_is_made_ready_is_looked_at_when_it_is_registered() -> None:
    assert look(registration.RUNG, sight(DISABLED, "enable"), sight(REGISTERED, "connect"), AUTO).state == "well"


ABROAD = dataclasses.replace(REGISTERED, registration=Registration.ROAMING)


@pytest.mark.parametrize(
    ("settings", "seen", "state"),
    [
        (AUTO, sight(ABROAD, "stop", NOT_CONNECTED), "failed"),
        (AUTO, sight(REGISTERED, "stop", NOT_CONNECTED), "well"),
        (Settings(modem=ModemChoice(connect="auto", roaming=True)), sight(ABROAD, "stop", NOT_CONNECTED), "well"),
        (NEVER, sight(ABROAD, "stop", NOT_CONNECTED), "well"),
        (AUTO, sight(dataclasses.replace(ABROAD, state=ModemState.CONNECTED, bearers=(UP,))), "well"),
        (AUTO, sight(dataclasses.replace(ABROAD, bearers=(UP,)), "stop", NOT_CONNECTED), "well"),
        (AUTO, sight(ABROAD, "stop", LATE), "well"),
    ],
    ids=["kept-from-it", "at-home", "allowed", "not-asked", "connected-by-others", "suspended", "late"],
)
def test_roaming_fails_where_it_alone_keeps_the_modem_from_connecting(
    settings: Settings, seen: Sight, state: str
) -> None:
    assert look(registration.RUNG, seen, settings=settings).state == state


@pytest.mark.parametrize(("per_cent", "state"), [(0, "failed"), (9, "failed"), (10, "well"), (100, "well")])
def test_a_signal_below_ten_per_cent_is_weak(per_cent: int, state: str) -> None:
    found = look(signal.RUNG, sight(dataclasses.replace(READY, signal=per_cent)))
    assert found.state == state
    if state == "failed":
        assert found.error is not None
        assert (found.error.code, found.command) == ("weak-signal", "phonecheck monitor")


def test_a_signal_that_nobody_measured_is_not_weak() -> None:
    assert look(signal.RUNG, sight(dataclasses.replace(READY, signal=None))).state == "unseen"


def test_the_zero_of_a_modem_that_has_just_come_up_is_not_weak() -> None:
    fresh = sight(dataclasses.replace(READY, signal=0))
    assert look(signal.RUNG, sight(DISABLED, "enable"), fresh, AUTO).state == "unseen"
    assert look(signal.RUNG, fresh, fresh, AUTO).state == "failed"


@pytest.mark.parametrize("per_cent", [0, 5, 67])
def test_what_a_disabled_modem_shows_is_old(per_cent: int) -> None:
    assert look(signal.RUNG, sight(dataclasses.replace(DISABLED, signal=per_cent), "enable")).state == "unseen"


def test_a_signal_without_a_technology_is_shown_alone() -> None:
    assert look(signal.RUNG, sight(dataclasses.replace(READY, technologies=()))).words == "67 %"


def test_no_bearer_is_a_failure_where_nobody_may_connect() -> None:
    found = look(bearer.RUNG, sight(REGISTERED, "stop", NOT_CONNECTED))
    assert (found.state, found.error) == ("failed", NOT_CONNECTED)
    assert found.command == f"mmcli -m {PATH} --simple-connect=apn=YOUR-APN"


def test_a_modem_of_network_managers_is_connected_by_no_one_else() -> None:
    modems = OneModem(sight(REGISTERED, "stop", NOT_CONNECTED), managed=True)
    assert bearer.RUNG.look(Device(NEVER, True, None, modems, *[None] * 4), Deadline(5)).command == "nmcli device"


def test_no_bearer_is_none_where_it_will_be_connected() -> None:
    found = look(bearer.RUNG, sight(REGISTERED, "connect"), settings=AUTO)
    assert (found.state, found.words) == ("unseen", "not connected: the modem is registered, and verify connects it")


@pytest.mark.parametrize(
    ("choice", "bearers", "asked"),
    [
        (ModemChoice(apn="iot.example"), (dataclasses.replace(UP, connected=False),), "apn=iot.example"),
        (ModemChoice(), (dataclasses.replace(UP, connected=False),), "apn=internet"),
        (ModemChoice(apn="a;reboot"), (), "'apn=a;reboot'"),
        (ModemChoice(apn="a", roaming=True), (), "apn=a,allow-roaming=yes"),
    ],
    ids=["configured", "as-before", "hostile", "roaming"],
)
def test_the_command_connects_with_the_apn_as_it_is_known(
    choice: ModemChoice, bearers: tuple[Bearer, ...], asked: str
) -> None:
    seen = sight(dataclasses.replace(REGISTERED, bearers=bearers), "stop", NOT_CONNECTED)
    assert look(bearer.RUNG, seen, settings=Settings(modem=choice)).command.endswith(f" --simple-connect={asked}")


@pytest.mark.parametrize("error", [BearerError("connect-failed", "The network does not know the APN."), DENIED, LATE])
def test_whatever_ended_the_way_is_the_bearers_failure(error: AgentError) -> None:
    found = look(bearer.RUNG, sight(REGISTERED, "connect"), sight(REGISTERED, "stop", error), AUTO)
    assert found.error is error
    assert ("simple-connect" in found.command) == (error.code == "connect-failed")


def test_the_last_connection_error_is_a_fact() -> None:
    old = Bearer("/B/0", connection_error="no such APN")
    found = look(bearer.RUNG, sight(dataclasses.replace(READY, bearers=(old, UP))))
    assert (found.state, found.facts["last_error"], found.facts["ip4"]) == ("well", "no such APN", "static")
