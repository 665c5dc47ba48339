"""One deadline for the whole command; every wait takes what is left of it. And the waits that servers ask for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC

from phonecheck.errors import DeadlineExceeded, ExitStatus


class Deadline:
    """A point on the monotonic clock.

    Args:
        seconds: how far off it is.
        clock: seconds, monotonic; tests hand in their own.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self._clock())

    @property
    def expired(self) -> bool:
        """Whether nothing is left."""
        return self.remaining() <= 0

    def within(self, seconds: float) -> Deadline:
        """The earlier of this deadline and one ``seconds`` from now."""
        return Deadline(min(seconds, self._at - self._clock()), self._clock)

    def postpone(self, seconds: float) -> None:
        """Move it, and none of those that were derived from it: for time that was spent and is not to count."""
        self._at += seconds

    def require(self, step: str, exit_status: ExitStatus) -> float:
        """Seconds left for a step.

        Raises:
            DeadlineExceeded: nothing is left; ``step`` completes the sentence "… before STEP".
        """
        left = self.remaining()
        if left <= 0:
            raise DeadlineExceeded(f"The time allowed passed before {step}.", exit_status=exit_status)
        return left


def retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """The seconds that a Retry-After asks for (RFC 9110 §10.2.3), never negative; None where it is absent or broken.

    Args:
        value: Retry-After.
        date: the same response's Date, against which a date in ``value`` is held: devices start with a wrong clock.
        now: seconds since the epoch, for a response without a Date.
    """
    value = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,10}", value):
        return float(value)
    until = _date(value)
    if until is None:
        return None
    since = _date(date or "")
    return max(0.0, until - (now if since is None else since))


def _date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
