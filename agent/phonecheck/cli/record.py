"""A check that the service made, as its D-Bus API tells of it, for people and for programs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import Any

from phonecheck.cli.console import style

_WORDS = {"match": ("MATCH", "green"), "no_match": ("NO MATCH", "red"), "inconclusive": ("INCONCLUSIVE", "yellow")}
_BELIEVABLE = 1_704_067_200
"""2024: a device whose clock says less has not yet been told the time."""


def as_object(result: dict[str, Any]) -> dict[str, Any]:
    """The JSON object of a check: when and why it was made, and the object of `verify`."""
    return {
        "id": result["id"],
        "trigger": result["trigger"],
        "at": when(result["at"]),
        "exit_status": result["exit_status"],
        "result": json.loads(result["document"]),
    }


def line(result: dict[str, Any], now: float | None = None) -> str:
    """One line: when, outcome, why where it is none, operator, duration, and why it was made."""
    word, colour = _WORDS.get(result["outcome"], (result["outcome"], None))
    at, trigger, ms = result["at"], result["trigger"], f"{result['ms']:.0f} ms"
    if now is None:  # one of a table
        word, trigger, ms = f"{word:<12}", f"{trigger:<10}", f"{ms:>9}"
    facts = [
        when(at) if now is None else f"{when(at)} ({ago(at, now)})",
        style(sys.stdout, word, fg=colour, bold=True),
        ms,
        trigger,
        result.get("operator", ""),
        result.get("error_code", ""),
    ]
    return "  ".join(fact for fact in facts if fact).rstrip()


def when(at: float) -> str:
    """A time of the wall clock, in UTC; of a clock that was not set yet a dash."""
    if not _BELIEVABLE <= at < 253_402_300_800:  # the year 10000
        return "-"
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def ago(at: float, now: float) -> str:
    """How far a time is from now: ``5 min ago``, ``in 3 h``."""
    distance = abs(now - at)
    for unit, seconds, upto in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48), ("d", 86400, 1e9)):
        if distance < seconds * upto:
            amount = f"{distance / seconds:.0f} {unit}"
            break
    return f"in {amount}" if at > now else f"{amount} ago"
