"""What a run brought up on a modem, so that it, or another process after it, takes down that and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import Modem, ModemState
from phonecheck.modem import names
from phonecheck.modem.manager import Bus, ModemManager
from phonecheck.modem.networkmanager import NetworkManager

_log = logging.getLogger(__name__)
VARIABLE = "PHONECHECK_BROUGHT"
"""In the environment: the file that a run is to note in what it brings up, for whoever comes after a SIGKILL."""
_LEAST = 0.05
"""Seconds for a call when the time is up: a request that is sent acts, whether or not its answer is awaited."""
_APPEARING = 1.0
"""Seconds in which a bearer appears after its Connect was sent; 0.1 as measured."""


@dataclass(slots=True)
class BroughtUp:
    """What this run brought up; each is noted before the act, since a signal may end the process in the middle of it.

    Attributes:
        modem: its path.
        manager: the unique name of the ModemManager that knows it so; another one numbers its objects anew.
        enabled: the modem was disabled before.
        before: the bearers that were there before ours.
        up_before: those of them that were connected.
        connecting: a Connect was sent, and its answer is not here.
        bearer: ours.
        active: NetworkManager's connection, or the device that it is on, as its ``activate`` told.
        bus: the id of the bus that all these names are of; empty where nobody reads them but this run and its child.
    """

    modem: str = ""
    manager: str = ""
    enabled: bool = False
    before: tuple[str, ...] = ()
    up_before: tuple[str, ...] = ()
    connecting: bool = False
    bearer: str = ""
    active: str = ""
    bus: str = ""

    def __bool__(self) -> bool:
        """Whether there is anything to take down."""
        return bool(self.enabled or self.connecting or self.bearer or self.active)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BroughtUp:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        found = json.loads(text)
        blank = dataclasses.asdict(cls())
        if not isinstance(found, dict) or found.keys() != blank.keys():
            raise ValueError("not what a run brought up")
        for key, value in found.items():
            found[key] = tuple(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value
            if type(found[key]) is not type(blank[key]):
                raise ValueError(f"not what a run brought up: {key}")
        return cls(**found)

    def on(self, modem: str, manager: str) -> None:
        """Note which modem is acted on. What was brought up on another, or by a ModemManager before, went with it."""
        if (modem, manager) != (self.modem, self.manager):
            self.enabled, self.connecting, self.bearer = False, False, ""
            self.modem, self.manager = modem, manager

    def forget(self) -> None:
        """Note that it has been taken down."""
        self.enabled, self.connecting, self.bearer, self.active = False, False, "", ""


class NotedBroughtUp(BroughtUp):
    """The same, kept in a file as well as long as there is anything to take down.

    That it cannot be written is no reason not to go on. Nor is it brought to the disk: after a power cut there is another
    bus, on which none of these names means the same.

    Args:
        file: which.
        bus_id: tells the id of the bus; called once, before the first note.
    """

    def __init__(self, file: Path, bus_id: Callable[[], str]) -> None:
        super().__init__()
        self.__dict__.update(_file=file, _bus_id=bus_id)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if self.__dict__ and name != "bus":  # not yet, and not from within
            self._note()

    def _note(self) -> None:
        file: Path = self.__dict__["_file"]
        try:
            if not self:
                file.unlink(missing_ok=True)
                return
            if not self.bus:
                self.bus = self.__dict__["_bus_id"]()
            # Whole or not at all: a SIGKILL may come between any two lines of this.
            new = file.with_name(f"{file.name}.new")
            new.write_text(self.to_json())
            new.replace(file)
        except OSError as error:
            _log.debug("what is brought up cannot be noted: %s", error.strerror)


def strike(file: Path, text: str) -> None:
    """Remove a note that has been done; one that says something else by now is another run's."""
    with contextlib.suppress(OSError):
        if file.read_text() == text:
            file.unlink()


def bus_id(bus: Bus, seconds: float) -> str:
    """The id of a bus, which no other bus and no later run of it has (D-Bus specification, GetId).

    Raises:
        ModemError: modem-manager-unavailable, the bus cannot be reached.
    """
    (found,) = bus.call(names.BUS_PATH, names.BUS, "GetId", seconds, reply="(s)", service=names.BUS)
    return str(found)


def take_down(bus: Bus, brought: BroughtUp, seconds: float) -> None:
    """Disconnect and remove the bearer that is ours, disable the modem if we enabled it: as far as that is possible.

    Nothing is done to a modem that went, or under another ModemManager than the one it was brought up by, or on another
    bus where the record says on which. A modem is left enabled where somebody else's bearer is up by now.
    """
    deadline = Deadline(seconds)
    if brought.bus:
        try:
            if bus_id(bus, _left(deadline)) != brought.bus:
                return
        except AgentError:
            return
    if brought.active:
        with contextlib.suppress(AgentError):
            NetworkManager(bus).deactivate(brought.active, _left(deadline))
    with contextlib.suppress(AgentError):
        if brought.manager and bus.owner(names.SERVICE, _left(deadline)) == brought.manager:
            if brought.connecting or brought.bearer:
                _disconnect(bus, brought, deadline)
            if brought.enabled:
                _disable(bus, brought, deadline)


def _disconnect(bus: Bus, brought: BroughtUp, deadline: Deadline) -> None:
    if not brought.connecting:
        # Without a look at it first: a ModemManager that hangs does what it was sent once it is back.
        _remove(bus, brought, brought.bearer, deadline)
        return
    changed = threading.Event()
    end_watch = bus.watch(changed.set, _left(deadline))
    try:
        appears, removed = deadline.within(_APPEARING), False
        while True:
            changed.clear()
            if (modem := _modem(bus, brought, deadline)) is None:
                return
            for path in _ours(modem, brought):
                _remove(bus, brought, path, deadline)
                removed = True
            passing = modem.state in (ModemState.CONNECTING, ModemState.DISCONNECTING)
            if deadline.expired or (not passing and (removed or appears.expired)):
                return
            changed.wait((deadline if passing else appears).remaining())
    finally:
        end_watch()


def _ours(modem: Modem, brought: BroughtUp) -> tuple[str, ...]:
    """Simple.Connect takes a bearer that is there already where one of the same properties is: that one then came up."""
    new = (b.path for b in modem.bearers if b.path not in brought.before)
    reused = (
        b.path for b in modem.bearers if b.path in brought.before and b.connected and b.path not in brought.up_before
    )
    return (*new, *reused)


def _remove(bus: Bus, brought: BroughtUp, path: str, deadline: Deadline) -> None:
    with contextlib.suppress(AgentError):
        bus.call(path, names.BEARER, "Disconnect", _left(deadline))
    if path not in brought.before:
        with contextlib.suppress(AgentError):
            bus.call(brought.modem, names.MODEM, "DeleteBearer", _left(deadline), "(o)", (path,))


def _disable(bus: Bus, brought: BroughtUp, deadline: Deadline) -> None:
    modem = _modem(bus, brought, deadline)
    if modem is not None and not any(bearer.connected for bearer in modem.bearers):
        bus.call(brought.modem, names.MODEM, "Enable", _left(deadline), "(b)", (False,))


def _modem(bus: Bus, brought: BroughtUp, deadline: Deadline) -> Modem | None:
    modems = ModemManager(bus).modems(Deadline(_left(deadline)))
    return next((modem for modem in modems if modem.path == brought.modem), None)


def _left(deadline: Deadline) -> float:
    return max(_LEAST, deadline.remaining())
