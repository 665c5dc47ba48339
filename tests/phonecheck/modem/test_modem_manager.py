from __future__ import annotations

from typing import Any

import pytest

from fake_modem_manager import FakeModemManager, bearer
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, DeadlineExceeded, ExitStatus, ModemError, SimError
from phonecheck.modem import faults, names
from phonecheck.modem.manager import CALL_TIMEOUT, ModemManager
from phonecheck.redact import Secret

MODEM, SIM, BEARER = f"{names.ROOT}/Modem/0", f"{names.ROOT}/SIM/0", f"{names.ROOT}/Bearer/0"


class FakeBus:
    """ModemManager's objects: modems through the object manager, the rest by name, as the daemon has it."""

    def __init__(self, objects: dict[str, dict[str, dict[str, Any]]], error: ModemError | None = None) -> None:
        self.objects, self.error = objects, error
        self.timeouts: list[float] = []
        self.closed = False

    def managed_objects(self, timeout: float) -> dict[str, Any]:
        self.timeouts.append(timeout)
        return {path: content for path, content in self.objects.items() if names.MODEM in content}

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        self.timeouts.append(timeout)
        if self.error:
            raise self.error
        return self.objects[path][interface]

    def close(self) -> None:
        self.closed = True


def test_joins_modems_with_their_sims_and_bearers(objects):
    (modem,) = ModemManager(FakeBus(objects)).modems(Deadline(30))
    assert modem.sim.iccid.value == "8944001012345678909"
    assert modem.bearers[0].interface == "wwan0"


def test_a_bearer_that_goes_between_two_readings_is_shown_as_gone(objects):
    bus = FakeBus(objects, ModemError("modem-not-found", "gone"))
    (modem,) = ModemManager(bus).modems(Deadline(30))
    assert modem.bearers[0].connected is False


def test_another_failure_between_two_readings_is_one(objects):
    bus = FakeBus(objects, ModemError("modem-manager-unavailable", "gone"))
    with pytest.raises(ModemError):
        ModemManager(bus).modems(Deadline(30))


def test_finds_the_modem_that_is_wanted(objects):
    manager = ModemManager(FakeBus(objects))
    assert manager.find("imei:867223029999992", Deadline(30)).path == MODEM
    with pytest.raises(ModemError):
        manager.find("imei:867223020000000", Deadline(30))


def test_each_call_gets_five_seconds_or_what_the_deadline_leaves(objects):
    bus = FakeBus(objects)
    ModemManager(bus).modems(Deadline(30, lambda: 100.0))
    assert bus.timeouts == [CALL_TIMEOUT] * 3
    bus.timeouts.clear()
    ModemManager(bus).modems(Deadline(2, lambda: 100.0))
    assert bus.timeouts == [2.0] * 3


def test_no_call_is_made_when_no_time_is_left(objects):
    bus = FakeBus(objects)
    with pytest.raises(DeadlineExceeded) as caught:
        ModemManager(bus).modems(Deadline(0))
    assert caught.value.exit_status is ExitStatus.MODEM
    assert bus.timeouts == []


def test_leaves_the_bus_at_the_end(objects):
    bus = FakeBus(objects)
    with ModemManager(bus) as manager:
        manager.modems(Deadline(30))
    assert bus.closed


def unlocking(daemon: FakeModemManager, pin: str = "1234") -> AgentError | None:
    manager = ModemManager(daemon)
    try:
        manager.unlock(manager.find(None, Deadline(5)), Secret(pin), Deadline(5))
    except AgentError as error:
        return error
    return None


def test_unlocking_sends_the_pin_to_the_modems_sim_also_with_one_try_left():
    daemon = FakeModemManager()
    daemon.become(2, UnlockRequired=2, UnlockRetries={2: 1})
    assert unlocking(daemon) is None
    assert daemon.asked == [("SendPin", SIM, ("1234",))]


def test_a_modem_that_is_not_locked_gets_no_pin():
    daemon = FakeModemManager()
    assert unlocking(daemon) is None
    assert daemon.asked == []


@pytest.mark.parametrize(("lock", "code"), [(4, "puk-required"), (8, "sim-locked"), (0, "sim-locked")])
def test_another_lock_gets_no_pin(lock, code):
    daemon = FakeModemManager()
    daemon.become(2, UnlockRequired=lock)
    assert unlocking(daemon).code == code
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("state", "properties", "code"),
    [
        (-1, {"StateFailedReason": 2, "Sim": "/"}, "sim-missing"),
        (-1, {"StateFailedReason": 1}, "not-connected"),
        (3, {"Sim": "/"}, "sim-missing"),
        (1, {"UnlockRequired": 0}, "modem-manager-unavailable"),
    ],
)
def test_a_modem_that_is_not_locked_is_not_therefore_unlocked(state, properties, code):
    daemon = FakeModemManager()
    daemon.become(state, **properties)
    assert unlocking(daemon).code == code
    assert daemon.asked == []


def test_what_can_be_no_pin_is_not_sent():
    daemon = FakeModemManager()
    daemon.become(2, UnlockRequired=2)
    assert unlocking(daemon, "123").code == "bad-setting"
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("after", "code", "words"),
    [
        ({"UnlockRetries": {2: 2}}, "pin-refused", "has 2 tries left"),
        ({"UnlockRequired": 4, "UnlockRetries": {4: 10}}, "puk-required", "with 10 tries left"),
        (None, "pin-refused", "refused the PIN."),
    ],
)
def test_a_refused_pin_is_told_with_the_tries_as_they_are_then(after, code, words):
    daemon = FakeModemManager()
    daemon.become(2, UnlockRequired=2)

    def refuse(path: str, pin: str) -> None:
        if after is None:
            daemon.leave()
        else:
            daemon.become(2, **after)
        raise SimError("pin-refused", "The SIM refused the PIN.")

    daemon.on["SendPin"] = refuse
    error = unlocking(daemon)
    assert (error.code, words in error.message) == (code, True)


def test_a_network_that_does_not_answer_is_a_connect_that_failed():
    daemon = FakeModemManager()

    def late(*_: Any) -> None:
        raise faults.Late(2)

    daemon.on["Connect"] = late
    with pytest.raises(ModemError) as caught:
        ModemManager(daemon).connect(MODEM, {}, Deadline(2, lambda: 100.0))
    assert (caught.value.code, caught.value.retryable) == ("connect-failed", True)
    assert "did not answer" in caught.value.message
    assert "in 2 s" in caught.value.message


@pytest.mark.parametrize(
    "act",
    [
        lambda manager: manager.enable(MODEM, Deadline(0)),
        lambda manager: manager.connect(MODEM, {}, Deadline(0)),
        lambda manager: manager.send_pin(SIM, Secret("1234"), Deadline(0)),
    ],
)
def test_nothing_is_done_when_no_time_is_left(act):
    daemon = FakeModemManager()
    with pytest.raises(DeadlineExceeded) as caught:
        act(ModemManager(daemon))
    assert caught.value.exit_status is ExitStatus.MODEM
    assert daemon.asked == []


def test_knows_its_owner_and_hears_of_changes():
    daemon = FakeModemManager()
    manager = ModemManager(daemon)
    heard: list[int] = []
    end = manager.watch(lambda: heard.append(1), Deadline(5))
    daemon.objects[BEARER] = bearer()
    daemon.become(11, Bearers=[BEARER])
    end()
    daemon.signal()
    assert (manager.owner(Deadline(5)), heard) == (":1.7", [1])
