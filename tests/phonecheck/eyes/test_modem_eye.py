"""ModemManager's side as the doctor sees it: read once, made ready once, and watched on its way by several rungs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fake_modem_manager import FakeModemManager, bearer
from phonecheck.aside import Aside
from phonecheck.config import LinkChoice, ModemChoice, Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError, DeadlineExceeded, ModemError
from phonecheck.eyes.modems import RealModems
from phonecheck.model import Modem, ModemState
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.manager import ModemManager
from service_bus import FakePolkit, a_bus

AUTO = Settings(modem=ModemChoice(connect="auto"))
NEVER = Settings()
SOON = Deadline(3600)  # the whole run of the tests


def never(modem: Modem) -> bool:
    return False


def always(modem: Modem) -> bool:
    return True


@dataclass
class ScriptedRun:
    """A session's part: goes through states of the modem, each when the test lets it."""

    manager: FakeModemManager
    way: list[Any] = field(default_factory=list)
    times: int = 0

    def read_modem(
        self,
        deadline: Deadline,
        near: Callable[[], None],
        say: Callable[[str], None],
        saw: Callable[[Modem], None],
    ) -> Modem | None:
        self.times += 1
        for turn in self.way:
            if isinstance(turn, threading.Event):
                assert turn.wait(20)
            elif isinstance(turn, Exception):
                raise turn
            else:
                turn()
                saw(ModemManager(self.manager).find(None, deadline))
        return ModemManager(self.manager).find(None, deadline)


class Eye(RealModems):
    def __init__(self, settings: Settings, way: list[Any] | None = None, *, traffic: bool = True, **objects: Any):
        self.manager = FakeModemManager(**objects)
        self.run = ScriptedRun(self.manager, way or [])
        super().__init__(self.run, settings, traffic=traffic, bus=self.manager)  # type: ignore[arg-type]

    def turn(self, state: int, registration: int | None = None) -> Callable[[], None]:
        return lambda: self.manager.become(state, registration)

    def connect(self) -> None:
        self.manager.connect("/org/freedesktop/ModemManager1/Modem/0", {})


def on_the_way(*turns: Any, settings: Settings = AUTO) -> Eye:
    eye = Eye(settings)
    eye.run.way.extend(turn(eye) if callable(turn) else turn for turn in turns)
    return eye


def test_the_modem_is_read_once_and_stays_as_it_was() -> None:
    eye = Eye(NEVER)
    first = eye.modem()
    eye.manager.become(8, 1)
    assert eye.modem() is first
    assert first is not None
    assert first.state is ModemState.DISABLED


def test_an_error_stays_too() -> None:
    eye = Eye(NEVER)
    eye.manager.leave()
    with pytest.raises(ModemError, match="knows no modem"):
        eye.modem()
    eye.manager.objects = FakeModemManager().objects
    with pytest.raises(ModemError, match="knows no modem"):
        eye.sight(always, SOON)


def test_a_link_that_is_no_modems_has_none() -> None:
    eye = Eye(Settings(link=LinkChoice(interface="usb0")))
    assert eye.modem() is None
    assert eye.sight(never, SOON) is None
    assert eye.run.times == 0


@pytest.mark.parametrize(
    ("settings", "state", "registration", "step", "code"),
    [
        (AUTO, 3, 0, "enable", None),
        (AUTO, 8, 1, "connect", None),
        (AUTO, 7, 2, "wait", "not-registered"),
        (AUTO, 2, 0, "stop", "sim-locked"),
        (NEVER, 3, 0, "stop", "not-connected"),
        (NEVER, 8, 1, "stop", "not-connected"),
    ],
)
def test_what_verify_would_do_next(
    settings: Settings, state: int, registration: int, step: str, code: str | None
) -> None:
    eye = Eye(settings, traffic=False)
    eye.manager.become(state, registration, UnlockRequired=2 if state == 2 else 1)
    sight = eye.sight(never, SOON)
    assert sight is not None
    assert (sight.step, sight.error.code if sight.error else None) == (step, code)
    assert eye.run.times == 0


def test_a_bearer_that_is_up_is_the_one_to_use() -> None:
    eye = Eye(NEVER, traffic=False)
    eye.connect()
    sight = eye.sight(never, SOON)
    assert sight is not None
    assert sight.bearer is not None
    assert (sight.step, sight.bearer.interface) == ("use", "wwan0")


def test_the_configured_pin_unlocks(tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text("1234")
    pin.chmod(0o600)
    eye = Eye(Settings(modem=ModemChoice(connect="auto", pin_file=pin)), traffic=False)
    eye.manager.become(2, UnlockRequired=2)
    sight = eye.sight(always, SOON)
    assert sight is not None
    assert sight.step == "unlock"
    assert "SendPin" not in eye.manager.did()


def test_far_enough_at_once_makes_nothing_ready() -> None:
    eye = Eye(AUTO)
    sight = eye.sight(always, SOON)
    assert sight is not None
    assert (sight.step, eye.run.times) == ("enable", 0)


def test_each_rung_sees_its_own_point_of_one_way() -> None:
    on = threading.Event()
    eye = on_the_way(lambda e: e.turn(8, 1), on, lambda e: e.connect)
    registered = eye.sight(lambda m: m.state >= ModemState.REGISTERED, SOON)
    # The way is not at its end: what comes is not seen before its time.
    assert registered is not None
    assert registered.step == "connect"
    end = Aside(lambda: eye.sight(never, SOON), "test")
    on.set()
    seen = end.result(10)
    assert seen is not None
    assert (seen.step, eye.run.times) == ("use", 1)
    ready = eye.ready(SOON)
    assert ready is not None
    assert (ready.bearers[-1].interface, eye.run.times) == ("wwan0", 1)


def test_an_error_on_the_way_is_seen_by_those_who_were_not_there_yet() -> None:
    eye = on_the_way(lambda e: e.turn(8, 1), BearerError("connect-failed", "The network does not know the APN."))
    end = eye.sight(never, SOON)
    assert end is not None
    assert (end.step, end.error and end.error.code) == ("stop", "connect-failed")
    registered = eye.sight(lambda m: m.state >= ModemState.REGISTERED, SOON)
    assert registered is not None
    assert (registered.step, registered.error) == ("connect", None)
    for _ in range(2):
        with pytest.raises(BearerError, match="does not know the APN"):
            eye.ready(SOON)
    assert eye.run.times == 1


def test_a_way_that_ended_short_is_judged_as_it_is() -> None:
    eye = Eye(NEVER)
    sight = eye.sight(never, SOON)
    assert sight is not None
    assert (sight.step, sight.error and sight.error.code, eye.run.times) == ("stop", "not-connected", 1)


def test_a_bug_on_the_way_keeps_nobody_waiting() -> None:
    eye = on_the_way(ValueError("1234567"))
    sight = eye.sight(never, SOON)
    assert sight is not None
    assert sight.error is not None
    assert sight.error.code == "internal-error"
    assert "1234567" not in sight.error.message


@pytest.mark.parametrize(("state", "code"), [(7, "not-registered"), (8, "deadline-exceeded")])
def test_a_way_that_takes_too_long_ends_with_what_it_waited_for(state: int, code: str) -> None:
    on = threading.Event()
    eye = on_the_way(lambda e: e.turn(state, 2 if state == 7 else 1), on)
    sight = eye.sight(never, Deadline(0.05))
    assert sight is not None
    assert (sight.error and sight.error.code) == code
    with pytest.raises(DeadlineExceeded):
        eye.ready(Deadline(0.0))
    on.set()


def test_without_traffic_ready_is_as_it_is() -> None:
    eye = Eye(AUTO, traffic=False)
    assert eye.ready(SOON) is eye.modem()
    assert eye.run.times == 0


@dataclass
class BusOfBoth(FakeModemManager):
    """ModemManager and NetworkManager, and what polkit is asked."""

    managed: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        device = {"Udi": "/org/freedesktop/ModemManager1/Modem/0", "DeviceType": 8, "State": 30 if self.managed else 10}
        objects = {"/org/freedesktop/NetworkManager/Devices/2": {"org.freedesktop.NetworkManager.Device": device}}
        self.on["GetManagedObjects"] = lambda path: (objects,)
        self.on["CheckAuthorization"] = lambda path, subject, action, *more: ((True, False, {}),)

    def own_name(self, timeout: float) -> str:
        return ":1.9"

    def call(self, *arguments: Any, start: bool = False, **more: Any) -> tuple[Any, ...]:
        return super().call(*arguments, **more)


@pytest.mark.parametrize(
    ("managed", "state", "action"),
    [
        (True, 8, "org.freedesktop.NetworkManager.network-control"),
        (True, 3, "org.freedesktop.ModemManager1.Device.Control"),
        (False, 8, "org.freedesktop.ModemManager1.Device.Control"),
    ],
)
def test_the_permission_is_the_one_that_the_next_step_takes(managed: bool, state: int, action: str) -> None:
    bus = BusOfBoth(managed=managed)
    bus.become(state, 1)
    eye = RealModems(ScriptedRun(bus), AUTO, traffic=False, bus=bus)  # type: ignore[arg-type]
    assert eye.permission(SOON).action == action
    assert eye.network_managers(SOON) is managed


def test_whether_modem_manager_runs() -> None:
    assert Eye(NEVER).running(SOON)
    assert not Eye(NEVER, name="").running(SOON)


def test_the_version_is_asked_for_once() -> None:
    eye = Eye(NEVER)
    eye.manager.objects["/org/freedesktop/ModemManager1"] = {"org.freedesktop.ModemManager1": {"Version": "1.24.0"}}
    assert eye.version(SOON) == "1.24.0"
    eye.manager.name = ""
    assert eye.version(SOON) == "1.24.0"


@pytest.mark.parametrize("value", [{}, {"Version": 7}, {"Version": "\x1b[2J"}])
def test_a_version_that_is_none(value: dict[str, Any]) -> None:
    eye = Eye(NEVER)
    eye.manager.objects["/org/freedesktop/ModemManager1"] = {"org.freedesktop.ModemManager1": value}
    assert "\x1b" not in eye.version(SOON)


def test_a_bus_that_was_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    assert not Eye(NEVER).bus_moved()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/x")
    assert Eye(NEVER).bus_moved()


class Nobody:
    """A session that has nothing to do."""

    def read_modem(self, *_: Any) -> Modem | None:
        raise AssertionError


@pytest.fixture
def on_a_bus(tmp_path: Path) -> Iterator[tuple[RealModems, str]]:
    with a_bus(tmp_path) as bus:
        eye = RealModems(Nobody(), AUTO, traffic=False, bus=ModemBus(bus.address))
        yield eye, bus.address
        eye.close()


@pytest.mark.dbus
def test_a_real_bus_is_reached(on_a_bus: tuple[RealModems, str]) -> None:
    eye, _ = on_a_bus
    eye.reach_bus(SOON)
    assert eye.bus_spoken()
    assert not eye.running(SOON)
    with pytest.raises(ModemError, match="not running"):
        eye.version(SOON)


@pytest.mark.dbus
@pytest.mark.parametrize(("answer", "verdict"), [("yes", "allowed"), ("no", "denied"), ("", "absent")])
def test_a_real_bus_carries_polkits_word(on_a_bus: tuple[RealModems, str], answer: str, verdict: str) -> None:
    eye, address = on_a_bus
    with contextlib.ExitStack() as stack:
        if answer:
            polkit = FakePolkit(address, answer)
            polkit.start()
            stack.callback(polkit.stop)
        found = eye.permission(SOON)
    assert (found.action, found.verdict) == ("org.freedesktop.ModemManager1.Device.Control", verdict)
    assert eye.permission(SOON) is found


@pytest.mark.dbus
def test_a_bus_that_is_not_there(tmp_path: Path) -> None:
    eye = RealModems(Nobody(), AUTO, traffic=False, bus=ModemBus(f"unix:path={tmp_path}/none"))
    for ask in (eye.reach_bus, eye.permission, eye.version, eye.running):
        with pytest.raises(AgentError, match="The system bus cannot be reached"):
            ask(SOON)


def test_two_who_ask_at_once_ask_once() -> None:
    eye = Eye(NEVER)
    asked = []
    read = eye.manager.managed_objects

    second = threading.Barrier(2)

    def slow(timeout: float) -> dict[str, Any]:
        asked.append(timeout)
        with contextlib.suppress(threading.BrokenBarrierError):  # as it should be: nobody else came
            second.wait(0.1)
        return read(timeout)

    eye.manager.managed_objects = slow  # type: ignore[method-assign]
    both = [Aside(eye.modem, "test") for _ in range(4)]
    assert len({id(one.result(10)) for one in both}) == 1
    assert len(asked) == 1


def test_a_bearer_of_before_is_not_taken_for_one_that_is_up() -> None:
    eye = Eye(NEVER, traffic=False)
    eye.manager.objects["/org/freedesktop/ModemManager1/Bearer/9"] = bearer(connected=False)
    eye.manager.become(8, 1, Bearers=["/org/freedesktop/ModemManager1/Bearer/9"])
    sight = eye.sight(never, SOON)
    assert sight is not None
    assert sight.bearer is None
