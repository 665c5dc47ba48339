from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_modem_manager import MODEM, SIM, FakeModemManager, disabled_modem
from phonecheck.errors import ModemError
from phonecheck.model import Modem, ModemState, Sim
from phonecheck.modem import faults, names
from phonecheck.modem.bus import ModemBus
from phonecheck.redact import Identity
from phonecheck.service.sims import ModemSims, seen
from service_bus import ServiceBus, a_bus

SALT = b"0123456789abcdef0123456789abcdef"
ICCID, IMSI, IMEI = "8944001012345678909", "001010123456789", "867223029999992"


def modem(**facts: Any) -> Modem:
    sim = Sim(SIM, Identity(ICCID), Identity(IMSI))
    known = {
        "path": MODEM,
        "device": "/sys/usb1/1-1",
        "imei": Identity(IMEI),
        "state": ModemState.CONNECTED,
        "sim": sim,
    }
    return Modem(**known | facts)


def sim(iccid: str = ICCID, imsi: str = IMSI) -> Sim:
    return Sim(SIM, Identity(iccid) if iccid else None, Identity(imsi) if imsi else None)


(KNOWN,) = seen([modem()], SALT)


def test_a_sim_is_shown_by_four_digits_and_kept_as_fingerprints():
    assert KNOWN.shown == "iccid:…8909"
    for digits in (ICCID, IMSI, IMEI):
        assert digits not in str(KNOWN)
    assert len(KNOWN.modem) == len(KNOWN.fingerprint) == 64
    assert KNOWN.modem != KNOWN.fingerprint


@pytest.mark.parametrize(
    "same",
    [
        modem(state=ModemState.DISABLED),
        modem(path="/org/freedesktop/ModemManager1/Modem/7", device="/sys/usb2/2-1"),
        modem(sim=Sim("/org/freedesktop/ModemManager1/SIM/9", Identity(ICCID + "F"), Identity(IMSI))),
    ],
)
def test_the_same_sim_in_the_same_modem_after_a_replugging(same):
    (found,) = seen([same], SALT)
    assert (found.modem, found.fingerprint) == (KNOWN.modem, KNOWN.fingerprint)


@pytest.mark.parametrize("other", [sim(iccid="8944001012345678917"), sim(imsi="001010123456780"), sim(imsi="")])
def test_another_sim(other):
    (found,) = seen([modem(sim=other)], SALT)
    assert found.modem == KNOWN.modem
    assert found.fingerprint != KNOWN.fingerprint


def test_another_modem_and_another_salt():
    (found,) = seen([modem(imei=Identity("867223029999984"))], SALT)
    assert found.modem != KNOWN.modem
    assert found.fingerprint == KNOWN.fingerprint
    (elsewhere,) = seen([modem()], b"x")
    assert {elsewhere.modem, elsewhere.fingerprint}.isdisjoint({KNOWN.modem, KNOWN.fingerprint})


@pytest.mark.parametrize("state", [s for s in ModemState if s < ModemState.DISABLED])
def test_a_sim_that_is_locked_or_not_read_yet_is_left_out(state):
    assert seen([modem(state=state)], SALT) == ()


@pytest.mark.parametrize("missing", [None, sim("", "")])
def test_a_missing_sim_is_left_out(missing):
    assert seen([modem(sim=missing)], SALT) == ()


def test_a_sim_without_iccid_is_shown_by_its_imsi():
    (found,) = seen([modem(sim=sim(iccid=""))], SALT)
    assert found.shown == "imsi:…6789"


def test_modems_without_identity_are_told_apart_by_their_place():
    one, other = modem(imei=None), modem(imei=None, device="/sys/usb2/2-1")
    assert len({found.modem for found in seen([one, other], SALT)}) == 2
    assert seen([modem(imei=None, device="")], SALT) == ()


def test_modems_that_share_an_imei_are_told_apart_by_their_place():
    found = seen([modem(), modem(device="/sys/usb2/2-1"), modem(imei=Identity("867223029999984"))], SALT)
    assert len({sim.modem for sim in found}) == 3


digits = st.text("0123456789ABF", min_size=6, max_size=20)


@given(st.lists(st.tuples(digits | st.just(""), digits | st.just("")), min_size=2, max_size=2, unique=True))
def test_different_identities_have_different_fingerprints(pairs):
    sims = [sim(iccid, imsi) for iccid, imsi in pairs if iccid or imsi]
    found = {seen([modem(sim=s)], SALT)[0].fingerprint for s in sims}
    assert len(found) == len({(iccid.rstrip("F"), imsi) for iccid, imsi in pairs if iccid or imsi})


# Reading


class TurnedByHand:
    """The service's loop: what threads hand over waits until the test turns it; timers wait to be fired."""

    def __init__(self) -> None:
        self.todo: list[Callable[[], None]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self._arrived = threading.Semaphore(0)

    def soon(self, do: Callable[[], None]) -> None:
        self.todo.append(do)
        self._arrived.release()

    def later(self, seconds: float, do: Callable[[], None]) -> Any:
        timer = (seconds, do)
        self.timers.append(timer)

        class Timer:
            def cancel(_) -> None:  # noqa: N805  the loop is self
                if timer in self.timers:
                    self.timers.remove(timer)

        return Timer()

    def turn(self) -> None:
        """Do the next thing, once it is there."""
        assert self._arrived.acquire(timeout=20), "nothing happened"
        self.todo.pop(0)()

    def fire(self) -> float:
        seconds, do = self.timers.pop(0)
        do()
        return seconds

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    def readable(self, fd: int, do: Callable[[], None]) -> Any:
        raise NotImplementedError


class Rig:
    def __init__(self) -> None:
        self.loop, self.changes, self.results = TurnedByHand(), 0, []
        self.manager = FakeModemManager(objects=disabled_modem())
        self.bus = "bus-1"
        self.manager.on |= {"GetId": lambda *_: (self.bus,), "StartServiceByName": lambda *_: (1,)}
        self.sims = ModemSims(self.manager, self.loop, SALT, self.changed)

    def changed(self) -> None:
        self.changes += 1

    def read(self) -> None:
        self.sims.read(self.results.append)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.sims.close()


def test_modem_manager_is_started_once_for_each_bus(rig):
    """After a bus that was restarted nobody else starts it; and who has stopped it by hand meant it."""
    for bus in ("bus-1", "bus-1", "bus-2", "bus-2"):
        rig.bus = bus
        rig.read()
        rig.loop.turn()
    started = [args for method, _, args in rig.manager.asked if method == "StartServiceByName"]
    assert started == [(names.SERVICE, 0)] * 2


def test_that_nobody_can_start_modem_manager_is_no_failure_of_the_reading(rig):
    def refuse(*_: object) -> None:
        raise ModemError("modem-manager-unavailable", "There is no such service.")

    rig.manager.on["StartServiceByName"] = refuse
    rig.read()
    rig.loop.turn()
    assert rig.results != [None]


def test_a_reading_is_told_in_the_loop(rig):
    rig.read()
    assert rig.results == []
    rig.loop.turn()
    ((found,),) = rig.results
    assert found.shown == "iccid:…8909"


def test_signals_are_passed_on_from_the_first_reading_on(rig):
    rig.sims.start()
    rig.loop.turn()
    rig.manager.signal()
    assert rig.changes == 0
    rig.loop.turn()
    assert rig.changes == 1
    rig.read()
    rig.loop.turn()
    assert len(rig.manager.listeners) == 1


def test_who_asks_during_a_reading_gets_the_next(rig):
    rig.read()
    first = []
    rig.sims.read(first.append)
    rig.sims.read(first.append)
    rig.manager.objects = {}
    rig.loop.turn()
    assert (len(rig.results), first) == (1, [])
    rig.loop.turn()
    assert first == [(), ()]


def test_without_modemmanager_nothing_is_known_and_nothing_is_tried_again(rig):
    rig.manager.name = ""
    rig.read()
    rig.loop.turn()
    assert rig.results == [None]
    assert rig.loop.timers == []  # its coming is a signal


def test_a_bus_that_is_away_is_asked_until_it_is_back(rig):
    failing = {"why": faults.no_bus("it is away")}
    answer = rig.manager.managed_objects

    def managed_objects(timeout: float) -> dict[str, Any]:
        if error := failing.get("why"):
            raise error
        return answer(timeout)

    rig.manager.managed_objects = managed_objects
    rig.read()
    rig.loop.turn()
    assert rig.results == [None]
    waited = []
    for _ in range(8):
        waited.append(rig.loop.fire())
        rig.loop.turn()
    assert waited == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert rig.changes == 0
    failing.clear()
    rig.loop.fire()
    rig.loop.turn()
    assert (rig.changes, rig.loop.timers) == (1, [])


def test_after_its_end_nobody_is_called(rig):
    rig.read()
    rig.sims.close()
    rig.loop.turn()
    assert (rig.results, rig.changes) == ([], 0)


def test_an_error_of_any_kind_of_ours_is_an_unknown(rig):
    def managed_objects(timeout: float) -> dict[str, Any]:
        raise ModemError("not-authorized", "ModemManager may not be used by this user.")

    rig.manager.managed_objects = managed_objects
    rig.read()
    rig.loop.turn()
    assert rig.results == [None]


# What wakes it


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[ServiceBus]:
    with a_bus(tmp_path) as made:
        yield made


@pytest.mark.dbus
def test_it_wakes_for_sims_and_modems_and_not_for_the_signals_quality(bus):
    from jeepney import DBusAddress, new_signal
    from jeepney.bus_messages import message_bus
    from jeepney.io.blocking import open_dbus_connection

    line = ModemBus(bus.address, names.SIM_CHANGES)
    heard = threading.Semaphore(0)
    line.watch(heard.release, 5)
    line.owner(names.SERVICE, 5)
    with open_dbus_connection(bus.address) as manager:
        manager.send_and_get_reply(message_bus.RequestName(names.SERVICE))
        assert heard.acquire(timeout=20)

        def emit(path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]) -> None:
            manager.send(new_signal(DBusAddress(path, interface=interface), member, signature, body))

        def properties(path: str, interface: str, changed: dict[str, Any]) -> None:
            emit(path, names.PROPERTIES, "PropertiesChanged", "sa{sv}as", (interface, changed, []))

        properties(MODEM, names.MODEM, {"SignalQuality": ("(ub)", (60, True))})
        properties(MODEM, names.MODEM_3GPP, {"RegistrationState": ("u", 1)})
        for wake in (
            lambda: properties(SIM, names.SIM, {"Imsi": ("s", IMSI)}),
            lambda: emit(MODEM, names.MODEM, "StateChanged", "iiu", (2, 3, 0)),
            lambda: emit(names.ROOT, names.OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", (MODEM, {})),
            lambda: emit(names.ROOT, names.OBJECT_MANAGER, "InterfacesRemoved", "oas", (MODEM, [names.MODEM])),
        ):
            wake()
            assert heard.acquire(timeout=20)
    assert heard.acquire(timeout=20)  # its end
    assert not heard.acquire(timeout=0.05)
    line.close()
