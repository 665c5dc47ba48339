"""The service on this device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from phonecheck.deadline import Deadline


@dataclass(frozen=True, slots=True)
class LastCheck:
    """What came of the service's last check.

    Attributes:
        outcome: ``match``, ``no_match`` or ``inconclusive``.
        code: of its error; empty where it has none.
        age: seconds since then; None where a clock was not set.
    """

    outcome: str
    code: str = ""
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """The service as any user may see it (docs/dbus-api.md).

    Attributes:
        state: ``unconfigured``, ``idle``, ``checking`` or ``waiting``.
        version: its own.
        problem: a sentence of what is wrong with it; empty where nothing is.
        waiting: reports that the app server is still to be told.
        dropped: reports that were ever given up.
        last: None before the first check.
    """

    state: str
    version: str = ""
    problem: str = ""
    waiting: int = 0
    dropped: int = 0
    last: LastCheck | None = None


class Agent(Protocol):
    """The service, as any user may see it."""

    def installed(self, deadline: Deadline) -> bool:
        """Whether this device has the service, running or not."""

    def read(self, deadline: Deadline) -> Service:
        """The service as it is; read once.

        Raises:
            ServiceError: agent-unavailable, it does not run or does not answer; not-allowed.
        """

    def waiting_after(self, seconds: float, deadline: Deadline) -> int:
        """The reports that still wait after so many seconds, or as soon as they are fewer than were :meth:`read`.

        Raises:
            ServiceError: as :meth:`read`.
        """
