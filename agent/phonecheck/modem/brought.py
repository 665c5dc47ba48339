"""What a run brought up on a modem, so that it, or another process after it, takes down that and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from dataclasses import dataclass

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import Modem, ModemState
from phonecheck.modem import names
from phonecheck.modem.manager import Bus, ModemManager
from phonecheck.modem.networkmanager import NetworkManager

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
    """

    modem: str = ""
    manager: str = ""
    enabled: bool = False
    before: tuple[str, ...] = ()
    up_before: tuple[str, ...] = ()
    connecting: bool = False
    bearer: str = ""
    active: str = ""

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


def take_down(bus: Bus, brought: BroughtUp, seconds: float) -> None:
    """Disconnect and remove the bearer that is ours, disable the modem if we enabled it: as far as that is possible.

    Nothing is done to a modem that went, or under another ModemManager than the one it was brought up by. A modem is
    left enabled where somebody else's bearer is up by now.
    """
    deadline = Deadline(seconds)
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
