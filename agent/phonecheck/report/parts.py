"""The parts that the sections of the page have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def absent(report: Mapping[str, Any], part: str) -> str:
    """Why a part is not there, in its place."""
    for entry in report.get("missing") or ():
        if entry.get("what") == part:
            cure = f" {escape(entry['cure'])}" if entry.get("cure") else ""
            return f'<p class="absent">Not collected: {escape(str(entry.get("why")))}{cure}</p>'
    return '<p class="absent">There is none.</p>'


def in_code(word: Any) -> str:
    """A word that programs know."""
    return f"<code>{escape(str(word))}</code>"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what is said of them."""
    inside = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<div class="scroll"><table class="facts"><tbody>{inside}</tbody></table></div>'


def flat(value: Any, name: str = "") -> Iterable[tuple[str, str]]:
    """A row for each value of a JSON value, by its path; what is empty is left to the JSON."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key != "schema":
                yield from flat(item, f"{name} {key}".strip().replace("_", " "))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for n, item in enumerate(value, 1):
            yield from flat(item, f"{name} {n}" if len(value) > 1 else name)
    elif value not in (None, "", []):
        yield name, said(value)


def said(value: Any) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "-" if value is None else moment(str(value))


def moment(at: Any) -> str:
    """A time as people write it; that of a clock that was not set yet is null; anything else as it is."""
    if at is None:
        return "time unknown"
    return f"{at[:10]} {at[11:19]} UTC" if isinstance(at, str) and _TIME.fullmatch(at) else str(at)
