"""What the service's parts need of one another: the real ones are put together in loop.py, tests hand in their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from phonecheck.service.model import (
    Delivery,
    Document,
    Due,
    DueName,
    Finished,
    Record,
    Report,
    Request,
    SeenSim,
)


class Cancel(Protocol):
    """Something under way that can be called off; to do so again, or too late, does nothing."""

    def cancel(self) -> None:
        """Call it off."""


class Loop(Protocol):
    """The one thread that everything of the service happens in. Times are seconds of CLOCK_BOOTTIME: suspend counts."""

    def now(self) -> float:
        """Seconds since boot, suspend included."""

    def wall(self) -> float:
        """Seconds since the epoch, as far as the device knows."""

    def later(self, seconds: float, do: Callable[[], None]) -> Cancel:
        """Do something once, in so many seconds; after a suspend at once where that time has passed."""

    def readable(self, fd: int, do: Callable[[], None]) -> Cancel:
        """Do something whenever a descriptor is readable or hung up."""

    def soon(self, do: Callable[[], None]) -> None:
        """Do something in this loop's next turn; the one method that any thread may call."""


class Memory(Protocol):
    """What must not be forgotten. What a method was told is kept when it returns; none of them raises."""

    def accept(self, request: Request, *, sims: Sequence[SeenSim] = ()) -> None:
        """Keep a request as queued, and the SIMs that it is made for as known."""

    def begin(self, id: str) -> None:  # noqa: A002  the store's own word
        """The request's check is under way."""

    def complete(self, id: str, document: Document, *, report: bool) -> Record:  # noqa: A002  the store's own word
        """The request's check has come to its end: history, where ``report`` the outbox, and no request any more."""

    def pending(self) -> tuple[list[Request], list[Request]]:
        """The requests that are queued, the oldest first, and those that were under way when the last process ended."""

    def outbox(self, limit: int) -> list[Report]:
        """Reports that the app server is still to be told, the oldest first."""

    def delivered(self, id: str) -> None:  # noqa: A002  the store's own word
        """The app server has this report."""

    def refused(self, id: str) -> None:  # noqa: A002  the store's own word
        """The app server never will take this report."""

    def sims(self) -> dict[str, str]:
        """The SIM's fingerprint of each known modem, by the modem's."""

    def remember(self, sims: Sequence[SeenSim]) -> None:
        """Keep SIMs as known."""

    def due(self, name: DueName) -> Due | None:
        """What was last said to be due."""

    def set_due(self, name: DueName, due: Due | None) -> None:
        """Say when something is due; None for never."""


class Checks(Protocol):
    """Makes one check, in a process of its own."""

    def start(self, request: Request, done: Callable[[Finished], None]) -> Cancel:
        """Start it; ``done`` is called once, from the loop, also after a cancel."""


class Courier(Protocol):
    """Brings reports to the app server, in a process of its own."""

    def start(self, reports: Sequence[Report], done: Callable[[Sequence[Delivery]], None]) -> Cancel:
        """Bring them in order, up to the first that fails; ``done`` is called once, from the loop."""


class Hooks(Protocol):
    """The executables that the device's owner wants run."""

    def run(self, event: str, facts: Mapping[str, str]) -> None:
        """Have them run with the facts in the environment, after those of earlier events; returns at once."""

    def settle(self, done: Callable[[], None]) -> None:
        """Call ``done`` when none runs any more; none is started meanwhile."""


class Sims(Protocol):
    """The SIMs in the device's modems."""

    def read(self, done: Callable[[Sequence[SeenSim] | None], None]) -> None:
        """Read them aside; ``done`` is called once, from the loop, with None where ModemManager could not be asked."""


class Listener(Protocol):
    """Who is told what happens: the D-Bus API."""

    def check_started(self, id: str) -> None:  # noqa: A002  the API's own word
        """A check was begun."""

    def check_completed(self, record: Record) -> None:
        """A check has its outcome, and it is in the store."""

    def sim_changed(self, shown: str) -> None:
        """Another SIM is in a modem."""

    def changed(self) -> None:
        """A property may have another value."""


class Status(Protocol):
    """The service manager."""

    def say(self, text: str) -> None:
        """What the service does, in words."""
