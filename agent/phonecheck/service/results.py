"""What callers of the D-Bus API are told: a check's result as a flat dictionary, and an error as a name.

The document of a check comes from a child process, and D-Bus is strict: one string that it cannot carry costs the whole
answer. So each value is made fit here, whatever was found.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from phonecheck.errors import ExitStatus
from phonecheck.service.model import Document, Record

TYPES: Mapping[str, str] = {
    "id": "s",
    "state": "s",
    "trigger": "s",
    "outcome": "s",
    "at": "x",
    "ms": "d",
    "exit_status": "u",
    "document": "s",
    "match": "b",
    "check_id": "s",
    "interface": "s",
    "operator": "s",
    "technology": "s",
    "signal": "u",
    "error_code": "s",
    "error_message": "s",
    "error_hint": "s",
    "retryable": "b",
}
"""The D-Bus signature of each value that a check's dictionary may have."""

MOST = 1000
"""Checks in one answer of ``History``."""

_LARGEST = 8 << 20  # of their documents; a bus drops the connection of whoever sends it 32 MiB at once
_STATUS = {"match": ExitStatus.MATCH, "no_match": ExitStatus.NO_MATCH}
_ERRORS = "org.phonecheck.Error."
_ERROR_NAME = re.compile(rf"{re.escape(_ERRORS)}((?:[A-Z][a-z0-9]*)+)")


def result_of(record: Record) -> dict[str, Any]:
    """What ``CheckCompleted`` says of a check; keys whose value is not known are left out."""
    document = record.document
    error = _mapping(document.get("error"))
    modem = _mapping(document.get("modem"))
    found = {
        "match": document.get("match"),
        "check_id": document.get("check_id"),
        "interface": _mapping(document.get("link")).get("interface"),
        "operator": modem.get("operator"),
        "technology": modem.get("technology"),
        "signal": _percent(modem.get("signal")),
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        "error_hint": error.get("hint"),
        "retryable": error.get("retryable"),
    }
    kinds = {"s": str, "b": bool, "u": int}
    return {
        "id": record.id,
        "trigger": record.trigger,
        "outcome": text(document.get("outcome")) or "inconclusive",
        "at": int(record.at) if math.isfinite(record.at) and abs(record.at) < 2**62 else 0,
        "ms": _ms(document.get("ms")),
        "exit_status": _exit_status(document),
        # ASCII throughout: what the child wrote as escapes stays so.
        "document": json.dumps(document),
    } | {
        key: text(value) if isinstance(value, str) else value
        for key, value in found.items()
        if isinstance(value, kinds[TYPES[key]]) and value != ""
    }


def fitting(checks: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first of the checks, as many as one answer may carry."""
    kept: list[Mapping[str, Any]] = []
    room = _LARGEST
    for check in checks:
        room -= len(check.get("document", ""))
        if room < 0 or len(kept) == MOST:
            break
        kept.append(check)
    return kept


def text(value: object) -> str:
    """A string that D-Bus can carry: without NUL, and without the halves of surrogate pairs that JSON can hold."""
    return value.replace("\0", "").encode(errors="replace").decode() if isinstance(value, str) else ""


def error_name(code: str) -> str:
    """The D-Bus error of a code: ``bad-option`` is ``org.phonecheck.Error.BadOption``."""
    return _ERRORS + "".join(word.capitalize() for word in code.split("-"))


def error_code(name: str) -> str | None:
    """The code of a D-Bus error; None where it is none of ours."""
    found = _ERROR_NAME.fullmatch(name)
    return "-".join(word.lower() for word in re.findall("[A-Z][a-z0-9]*", found[1])) if found else None


def _exit_status(document: Document) -> int:
    if (known := _STATUS.get(text(document.get("outcome")))) is not None:
        return int(known)
    status = _mapping(document.get("error")).get("exit_status")
    return status if type(status) is int and 0 <= status <= 255 else int(ExitStatus.BUG)  # a bool is none


def _percent(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= 100 else None  # a bool is none


def _ms(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
