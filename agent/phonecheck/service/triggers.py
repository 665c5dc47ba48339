"""Which check is made, and when: requests that are one, back-off, schedule, and dates that outlive a reboot. Pure.

A ``draw`` is a random number from 0 to below 1.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

from phonecheck.errors import BearerError, ModemError, SimError
from phonecheck.service.model import AUTOMATIC, Document, Due, Request

QUEUE = 8
"""Requests that wait for their turn, at most."""
BELIEVED = 1704067200.0
"""2024: a wall clock before it has not been set since the device was started."""
FIRST, LONGEST = 15.0, 3600.0
"""Seconds of the first and of the longest back-off, before chance has its say."""
LONGEST_HOLD = 31 * 86400.0
"""Seconds that a Retry-After is kept to at most: a server's slip is not to silence a device for good."""
HURRY = 2.0
"""Seconds from a change at the modems to the check that it brings forward, for a change seldom comes alone."""
_FIRST_GAP, _LONGEST_GAP = 15.0, 600.0
_SPREAD = 0.1
_MODEM = frozenset({*ModemError.cures, *SimError.cures, *BearerError.cures})
# A PIN that was refused is not tried again for each change: the SIM counts.
_HURRIED = _MODEM - {"pin-refused"}


@dataclass(frozen=True, slots=True)
class Failure:
    """What a check failed with; ``retry_after`` in seconds, None where nobody said."""

    code: str
    retryable: bool
    retry_after: float | None

    @property
    def again(self) -> bool:
        """Whether another try is worth it."""
        return self.retryable or self.retry_after is not None


def failure_of(document: Document) -> Failure | None:
    """What a document says went wrong; None where the app server gave its answer, match or not."""
    if document["outcome"] in ("match", "no_match"):
        return None
    error = document["error"] or {}
    asked = error.get("retry_after")
    return Failure(
        code=error.get("code", ""),
        retryable=bool(error.get("retryable")),
        retry_after=None if asked is None else min(float(asked), LONGEST_HOLD),
    )


def is_hurried(code: str) -> bool:
    """Whether a change at the modems may have cured a failure."""
    return code in _HURRIED


def is_plain(request: Request) -> bool:
    """Whether a request is for what the configuration says, as those that nobody makes are."""
    return request.modem is None and request.number is None and request.timeout is None


def joined(
    wanted: Request, running: Request | None, queued: Sequence[Request], *, first_sim: bool = False
) -> Request | None:
    """The request that does for another one that is wanted; None where it needs a check of its own.

    The running check may have read the SIM before it was changed, so that a changed SIM does not join it; one in a modem
    where none was before (``first_sim``) does, for there is no other that the check could be about.
    """
    for request in queued:
        if _same(request, wanted):
            return request
    if running is not None and (first_sim or wanted.trigger != "sim-change") and _same(running, wanted):
        return running
    return None


def next_of(queued: Sequence[Request], *, held: bool, released: Container[str]) -> Request | None:
    """The request whose turn it is: the oldest, but for automatic ones while a Retry-After holds them.

    Args:
        queued: the oldest first.
        held: whether one does.
        released: ids of automatic requests that somebody has asked for since.
    """
    for request in queued:
        if not held or request.trigger not in AUTOMATIC or request.id in released:
            return request
    return None


def back_off(tries: int, draw: float, *, first: float = FIRST, asked: float | None = None) -> float:
    """Seconds until another try, after so many failures in a row before this one, and never before Retry-After."""
    delay = min(LONGEST, first * 2.0 ** min(tries, 30)) * (0.5 + draw)
    return delay if asked is None else max(delay, spread(asked, draw))


def spread(seconds: float, draw: float) -> float:
    """A time that many devices may have been given, and some more, a tenth at most or 15 s: they must not come as one."""
    return seconds + draw * max(_SPREAD * seconds, FIRST)


def interval(every: float, jitter: float | None, draw: float) -> float:
    """Seconds from one scheduled check to the next."""
    return every + draw * (every * _SPREAD if jitter is None else jitter)


def gap(hurried: int) -> float:
    """Seconds at least after a check that was brought forward until the next one is; ``hurried`` of them failed in a row.

    A check that fails to connect is itself a change at the modems: were they all answered at once, it would never end.
    """
    return min(_LONGEST_GAP, _FIRST_GAP * 2.0 ** min(hurried - 1, 30)) if hurried else 0.0


def left_of(due: Due, wall: float) -> float:
    """Seconds until something is due that was noted before a restart or a reboot.

    The wall clock counts where it can be one, then and now; it never makes the time longer than it was.
    """
    if not (math.isfinite(due.at) and due.at >= BELIEVED and wall >= BELIEVED):
        return max(0.0, due.left)
    return max(0.0, min(due.at - wall, due.left))


def _same(one: Request, other: Request) -> bool:
    return (one.modem, one.number, one.timeout) == (other.modem, other.number, other.timeout)
