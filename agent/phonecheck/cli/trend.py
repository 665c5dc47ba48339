"""What many checks come to, in a line: how they ended, and how long they took and how the signal was, as a curve. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BLOCKS, _PLAIN = "▁▂▃▄▅▆▇█", "_.:-=+*#"
_WORDS = {"match": "match", "no_match": "no match", "inconclusive": "inconclusive"}
_SHORTEST = 6
"""Values that a curve must have room for beside something else; with less it gets a line of its own."""


def curve(values: Sequence[float | None], top: float, encoding: str | None) -> str:
    """A character for each value, from the lowest at 0 to the highest at ``top``; a space where there is no value.

    Args:
        values: none below 0.
        top: above 0.
        encoding: of the stream; blocks where it has them, else plain characters that grow darker.
    """
    levels = _BLOCKS if _has(encoding, _BLOCKS) else _PLAIN
    last = len(levels) - 1
    return "".join(" " if value is None else levels[min(last, int(value / top * len(levels)))] for value in values)


def bar(percent: int, length: int, encoding: str | None) -> str:
    """A bar of so many characters, filled by a part of 100; empty where that is too short to tell anything."""
    if length < 10:
        return ""
    full, rest = "█░" if _has(encoding, "█░") else "#-"
    filled = round(percent / 100 * length)
    return full * filled + rest * (length - filled)


def counts(results: Sequence[Mapping[str, Any]]) -> str:
    """``17 match, 3 inconclusive (2 not-registered, 1 hop-timeout)``."""
    return in_words(Counter((result["outcome"], result.get("error_code", "")) for result in results))


def in_words(counted: Mapping[tuple[str, str], int]) -> str:
    """The same of numbers by outcome and error code; the most frequent codes first."""
    parts = []
    for outcome, word in _WORDS.items():
        of_it = {code: number for (name, code), number in counted.items() if name == outcome}
        if not of_it:
            continue
        codes = sorted(((code, number) for code, number in of_it.items() if code), key=lambda one: (-one[1], one[0]))
        why = ", ".join(f"{number} {code}" for code, number in codes)
        parts.append(f"{sum(of_it.values())} {word}{f' ({why})' if why else ''}")
    return ", ".join(parts)


def trend(results: Sequence[Mapping[str, Any]], room: int, encoding: str | None) -> str:
    """One line of so many characters, or more where that is too little: the newest at the right.

    Args:
        results: the newest first, at least one.
        room: characters of a line.
        encoding: of the stream.
    """
    said = f"last {len(results)}: {counts(results)}"
    drawn = [_Curve("ms", [float(result["ms"]) for result in reversed(results)], 0.0)]
    signals = [result.get("signal") for result in reversed(results)]
    if any(signal is not None for signal in signals):
        drawn.append(_Curve("signal", signals, 100.0))
    # What each of the curves may take beside the counts, and beside each other below them.
    beside, below = (room - len(said)) // len(drawn) - 2, (room - 2) // len(drawn)
    if all(one.fits(beside) for one in drawn):
        return "  ".join([said, *(one.text(beside, encoding) for one in drawn)])
    lines = textwrap.wrap(said, max(room, 8), subsequent_indent="  ", break_on_hyphens=False)
    if all(one.fits(below) for one in drawn):
        return "\n".join([*lines, "  ".join(one.text(below, encoding) for one in drawn)])
    return "\n".join([*lines, *(one.text(room, encoding) for one in drawn)])


@dataclass(frozen=True, slots=True)
class _Curve:
    """A curve with its name and range; ``top`` is 0 where it is the greatest value."""

    name: str
    values: Sequence[float | None]
    top: float

    def fits(self, room: int) -> bool:
        """Whether there is room for it, or at least for enough of it."""
        return self._room(room) >= min(_SHORTEST, len(self.values))

    def text(self, room: int, encoding: str | None) -> str:
        """It in so many characters, its newest values where there is not room for all."""
        shown = self.values[-max(self._room(room), 1) :]
        known = [value for value in shown if value is not None]
        if not known:
            return f"{self.name} -"
        low, high = f"{min(known):.0f}", f"{max(known):.0f}"
        drawn = curve(shown, self.top or max(*known, 1.0), encoding)
        return f"{self.name} {low if low == high else f'{low}-{high}'} {drawn}"

    def _room(self, room: int) -> int:
        """For the values, beside the longest range that any of them can have."""
        longest = max(len(f"{value:.0f}") for value in self.values if value is not None)
        return room - len(f"{self.name} ") - 2 * longest - len("- ")


def _has(encoding: str | None, characters: str) -> bool:
    try:
        characters.encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
