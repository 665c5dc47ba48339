"""What is made of a check's process: its own document where that is one, else one that says how it ended. Pure.

The store, D-Bus, hooks and the app server read what comes from here, so nothing of another shape gets past.
"""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from phonecheck import document
from phonecheck.errors import ExitStatus, ServiceError
from phonecheck.model import Outcome, PhoneNumber
from phonecheck.service.model import Document, Finished

LARGEST = 64 * 1024
"""Bytes of a document's JSON. One that is larger loses its hops, whose number ``hops_dropped`` then says."""
_DEPTH = 12
_LONGEST = 4096
_CODE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_MATCH = {"match": True, "no_match": False, "inconclusive": None}
_BUGS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP})
_UNSTARTED = "Free memory or processes, or raise MemoryMax= and TasksMax= of the unit: systemctl edit phonecheck-agent."


def document_of(finished: Finished, *, number: PhoneNumber | None = None, ms: float = 0.0) -> Document:
    """The document of a check whose process ended so.

    A whole document counts also where a signal ended the process afterwards: it was taking leave of its peers. For a check
    that ran when the service itself ended, ``Finished(cancelled=True)`` says so.

    Args:
        finished: how the process ended.
        number: what was to be verified, where the request said.
        ms: how long it took, in milliseconds.
    """
    found = None if finished.overflow else _read(finished.stdout)
    if found is not None and (finished.signal is not None or finished.status == _status(found)):
        return found
    return document.of_outcome(Outcome("inconclusive", number=number, ms=ms, error=_failure(finished)))


def _failure(finished: Finished) -> ServiceError:
    code, hint = "check-crashed", None
    if finished.cancelled:
        code, message = "check-interrupted", "The service ended, or called the check off, before it had an answer."
    elif finished.hung:
        code, message = "check-hung", "The check was not done within its time, and was ended."
    elif finished.failed:
        message, hint = f"The check could not be started: {finished.failed}.", _UNSTARTED
    elif finished.overflow:
        code, message = "check-garbled", "The check printed more than an answer, and was ended."
    elif finished.signal is not None:
        code, message = "check-killed", f"The check was ended by {_signal(finished.signal)}, not by the service."
        hint = ServiceError.cures["check-crashed"] if finished.signal in _BUGS else None
    elif not finished.stdout.strip() or finished.status == ExitStatus.BUG or _read(finished.stdout) is not None:
        message = f"The check ended with exit status {finished.status} and without the answer to it."
    else:
        code, message = "check-garbled", "What the check printed is not an answer."
    return ServiceError(code, message, hint=hint)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _status(found: Document) -> int:
    """The exit status that goes with a document."""
    if found["error"] is None:
        return int(ExitStatus.MATCH if found["match"] else ExitStatus.NO_MATCH)
    status: int = found["error"]["exit_status"]
    return status


def _read(printed: bytes) -> Document | None:
    """The one document that was printed; None where it is anything else."""
    try:
        found = json.loads(printed.decode(), parse_constant=_refuse)
        if not isinstance(found, dict) or not _sound(found, _DEPTH) or not _of_shape(found):
            return None
        return _fitting(found)
    except (ValueError, RecursionError):
        return None


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)  # NaN, Infinity: Python's, and not JSON


def _fitting(found: Document) -> Document | None:
    if _size(found) > LARGEST:
        found = found | {"hops": [], "hops_dropped": len(found["hops"])}
    return found if _size(found) <= LARGEST else None


def _size(found: Document) -> int:
    # A lone surrogate, which JSON can hold and nothing else, raises here.
    return len(json.dumps(found, ensure_ascii=False).encode())


def _sound(value: Any, depth: int) -> bool:
    """Whether SQLite, D-Bus, an environment and another JSON parser all can carry it."""
    match value:
        case str():
            return "\0" not in value
        case float():
            return math.isfinite(value)
        case int():  # bool too
            return -(2**63) <= value < 2**63
        case list():
            return depth > 0 and all(_sound(each, depth - 1) for each in value)
        case dict():
            return depth > 0 and all(_sound(key, 0) and _sound(each, depth - 1) for key, each in value.items())
    return value is None


_Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _code(value: Any) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _list(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(check(each) for each in value)


def _object(**checks: _Check) -> _Check:
    """An object with at least these keys."""
    return lambda value: isinstance(value, dict) and all(key in value and checks[key](value[key]) for key in checks)


_text_or_null = _or_null(_text)
_shape = _object(
    schema=lambda value: type(value) is int and value == document.SCHEMA,
    outcome=lambda value: isinstance(value, str) and value in _MATCH,
    match=_or_null(_truth),
    check_id=_text_or_null,
    phone_number=_text_or_null,
    modem=_or_null(
        _object(
            id=_text_or_null,
            operator=_text_or_null,
            operator_code=_text_or_null,
            registration=_text_or_null,
            technology=_text_or_null,
            signal=_or_null(_count),
        )
    ),
    link=_or_null(_object(interface=_text, family=_or_null(_count), source=_text_or_null, dns=_list(_text))),
    hops=_list(_object(n=_count, url=_text, status=_or_null(_count))),
    http_status=_or_null(_count),
    ms=_number,
    error=_or_null(
        _object(
            code=_code,
            message=_text,
            hint=_text,
            retryable=_truth,
            retry_after=_or_null(_number),
            exit_status=lambda value: _count(value) and 0 < value < 256,
        )
    ),
)


def _of_shape(found: Document) -> bool:
    """Whether it is a document of `verify`, and at one with itself."""
    return (
        _shape(found)
        and found["match"] is _MATCH[found["outcome"]]
        and (found["error"] is None) is (found["match"] is not None)
    )
