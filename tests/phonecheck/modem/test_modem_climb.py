from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fake_modem_manager import MODEM, SIM, FakeModemManager, bearer, disabled_modem
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError, DeadlineExceeded, ModemError, SimError
from phonecheck.model import Modem
from phonecheck.modem import faults, names
from phonecheck.modem.brought import BroughtUp, take_down
from phonecheck.modem.climb import make_ready
from phonecheck.modem.manager import ModemManager
from phonecheck.modem.ready import Wishes, link_of
from phonecheck.redact import Secret

CONNECT = Wishes(connect=True, apn="internet")
WAIT = Wishes(connect=True, wait=True)


class Run:
    """One call of make_ready with all that it told."""

    def __init__(self, daemon: FakeModemManager, network_manager: Any = None) -> None:
        self.daemon, self.network_manager = daemon, network_manager
        self.brought = BroughtUp()
        self.near: list[int] = []
        self.said: list[str] = []
        self.seen: list[Modem] = []
        self.when: dict[str, Callable[[], None]] = {}

    def say(self, words: str) -> None:
        self.said.append(words)
        self.when.get(words.removeprefix("waiting for "), lambda: None)()

    def __call__(
        self, wishes: Wishes = CONNECT, *, pin: str | None = None, seconds: float = 10, wanted: str | None = None
    ) -> Modem:
        return make_ready(
            *(ModemManager(self.daemon), wanted, wishes, Secret(pin) if pin else None, Deadline(seconds)),
            brought=self.brought,
            near=lambda: self.near.append(len(self.daemon.asked)),
            say=self.say,
            network_manager=self.network_manager,
            saw=self.seen.append,
        )

    def failing(self, *args: Any, **options: Any) -> AgentError:
        with pytest.raises(AgentError) as caught:
            self(*args, **options)
        assert not self.daemon.listeners, "a watch was left"
        return caught.value


@pytest.fixture
def daemon() -> FakeModemManager:
    return FakeModemManager()


@pytest.fixture
def run(daemon: FakeModemManager) -> Run:
    return Run(daemon)


def test_a_disabled_modem_is_enabled_and_connected_and_all_of_it_taken_down(daemon, run):
    before = copy.deepcopy(daemon.objects)
    modem = run()
    assert link_of(modem).interface == "wwan0"
    assert daemon.did() == ["Enable", "Connect"]
    assert daemon.asked[1][2] == ({"allow-roaming": ("b", False), "apn": ("s", "internet")},)
    assert run.near == [2]
    assert run.brought
    take_down(daemon, BroughtUp.from_json(run.brought.to_json()), 5)
    assert daemon.did()[2:] == ["Disconnect", "DeleteBearer", "Enable"]
    before[MODEM][names.MODEM_3GPP]["RegistrationState"] = 0
    assert daemon.objects == before
    assert not daemon.listeners


def test_where_nothing_is_allowed_the_modem_is_found_and_its_state_is_another_steps_error(daemon, run):
    assert run(Wishes()).state.word == "disabled"
    assert (run.near, daemon.asked, bool(run.brought)) == ([0], [], False)


def test_near_comes_first_where_nothing_can_be_waited_for(daemon, run):
    daemon.name = ""
    assert run.failing(Wishes()).code == "modem-manager-unavailable"
    assert run.near == [0]


def test_a_bearer_of_others_is_used_and_left(daemon, run):
    daemon.objects["/b/1"] = bearer()
    daemon.become(11, 1, Bearers=["/b/1"])
    run()
    take_down(daemon, run.brought, 5)
    assert daemon.asked == []


def test_a_bearer_of_the_same_properties_is_taken_over_and_left_in_the_list(daemon, run):
    daemon.objects["/b/1"] = bearer(connected=False)
    daemon.become(8, 1, Bearers=["/b/1"])

    def reuse(path: str, properties: Any) -> tuple[str]:
        daemon.objects["/b/1"] = bearer()
        daemon.become(11)
        return ("/b/1",)

    daemon.on["Connect"] = reuse
    run()
    take_down(daemon, run.brought, 5)
    assert daemon.did() == ["Connect", "Disconnect"]


def test_each_rung_waits_for_its_signal(daemon, run):
    daemon.on["Enable"] = lambda path, on: daemon.become(7, 2)
    run.when["a network"] = lambda: daemon.become(8, 1)
    run()
    assert run.said == ["waiting for a network"]
    assert [modem.state.word for modem in run.seen] == ["disabled", "searching", "registered", "connected"]


def test_the_pin_goes_to_the_sim_once_and_the_rest_follows(daemon, run):
    daemon.become(2, UnlockRequired=2)
    run(Wishes(connect=True, has_pin=True), pin="1234")
    assert daemon.asked[0] == ("SendPin", SIM, ("1234",))
    assert daemon.did() == ["SendPin", "Enable", "Connect"]


def test_a_pin_that_shows_no_effect_is_not_sent_again(daemon, run):
    daemon.become(2, UnlockRequired=2)
    daemon.on["SendPin"] = lambda path, pin: None
    error = run.failing(Wishes(connect=True, has_pin=True), pin="1234", seconds=0.2)
    assert (error.code, daemon.did(), run.said) == ("sim-locked", ["SendPin"], ["waiting for the SIM"])


def test_a_modem_that_is_plugged_in_anew_gets_no_second_pin(daemon, run):
    daemon.become(2, UnlockRequired=2)

    def replug(path: str, pin: str) -> None:
        daemon.objects[f"{names.ROOT}/Modem/1"] = daemon.objects.pop(MODEM)

    daemon.on["SendPin"] = replug
    error = run.failing(Wishes(connect=True, has_pin=True, wait=True), pin="1234", seconds=0.2)
    assert (error.code, daemon.did()) == ("sim-locked", ["SendPin"])


@pytest.mark.parametrize(("left", "said"), [(2, "has 2 tries left"), (1, "has 1 try left")])
def test_a_pin_that_is_refused_ends_it_with_the_tries_that_are_left(daemon, run, left, said):
    daemon.become(2, UnlockRequired=2)

    def refuse(path: str, pin: str) -> None:
        daemon.become(2, UnlockRetries={2: left})
        raise SimError("pin-refused", "The SIM refused the PIN.")

    daemon.on["SendPin"] = refuse
    error = run.failing(Wishes(connect=True, has_pin=True), pin="0000")
    assert (error.code, said in error.message, "0000" in error.message) == ("pin-refused", True, False)


def test_a_malformed_pin_reaches_no_sim(daemon, run):
    daemon.become(2, UnlockRequired=2)
    error = run.failing(Wishes(connect=True, has_pin=True), pin="12345678x")
    assert (error.code, daemon.asked) == ("bad-setting", [])


def test_what_is_not_authorized_was_not_brought_up(daemon, run):
    def deny(*_: Any) -> None:
        raise ModemError("not-authorized", "ModemManager may not be used by this user.")

    daemon.on["Enable"] = daemon.on["Connect"] = deny
    assert run.failing().code == "not-authorized"
    assert not run.brought
    daemon.become(8, 1)
    assert run.failing().code == "not-authorized"
    assert not run.brought


def test_each_act_is_noted_before_it(daemon, run):
    notes = []
    daemon.on["Enable"] = lambda path, on: (notes.append(run.brought.to_json()), daemon.enable(path, on))[1]
    daemon.on["Connect"] = lambda path, p: (notes.append(run.brought.to_json()), daemon.connect(path, p))[1]
    run()
    first, second = (BroughtUp.from_json(note) for note in notes)
    assert (first.enabled, first.connecting, second.connecting, second.bearer) == (True, False, True, "")
    assert (first.modem, first.manager) == (MODEM, ":1.7")


def test_a_bearer_that_the_network_refused_is_removed(daemon, run):
    def refuse(path: str, properties: Any) -> None:
        daemon.objects["/b/9"] = bearer(connected=False)
        daemon.become(8, Bearers=["/b/9"])
        raise BearerError("connect-failed", "The network does not know the APN.")

    daemon.on["Connect"] = refuse
    assert run.failing().code == "connect-failed"
    take_down(daemon, run.brought, 5)
    assert (daemon.modem["Bearers"], daemon.modem["State"]) == ([], 3)


def test_a_busy_modemmanager_is_asked_again(daemon, run):
    def busy(*_: Any) -> None:
        daemon.on.update(Enable=daemon.enable)
        threading.Timer(0.05, daemon.signal).start()
        raise faults.Busy("modem-manager-unavailable", "ModemManager is busy with the modem.")

    daemon.on["Enable"] = busy
    run()
    assert daemon.did() == ["Enable", "Enable", "Connect"]


def test_a_modemmanager_that_stays_busy_is_told_of_when_the_time_is_up(daemon, run):
    def busy(*_: Any) -> None:
        raise faults.Busy("modem-manager-unavailable", "ModemManager is busy with the modem.")

    daemon.on["Enable"] = busy
    error = run.failing(seconds=0.2)
    assert (error.code, "busy" in error.message, bool(run.brought)) == ("connect-failed", True, False)
    assert daemon.did() == ["Enable"], "asked again without a pause"


@pytest.mark.parametrize("wait", [False, True])
def test_a_modem_that_goes_in_mid_connect_ends_the_request_or_is_waited_for(daemon, run, wait):
    held = threading.Event()

    def unplug(*_: Any) -> None:
        daemon.on["Connect"] = daemon.connect
        threading.Timer(0.05, daemon.leave).start()
        held.wait(10)  # as ModemManager does: no answer

    def plug() -> None:
        daemon.objects = disabled_modem()
        daemon.objects[f"{names.ROOT}/Modem/1"] = daemon.objects.pop(MODEM)
        daemon.signal()

    daemon.on["Connect"] = unplug
    run.when["the modem"] = plug
    try:
        if wait:
            assert run(WAIT).path == f"{names.ROOT}/Modem/1"
            assert run.said == ["waiting for the modem"]
            assert run.brought.modem == f"{names.ROOT}/Modem/1"
        else:
            assert run.failing().message == "The modem went away while it was being made ready."
    finally:
        held.set()


def test_a_reading_that_fails_in_mid_connect_does_not_make_it_forgotten(daemon, run):
    """A Connect that goes on must stay noted, or the bearer that it brings up is left."""
    daemon.become(8, 1)
    read, silent, failed = daemon.managed_objects, threading.Event(), threading.Event()

    def objects(timeout: float) -> dict[str, Any]:
        if silent.is_set():
            failed.set()
            raise DeadlineExceeded("The time allowed passed before ModemManager answered.")
        return read(timeout)

    def hang(*_: Any) -> None:
        silent.set()
        daemon.signal()
        assert failed.wait(5)
        raise faults.Late(1)

    daemon.managed_objects = objects
    daemon.on["Connect"] = hang
    assert run.failing().code == "connect-failed"
    assert run.brought.connecting


def test_a_modemmanager_that_restarts_is_survived_where_waiting_is_allowed(daemon, run):
    daemon.on["Enable"] = lambda path, on: daemon.become(7, 2)

    def stop() -> None:
        daemon.name = ""
        daemon.signal()

    def start() -> None:
        # The same object path, by another owner.
        daemon.name, daemon.objects, daemon.on["Enable"] = ":1.9", disabled_modem(), daemon.enable
        daemon.signal()

    run.when |= {"a network": stop, "ModemManager": start}
    run(WAIT)
    assert daemon.did() == ["Enable", "Enable", "Connect"]
    assert (run.brought.manager, run.brought.enabled) == (":1.9", True)


def test_a_modemmanager_that_stops_is_named_where_it_is_not(daemon, run):
    daemon.on["Enable"] = lambda path, on: daemon.become(7, 2)

    def stop() -> None:
        daemon.name = ""
        daemon.signal()

    run.when["a network"] = stop
    error = run.failing()
    assert (error.code, error.message) == (
        "modem-manager-unavailable",
        "ModemManager stopped while the modem was being made ready.",
    )


def test_at_boot_everything_is_waited_for(daemon, run):
    modem, daemon.name, daemon.objects = daemon.objects, "", {}

    def start() -> None:
        daemon.name = ":1.7"
        daemon.signal()

    def appear() -> None:
        daemon.objects = modem
        daemon.signal()

    run.when |= {"ModemManager": start, "the modem": appear}
    run(WAIT)
    assert run.said == ["waiting for ModemManager", "waiting for the modem"]


def test_another_modem_is_not_taken_for_the_one_that_went(daemon, run):
    daemon.on["Enable"] = lambda path, on: daemon.become(7, 2)

    def swap() -> None:
        daemon.objects = disabled_modem()
        daemon.modem["EquipmentIdentifier"] = "867223021111118"
        daemon.signal()

    run.when["a network"] = swap
    error = run.failing(WAIT, seconds=0.3)
    assert (error.code, "Another modem" in error.message) == ("modem-not-found", True)
    assert daemon.did() == ["Enable"]


def test_a_second_modem_makes_the_choice_unclear(daemon, run):
    daemon.on["Enable"] = lambda path, on: daemon.become(7, 2)

    def add() -> None:
        daemon.objects[f"{names.ROOT}/Modem/1"] = copy.deepcopy(daemon.objects[MODEM])
        daemon.signal()

    run.when["a network"] = add
    assert run.failing(WAIT).code == "ambiguous-modem"


def test_the_error_of_a_wait_is_that_of_what_was_waited_for(daemon, run):
    daemon.become(7, 2)
    # Signals without end: the deadline passes in a reading, not in a wait.
    over = threading.Event()

    def chatter() -> None:
        while not over.wait(0.001):
            daemon.signal()

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        assert run.failing(seconds=0.1).code == "not-registered"
    finally:
        over.set()
        thread.join()


class Manager:
    """NetworkManager, by its two methods."""

    def __init__(self, daemon: FakeModemManager, error: AgentError | None = None) -> None:
        self.daemon, self.error = daemon, error

    def manages(self, modem_path: str, timeout: float) -> bool:
        return True

    def activate(self, modem_path: str, deadline: Deadline, started: Callable[[str], None]) -> None:
        started(":1.3/active/1")
        if self.error:
            raise self.error
        self.daemon.connect(modem_path, {})


def test_networkmanager_connects_what_it_manages(daemon):
    run = Run(daemon, Manager(daemon))
    run()
    assert daemon.did() == ["Enable"]
    assert (run.brought.active, run.brought.bearer, run.brought.connecting) == (":1.3/active/1", "", False)


def test_what_networkmanager_began_is_noted_also_where_it_fails(daemon):
    run = Run(daemon, Manager(daemon, BearerError("connect-failed", "No.")))
    assert run.failing().code == "connect-failed"
    assert run.brought.active == ":1.3/active/1"


def test_never_two_connects(daemon, run):
    """Whatever is allowed and however the network ends it: one Connect for one modem."""

    def drop(path: str, properties: Any) -> tuple[str]:
        answer = daemon.connect(path, properties)
        daemon.disconnect(answer[0])
        return answer

    for connect, wait in itertools.product((True,), (False, True)):
        daemon.asked.clear()
        daemon.on["Connect"] = drop
        assert run.failing(Wishes(connect=connect, wait=wait), seconds=0.3).code == "connect-failed"
        assert daemon.did().count("Connect") == 1
