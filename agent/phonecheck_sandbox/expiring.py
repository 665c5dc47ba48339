"""Things that are known by a key for a while; servers forget them in time, so none grows without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Expiring(Generic[T]):
    """A mapping that forgets.

    Args:
        lifetime: seconds each entry is kept.
        limit: so many entries; the oldest goes first.
        clock: seconds, monotonic.
    """

    def __init__(self, lifetime: float, *, limit: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._limit = limit
        self._clock = clock
        self._entries: dict[str, tuple[float, T]] = {}

    def put(self, key: str, value: T) -> None:
        """Keep a value under a key that is new."""
        now = self._clock()
        while self._entries:
            oldest = next(iter(self._entries))
            if len(self._entries) < self._limit and self._entries[oldest][0] > now:
                break
            del self._entries[oldest]
        self._entries[key] = (now + self._lifetime, value)

    def get(self, key: str | None) -> T | None:
        """The value, unless it is unknown or forgotten."""
        entry = self._entries.get(key or "")
        return entry[1] if entry and entry[0] > self._clock() else None

    def take(self, key: str | None) -> T | None:
        """The value, once: it is gone afterwards."""
        value = self.get(key)
        self._entries.pop(key or "", None)
        return value
