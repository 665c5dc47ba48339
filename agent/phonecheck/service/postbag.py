"""The form in which reports go to the process that delivers them, and in which it says what became of each: lines of JSON.

{"id": "…", "body": {…}}                                                        on its standard input
{"id": "…", "result": "…", "code": "…", "retry_after": null, "message": "…"}    on its standard output
{"schema": 1, "error": {…}}                                                     there too, where it could not work at all
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from phonecheck.errors import AgentError
from phonecheck.service.model import Delivery, Report

LINE_CAP = 256 * 1024
"""Bytes of a line; a report is under 30 KiB."""
POSTING_SECONDS = 60.0
"""For all posts of one bag."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_Result = Literal["delivered", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the process could not work at all, as far as it said."""

    code: str
    message: str
    retry_after: float | None = None


def report_line(report: Report) -> bytes:
    """A report, as a line."""
    return json.dumps({"id": report.id, "body": report.body}).encode() + b"\n"


def report_of(line: bytes) -> Report:
    """The report of a line.

    Raises:
        ValueError: it is none.
    """
    values = _object(line)
    key, body = values.get("id"), values.get("body")
    if not isinstance(key, str) or not _ID.fullmatch(key) or not isinstance(body, dict):
        raise ValueError("not a report")
    return Report(key, body)


def verdict_line(key: str | None, result: str, error: AgentError | None = None, *, code: str = "") -> str:
    """What became of a report, without the line's end; ``key`` is None where its own line was not understood."""
    values: dict[str, Any] = {
        "id": key,
        "result": result,
        "code": error.code if error else code,
        "retry_after": error.retry_after if error else None,
        "message": f"{error.message} {error.hint}" if error else "",
    }
    return json.dumps(values)


def delivery_of(line: bytes) -> tuple[Delivery, str]:
    """What a line says became of a report, and the sentences of why.

    Raises:
        ValueError: it says no such thing.
    """
    values = _object(line)
    key, result = values.get("id"), values.get("result")
    if not isinstance(key, str) or result not in get_args(_Result):
        raise ValueError("not a verdict")
    code, wait = _word(values.get("code")), _seconds(values.get("retry_after"))
    return Delivery(key, cast("_Result", result), code, wait), _sentence(values)


def failure_of(line: bytes) -> Failure:
    """Why the process could not work.

    Raises:
        ValueError: the line does not say.
    """
    error = _object(line).get("error")
    if not isinstance(error, dict) or not _word(error.get("code")):
        raise ValueError("not a failure")
    return Failure(_word(error["code"]), _sentence(error), _seconds(error.get("retry_after")))


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_CAP:
        raise ValueError("too long")
    try:
        values = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(values, dict):
        raise ValueError("not an object")  # noqa: TRY004  of the wrong form, like any other line
    return values


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,63}", value) else ""


def _sentence(values: Mapping[str, Any]) -> str:
    said = " ".join(part for part in (values.get("message"), values.get("hint")) if isinstance(part, str))
    return "".join(character for character in said[:1000] if character.isprintable()).strip()


def _seconds(value: object) -> float | None:
    # To isinstance a bool is an int; json reads NaN, Infinity, and whole numbers that no float holds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12 or math.isnan(value):
        return None
    return float(value)
