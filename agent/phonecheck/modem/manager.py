"""ModemManager as the rest of the agent sees it: asked for modems, it answers with facts."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

from phonecheck.deadline import Deadline
from phonecheck.errors import ExitStatus, ModemError
from phonecheck.model import Modem
from phonecheck.modem import parse
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.select import select

CALL_TIMEOUT = 5.0
"""Seconds for one D-Bus call. ModemManager answers in milliseconds, or it hangs."""


class Bus(Protocol):
    """What is needed of the bus; :class:`~phonecheck.modem.bus.ModemBus` is the real one."""

    def managed_objects(self, timeout: float) -> dict[str, Any]:
        """All modems."""

    def get_all(self, path: str, interface: str, timeout: float) -> dict[str, Any]:
        """One object's properties."""

    def close(self) -> None:
        """Leave it."""


class ModemManager:
    """Reads modems, each time anew: what was read is old by the next signal.

    Args:
        bus: how to reach it; None for the system bus.
    """

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = ModemBus() if bus is None else bus

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def modems(self, deadline: Deadline) -> tuple[Modem, ...]:
        """All modems that ModemManager knows now. In the seconds after its start it may know none yet.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized.
            DeadlineExceeded: with a modem's exit status.
        """
        objects = dict(self._bus.managed_objects(_timeout(deadline)))
        for path, interface in tuple(parse.parts(objects)):
            try:
                objects[path] = {interface: self._bus.get_all(path, interface, _timeout(deadline))}
            except ModemError as error:
                if error.code != "modem-not-found":
                    raise
                # It went between the two readings. The modem is then shown without it, which is the truth by now.
        return parse.modems(objects)

    def find(self, wanted: str | None, deadline: Deadline) -> Modem:
        """The one modem that ``wanted`` means, as :func:`~phonecheck.modem.select.select` has it.

        Raises:
            ConfigError: bad-setting.
            ModemError: modem-not-found, ambiguous-modem, modem-manager-unavailable, not-authorized.
            DeadlineExceeded: with a modem's exit status.
        """
        return select(self.modems(deadline), wanted)


def _timeout(deadline: Deadline) -> float:
    return min(CALL_TIMEOUT, deadline.require("ModemManager answered", ExitStatus.MODEM))
