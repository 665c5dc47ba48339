"""The system bus, polkit, ModemManager and the chosen modem of this device."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.modem import Permission, Sight, Step
from phonecheck.errors import AgentError, DeadlineExceeded, ExitStatus, ModemError
from phonecheck.eyes.once import Once
from phonecheck.eyes.way import Way
from phonecheck.model import Modem

if TYPE_CHECKING:
    from phonecheck.modem.bus import ModemBus
    from phonecheck.modem.manager import ModemManager
    from phonecheck.modem.ready import Wishes

_SECONDS = 5.0
"""For one question; whoever answers does so in milliseconds, or hangs."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
"""Where ModemManager may be, whatever the user's own PATH is."""


class Reader(Protocol):
    """What is needed of a run; :class:`~phonecheck.session.Session` is the real one."""

    def read_modem(
        self,
        deadline: Deadline,
        near: Callable[[], None],
        say: Callable[[str], None],
        saw: Callable[[Modem], None],
    ) -> Modem | None:
        """Make the modem ready."""


class RealModems:
    """Each question is asked once; the modem is made ready once, and watched on its way by all who wait.

    Args:
        session: makes it ready.
        settings: the same as the session's.
        traffic: whether it may.
        bus: to ask by; None for the system bus.
    """

    def __init__(self, session: Reader, settings: Settings, *, traffic: bool, bus: ModemBus | None = None) -> None:
        self._session, self._settings, self._traffic = session, settings, traffic
        self._bus = bus
        self._opening = threading.Lock()
        self._reading: Once[Modem | None] = Once()
        self._asking: Once[str] = Once()
        self._permission: Once[Permission] = Once()
        self._managed: Once[bool] = Once()
        self._way: Way | None = None

    def reach_bus(self, deadline: Deadline) -> None:
        """Ask the bus for its id."""
        from phonecheck.modem.brought import bus_id

        bus_id(self._dbus(), _seconds(deadline))

    def bus_moved(self) -> bool:
        """Whether the variable that moves it is set."""
        return bool(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS"))

    def bus_spoken(self) -> bool:
        """Whether pydbus and GLib can be imported."""
        return all(importlib.util.find_spec(name) is not None for name in ("gi", "pydbus"))

    def permission(self, deadline: Deadline) -> Permission:
        """Asked of polkit, for the next thing that ``verify`` would do."""
        return self._permission(lambda: self._ask_permission(deadline))

    def installed(self) -> bool:
        """Whether its program is where programs of the system are."""
        return shutil.which("ModemManager", path=_SYSTEM_PATH) is not None

    def running(self, deadline: Deadline) -> bool:
        """Whether anybody owns its name now."""
        return bool(self._manager().owner(deadline))

    def version(self, deadline: Deadline) -> str:
        """Asked of ModemManager, which is not started for it."""
        return self._asking(lambda: self._ask_version(deadline))

    def modem(self) -> Modem | None:
        """Read once."""
        return self._reading(lambda: self._read(Deadline(_SECONDS)))

    def ready(self, deadline: Deadline) -> Modem | None:
        """The end of the way; where nothing may be sent, the modem as it is."""
        if not self._traffic:
            return self.modem()
        way = self._begin(deadline)
        if not way.wait(lambda _: False, deadline):
            raise DeadlineExceeded("The time allowed passed before the modem was ready.", exit_status=ExitStatus.MODEM)
        return way.result()

    def network_managers(self, deadline: Deadline) -> bool:
        """Asked of NetworkManager."""
        return self._managed(lambda: self._ask_network_manager(deadline))

    def sight(self, far_enough: Callable[[Modem], bool], deadline: Deadline) -> Sight | None:
        """The modem as it is, or on its way."""
        modem = self._reading(lambda: self._read(deadline.within(_SECONDS)))
        if modem is None:
            return None
        if not self._traffic or far_enough(modem):
            return self._judge(modem)
        way = self._begin(deadline)
        arrived = way.wait(far_enough, deadline)
        modem = way.last or modem
        if far_enough(modem):
            return self._judge(modem)
        if not arrived:
            seen = self._judge(modem)
            late = DeadlineExceeded(
                "The time allowed passed while the modem was made ready.", exit_status=ExitStatus.MODEM
            )
            return seen if seen.error is not None else Sight(modem, "stop", late)
        return self._judge(modem) if way.error is None else Sight(modem, "stop", way.error)

    def close(self) -> None:
        """Leave the bus."""
        if self._bus is not None:
            self._bus.close()

    def _begin(self, deadline: Deadline) -> Way:
        with self._opening:
            if self._way is None:
                self._way = Way(partial(self._session.read_modem, deadline, lambda: None, lambda _: None))
            return self._way

    def _judge(self, modem: Modem) -> Sight:
        """What the run would do next, in the doctor's words."""
        from phonecheck.modem import ready

        try:
            step = ready.next_step(modem, self._wishes, ready.Done())
        except ModemError as error:
            return Sight(modem, "stop", error)
        match step:
            case ready.Ready():
                return Sight(modem, "use", bearer=ready.bearer_of(modem, self._wishes.family))
            case ready.Wait():
                return Sight(modem, "wait", step.error)
        steps: dict[type, Step] = {ready.SendPin: "unlock", ready.Enable: "enable", ready.Connect: "connect"}
        return Sight(modem, steps[type(step)])

    def _read(self, deadline: Deadline) -> Modem | None:
        if self._settings.link.interface is not None:
            return None
        return self._manager().find(self._settings.modem.id, deadline)

    @cached_property
    def _wishes(self) -> Wishes:
        from phonecheck.modem.ready import Wishes
        from phonecheck.session import pin_of

        return Wishes.of(self._settings, has_pin=pin_of(self._settings) is not None)

    def _ask_version(self, deadline: Deadline) -> str:
        return self._manager().version(deadline)

    def _ask_permission(self, deadline: Deadline) -> Permission:
        from phonecheck.modem import authority

        # What comes before connecting is done by us in either case.
        connecting = self._next_step(deadline) == "connect"
        action = authority.NETWORK_CONTROL if connecting and self.network_managers(deadline) else authority.CONTROL
        return Permission(action, authority.verdict(self._dbus(), action, _seconds(deadline)))

    def _next_step(self, deadline: Deadline) -> Step | None:
        try:
            sight = self.sight(lambda _: True, deadline)
        except AgentError:  # whose rung this is says so
            return None
        return None if sight is None else sight.step

    def _ask_network_manager(self, deadline: Deadline) -> bool:
        from phonecheck.modem.networkmanager import NetworkManager

        try:
            modem = self.modem()
            return modem is not None and NetworkManager(self._dbus()).manages(modem.path, _seconds(deadline))
        except AgentError:
            return False

    def _manager(self) -> ModemManager:
        from phonecheck.modem.manager import ModemManager

        return ModemManager(self._dbus())

    def _dbus(self) -> ModemBus:
        from phonecheck.modem.bus import ModemBus

        with self._opening:
            if self._bus is None:
                self._bus = ModemBus()
            return self._bus


def _seconds(deadline: Deadline) -> float:
    return min(_SECONDS, deadline.require("the system bus answered", ExitStatus.MODEM))
