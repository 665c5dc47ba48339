"""What the checks since the service's start came to, counted on the way to the D-Bus API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phonecheck.service import results
from phonecheck.service.model import Record
from phonecheck.service.ports import Listener

Totals = list[tuple[str, str, int, float]]
"""Outcome, error code (empty where there is none), how many, and how many seconds they took in all."""
_MOST = 200
"""Pairs of outcome and code that are told apart: three times as many as there are."""
_OTHER = "other"


class Tally:
    """Counts each outcome, then tells whoever listens; the agent's Listener.

    In memory: Prometheus knows counters that begin anew. When the last match was is not one of those, and is the store's.

    Args:
        listener: the D-Bus API.
        changed: told, as well, when a property may have another value.
        last_match: the last match that is remembered from before.
        find: a check that is remembered, by its id.
    """

    def __init__(
        self,
        listener: Listener,
        changed: Callable[[], None],
        last_match: Record | None,
        find: Callable[[str], Record | None],
    ) -> None:
        self._listener, self._also, self._find = listener, changed, find
        self._last = last_match
        self._counted: dict[tuple[str, str], tuple[int, float]] = {}

    @property
    def totals(self) -> Totals:
        """What was counted, in order of outcome and code."""
        return [(*pair, *sums) for pair, sums in sorted(self._counted.items())]

    @property
    def last_match(self) -> float:
        """When the last check was begun that was a match, in seconds since the epoch; 0.0 where none is known."""
        return self._last.at if self._last else 0.0

    def clock_set(self) -> None:
        """The wall clock was set, and the store has written the times of this boot anew."""
        if self._last:
            self._last = self._find(self._last.id) or self._last

    def check_started(self, id: str) -> None:  # noqa: A002  the API's own word
        """A check was begun."""
        self._listener.check_started(id)

    def check_completed(self, record: Record) -> None:
        """A check has its outcome, and it is in the store."""
        found: dict[str, Any] = results.result_of(record)
        pair = (found["outcome"], found.get("error_code", ""))
        if pair not in self._counted and len(self._counted) >= _MOST:
            pair = (found["outcome"], _OTHER)
        count, seconds = self._counted.get(pair, (0, 0.0))
        self._counted[pair] = (count + 1, seconds + found["ms"] / 1000)
        if found["outcome"] == "match":
            self._last = record
        self._listener.check_completed(record)

    def sim_changed(self, shown: str) -> None:
        """Another SIM is in a modem."""
        self._listener.sim_changed(shown)

    def changed(self) -> None:
        """A property may have another value."""
        self._listener.changed()
        self._also()
