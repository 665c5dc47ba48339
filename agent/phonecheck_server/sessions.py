"""Which device a check belongs to, for as long as the check lives. Bounded, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from phonecheck_server.problems import TYPES, ProblemError, check_expired, check_not_found

Version = Literal["v0.1", "v0.2"]

_LATER = {"Retry-After": "10"}


@dataclass(slots=True)
class Session:
    """A check between its creation and its end.

    Attributes:
        device: the only one that may finish it.
        reference_id: a nonce that the platform carries through the chain.
        expires: on the monotonic clock, seconds.
        spent: whether a code was handed over already.
    """

    device: str
    version: Version
    reference_id: str
    expires: float
    spent: bool = False


class Sessions:
    """The open sessions, by check id.

    Args:
        limit: so many at a time.
        share: so many of one device's, or a single one could shut all others out, at the customer's expense.
        grace: seconds after its end for which an expired check is still told apart from an unknown one.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        limit: int = 10_000,
        share: int = 1_000,
        grace: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._share = share
        self._grace = grace
        self._clock = clock
        self._open: dict[str, Session] = {}

    def require_room(self, device: str) -> None:
        """Make sure that a device's check could be kept, before the platform is asked for one.

        Raises:
            ProblemError: 503, too many are open; 429, too many of this device's.
        """
        self._drop_expired()
        if len(self._open) >= self._limit:
            raise ProblemError(503, "busy", "Too many checks are open.", headers=_LATER)
        # No one can have its share before so many are open.
        if len(self._open) >= self._share:
            self._drop_expired(everywhere=True)
            if sum(session.device == device for session in self._open.values()) >= self._share:
                detail = "Too many checks of this device are open."
                raise ProblemError(429, "too_many_requests", detail, type_=TYPES + "too_many_requests", headers=_LATER)

    def keep(self, check_id: str, session: Session) -> None:
        """Remember a new check's session."""
        self._open[check_id] = session

    def find(self, check_id: str, device: str, version: Version) -> Session:
        """The session of a device's own check, which has not expired.

        Raises:
            ProblemError: 404 for any check that is not this device's of this version; 410 once it has expired.
        """
        session = self._open.get(check_id)
        if session is None or session.device != device or session.version != version:
            raise check_not_found()
        if self._clock() >= session.expires:
            raise check_expired()
        return session

    def __len__(self) -> int:
        return len(self._open)

    def _drop_expired(self, *, everywhere: bool = False) -> None:
        # Sessions stand in the order of their creation and mostly live equally long, so the old ones are in front;
        # when it gets tight one pass over all finds the rest.
        gone = self._clock() - self._grace
        if everywhere or len(self._open) >= self._limit:
            self._open = {check_id: session for check_id, session in self._open.items() if session.expires > gone}
            return
        for check_id, session in list(islice(self._open.items(), 16)):
            if session.expires <= gone:
                del self._open[check_id]
