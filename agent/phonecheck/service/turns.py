"""The requests that wait for their turn, and who has joined whom."""

from __future__ import annotations

from phonecheck.service import triggers
from phonecheck.service.model import AUTOMATIC, Request


class Turns:
    """A queue of requests; the oldest has its turn first, unless it is held back."""

    def __init__(self) -> None:
        self._waiting: list[Request] = []
        self._automatic: set[str] = set()
        self._released: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether nobody can ask for one more. The automatic ones do not count: there is one of them at most."""
        return sum(request.trigger not in AUTOMATIC for request in self._waiting) >= triggers.QUEUE

    def add(self, request: Request) -> None:
        """Have a request wait behind the others."""
        self._waiting.append(request)

    def join(self, wanted: Request, running: Request | None, *, first_sim: bool = False) -> Request | None:
        """The request that does for another one, joined by it; None where that needs a check of its own.

        Somebody who joins an automatic request does not wait for a Retry-After, so neither does that any more; one that an
        automatic trigger has joined is tried again as its own would be.
        """
        other = triggers.joined(wanted, running, self._waiting, first_sim=first_sim)
        if other is not None:
            (self._automatic if wanted.trigger in AUTOMATIC else self._released).add(other.id)
        return other

    def first(self, *, held: bool) -> Request | None:
        """The request whose turn it is; ``held`` where a Retry-After keeps the automatic ones back."""
        return triggers.next_of(self._waiting, held=held, released=self._released)

    def take(self, request: Request) -> None:
        """Its turn has come."""
        self._waiting.remove(request)

    def end(self, request: Request) -> bool:
        """Forget a request whose check has ended; returns whether a trigger that nobody waits for was behind it."""
        automatic = request.trigger in AUTOMATIC or request.id in self._automatic
        self._automatic.discard(request.id)
        self._released.discard(request.id)
        return automatic
