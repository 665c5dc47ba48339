"""The service on this device, over D-Bus, as any user may see it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.agent import LastCheck, Service
from phonecheck.errors import AgentError, ExitStatus
from phonecheck.eyes.once import Once

_NAME = "org.phonecheck.Agent1"
_UNITS = tuple(
    Path(directory, "phonecheck-agent.service")
    for directory in ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)
_BELIEVABLE = 1_704_067_200
"""2024: a device whose clock says less had not been told the time."""
_ASK_SECONDS = 2.0
_LOOK_SECONDS = 0.1


class RealAgent:
    """The service.

    Args:
        address: a D-Bus address; None for the system bus, which ``DBUS_SYSTEM_BUS_ADDRESS`` may move.
        units: where its systemd unit may be, what goes first before the others; None for systemd's own places, which say
            nothing of another bus than the usual one.
        clock: seconds since the epoch.
    """

    def __init__(
        self, address: str | None = None, units: Sequence[Path] | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._address = address
        usual = address is None and not os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
        self._units = units if units is not None else _UNITS if usual else ()
        self._clock = clock
        self._read, self._installed = Once[Service](), Once[bool]()

    def installed(self, deadline: Deadline) -> bool:
        """See :class:`phonecheck.doctor.ports.agent.Agent`."""
        return self._installed(lambda: self._find(deadline))

    def read(self, deadline: Deadline) -> Service:
        """See :class:`phonecheck.doctor.ports.agent.Agent`."""
        deadline.require("the service was asked", ExitStatus.SERVICE)
        return self._read(lambda: _service(self._properties(), self._clock()))

    def waiting_after(self, seconds: float, deadline: Deadline) -> int:
        """See :class:`phonecheck.doctor.ports.agent.Agent`."""
        before, until = self.read(deadline).waiting, deadline.within(seconds)
        while (waiting := _count(self._properties(), "Outbox")) >= before and not until.expired:
            time.sleep(min(_LOOK_SECONDS, until.remaining()))
        return waiting

    def _properties(self) -> Mapping[str, Any]:
        from phonecheck.service.client import AgentClient

        with AgentClient(self._address) as client:
            return client.properties()

    def _find(self, deadline: Deadline) -> bool:
        unit = next((unit for unit in self._units if os.path.lexists(unit)), None)
        if unit is None:
            return self._activatable(deadline)
        return unit.is_file()  # one that is masked is a link to /dev/null: nobody wants it to run

    def _activatable(self, deadline: Deadline) -> bool:
        from phonecheck.modem import names
        from phonecheck.modem.bus import ModemBus

        seconds = min(_ASK_SECONDS, deadline.require("the bus was asked", ExitStatus.SERVICE))
        bus = ModemBus(self._address)
        try:
            (known,) = bus.call(
                names.BUS_PATH, names.BUS, "ListActivatableNames", seconds, reply="(as)", service=names.BUS
            )
        except AgentError:  # of a bus that cannot be asked, another rung tells
            return False
        finally:
            bus.close()
        return _NAME in known


def _service(properties: Mapping[str, Any], now: float) -> Service:
    last = properties.get("LastResult")
    return Service(
        state=_text(properties, "State"),
        version=_text(properties, "Version"),
        problem=_text(properties, "Problem"),
        waiting=_count(properties, "Outbox"),
        dropped=_count(properties, "Dropped"),
        last=_last(last, now) if isinstance(last, Mapping) and last else None,
    )


def _last(result: Mapping[str, Any], now: float) -> LastCheck:
    at = _count(result, "at")
    age = now - at if _BELIEVABLE <= at <= now else None
    return LastCheck(_text(result, "outcome"), _text(result, "error_code"), age)


def _text(values: Mapping[str, Any], key: str) -> str:
    """A text of the service's, whose version may be another; empty where there is none."""
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _count(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) else 0
