"""A check that the service made, as its D-Bus API tells of it, for people and for programs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from phonecheck.cli.console import style
from phonecheck.cli.table import Column, cut, lines, total

_WORDS = {"match": ("MATCH", "green"), "no_match": ("NO MATCH", "red"), "inconclusive": ("INCONCLUSIVE", "yellow")}
_BELIEVABLE = 1_704_067_200
"""2024: a device whose clock says less has not yet been told the time."""
_LEAST = 10
"""Characters of an error code that still tell it from most others."""


def as_object(result: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a check: when and why it was made, what is asked for first, and the object of `verify`."""
    return {
        "id": result["id"],
        "trigger": result["trigger"],
        "at": stamp(result["at"]),
        "exit_status": result["exit_status"],
        **{key: result.get(key) for key in ("operator", "technology", "signal", "error_code")},
        "result": json.loads(result["document"]),
    }


def word(result: Mapping[str, Any]) -> tuple[str, str | None]:
    """The outcome, and its colour."""
    outcome: str = result["outcome"]
    return _WORDS.get(outcome, (outcome, None))


def line(result: Mapping[str, Any], now: float) -> str:
    """One line, without colour: outcome, when, duration, why it was made, and over what."""
    signal = result.get("signal")
    facts = [
        word(result)[0],
        told(result["at"], now),
        f"{result['ms']:.0f} ms",
        result["trigger"],
        result.get("operator", ""),
        result.get("technology", ""),
        "" if signal is None else f"{signal} %",
    ]
    return "  ".join(fact for fact in facts if fact)


def table(results: Sequence[Mapping[str, Any]], room: int, dots: str = "…") -> list[str]:
    """A line of titles and a line for each check, the columns that matter most where there is not room for all.

    Args:
        results: as they are to be shown, at least one.
        room: characters of a line.
        dots: what stands for what is cut off.
    """
    times = [when(result["at"]) for result in results]

    def paint(text: str, row: int) -> str:
        return style(sys.stdout, text, fg=word(results[row])[1], bold=True)

    def texts(key: str) -> list[str]:
        return [str(result.get(key, "")) for result in results]

    full = {
        "when": Column("when", times),
        "outcome": Column("outcome", [word(result)[0] for result in results], paint=paint),
        "ms": Column("ms", [f"{result['ms']:.0f}" for result in results], right=True),
        "trigger": Column("trigger", texts("trigger")),
        "operator": Column("operator", texts("operator")),
        "technology": Column("tech", texts("technology")),
        "signal": Column("signal", [f"{result['signal']} %" if "signal" in result else "" for result in results], True),
        "error": Column("error", texts("error_code")),
    }
    # To the minute and without the year; by the hour alone where there is no room for that either.
    minute = Column("when", [time[5:16].replace("T", " ") or time for time in times])
    short = {"operator": Column("operator", [cut(name, 14, dots) for name in texts("operator")]), "when": minute}
    shown = {"when": short["when"], "outcome": full["outcome"]}
    if total(shown.values()) > room:
        shown["when"] = Column("when", [time[11:16] or time for time in times])
    for name in ("error", "ms", "signal", "operator", "technology", "trigger"):
        column = short.get(name, full[name])
        left = room - total([*shown.values(), Column("", [""])])
        if name == "error" and _LEAST <= left < column.width:
            column = Column("error", [cut(code, left, dots) for code in column.cells])
        if not column.empty and column.width <= left:
            shown[name] = column
    for name in short:
        if name in shown and total((shown | {name: full[name]}).values()) <= room:
            shown[name] = full[name]
    return lines([shown[name] for name in full if name in shown])


def when(at: float) -> str:
    """A time of the wall clock, in UTC; of a clock that was not set yet a dash."""
    if not _BELIEVABLE <= at < 253_402_300_800:  # the year 10000
        return "-"
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def stamp(at: float) -> str | None:
    """The same for programs; None of a clock that was not set yet."""
    shown = when(at)
    return None if shown == "-" else shown


def told(at: float, now: float) -> str:
    """A time and how far it is from now; the time alone where the clock was set between the two."""
    return f"{when(at)} ({ago(at, now)})" if (stamp(at) is None) == (stamp(now) is None) else when(at)


def ago(at: float, now: float) -> str:
    """How far a time is from now: ``5 min ago``, ``in 3 h``."""
    distance = abs(now - at)
    for unit, seconds, upto in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48), ("d", 86400, 1e9)):
        if distance < seconds * upto:
            amount = f"{distance / seconds:.0f} {unit}"
            break
    return f"in {amount}" if at > now else f"{amount} ago"
