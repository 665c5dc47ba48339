"""Things that are to happen later: once in this process, or whatever happens to process, device and clock meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from phonecheck.service import triggers
from phonecheck.service.model import Due, DueName
from phonecheck.service.ports import Cancel, Loop, Memory

_LATE = 60.0
"""Seconds from which something that is due and does not happen was lost."""


class Once:
    """Something that is to happen once in this process.

    Args:
        loop: where.
        do: what; it may set a new time.
    """

    def __init__(self, loop: Loop, do: Callable[[], None]) -> None:
        self._loop = loop
        self._do = do
        self._at = 0.0
        self._timer: Cancel | None = None

    def set(self, seconds: float) -> None:
        """Have it happen in so many seconds, and not when it was to happen before."""
        self.clear()
        self._at = self._loop.now() + seconds
        self._timer = self._loop.later(seconds, self._come)

    def clear(self) -> None:
        """Have it not happen."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def left(self) -> float | None:
        """Seconds until it happens; None where it is not to."""
        return None if self._timer is None else max(0.0, self._at - self._loop.now())

    @property
    def lost(self) -> bool:
        """Whether it should have happened long ago."""
        return self._timer is not None and self._loop.now() > self._at + _LATE

    def _come(self) -> None:
        self._timer = None
        self._do()


class Alarm:
    """Something that is to happen later even if the process or the device ends before.

    What the memory holds of it stays there when it happens: only what came of it says what is due next, and a process
    that ends in between has it happen again.

    Args:
        name: by which the memory knows it.
        loop: where it happens.
        memory: what outlives the process.
        do: what happens.
    """

    def __init__(self, name: DueName, loop: Loop, memory: Memory, do: Callable[[], None]) -> None:
        self._name = name
        self._loop = loop
        self._memory = memory
        self._once = Once(loop, do)
        self._due: Due | None = None
        self._inherited = False

    @property
    def left(self) -> float | None:
        """Seconds until it happens; None where it is not to, or has happened."""
        return self._once.left

    @property
    def lost(self) -> bool:
        """Whether it should have happened long ago."""
        return self._once.lost

    @property
    def tries(self) -> int:
        """Failures in a row behind it, also while it happens."""
        return self._due.tries if self._due else 0

    @property
    def code(self) -> str:
        """The error code of the last of them."""
        return self._due.code if self._due else ""

    def set(self, seconds: float, *, tries: int = 0, code: str = "") -> None:
        """Have it happen in so many seconds."""
        self._note(seconds, tries, code)
        self._once.set(seconds)

    def clear(self) -> None:
        """Have it not happen."""
        self._once.clear()
        if self._due is not None:
            self._due = None
            self._memory.set_due(self._name, None)

    def resume(self, *, least: float = 0.0, most: float = float("inf")) -> None:
        """Take up what the memory holds of it, to happen within these bounds, in seconds from now."""
        self._due = self._memory.due(self._name)
        self._inherited = True
        if self._due is not None:
            self._once.set(max(least, min(most, triggers.left_of(self._due, self._loop.wall()))))

    def pause(self) -> None:
        """Have it not happen in this process; the memory keeps it."""
        self._once.clear()

    def clock_set(self) -> None:
        """The wall clock was set: the date in the memory is to be right by the new one.

        A date of a former process was noted by another clock than the one that was wrong until now. So it is only now known
        how much of the time is over.
        """
        left, due = self._once.left, self._due
        if due is None or left is None:
            return
        if self._inherited:
            if self._loop.wall() < triggers.BELIEVED:
                return
            left = min(left, triggers.left_of(self._memory.due(self._name) or due, self._loop.wall()))
            self._once.set(left)
        self._note(left, due.tries, due.code)

    def _note(self, seconds: float, tries: int, code: str) -> None:
        self._due = Due(self._loop.wall() + seconds, seconds, tries, code)
        self._inherited = False
        self._memory.set_due(self._name, self._due)
