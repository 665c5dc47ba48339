from __future__ import annotations

from typing import Any

import pytest

from phonecheck.deadline import Deadline
from phonecheck.errors import DeadlineExceeded, ExitStatus, ModemError
from phonecheck.modem import names
from phonecheck.modem.manager import CALL_TIMEOUT, ModemManager

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

    def get_all(self, path: str, interface: str, timeout: float) -> dict[str, Any]:
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
