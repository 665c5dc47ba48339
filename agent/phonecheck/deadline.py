"""One deadline for the whole command; every wait takes what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable

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
