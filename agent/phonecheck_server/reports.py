"""What devices report of their checks: each report once, however often it comes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from phonecheck_server.problems import bad_request

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_OUTCOMES = ("match", "no_match", "inconclusive")


@dataclass(frozen=True, slots=True)
class Report:
    """A report of one check.

    Attributes:
        device: whose it is.
        id: the device's id of it; another device may have the same.
        trigger: why the check was made, in the device's word.
        at: when, ISO 8601; None where the device did not know the time.
        outcome: ``match``, ``no_match`` or ``inconclusive``.
        error_code: of an inconclusive one.
        document: the outcome with its evidence, as docs/json.md describes it. What a device says of itself.
    """

    device: str
    id: str
    trigger: str
    at: str | None
    outcome: str
    error_code: str | None
    document: dict[str, object]


class Reports(Protocol):
    """Where reports go. A store that outlives the process implements this."""

    async def take(self, report: Report) -> bool:
        """Keep a report; False where this device's report of this id is kept already.

        It is kept when this returns: the device then forgets it. What it raises is a 500, and the device comes again.
        """


class Seen:
    """Keeps which reports came, and nothing of what is in them. Bounded, in memory: the log has the rest.

    Args:
        share: ids of one device; as many as a device keeps reports by default.
        limit: ids of all devices.
    """

    def __init__(self, *, share: int = 500, limit: int = 100_000) -> None:
        self._share, self._limit = share, limit
        # Dictionaries keep the order in which keys came.
        self._ids: dict[str, dict[str, None]] = {}
        self._order: dict[tuple[str, str], None] = {}

    async def take(self, report: Report) -> bool:
        """Remember a report's id; the oldest is forgotten for it where there is no room."""
        ids = self._ids.setdefault(report.device, {})
        if report.id in ids:
            return False
        if len(ids) >= self._share:
            self._forget(report.device, next(iter(ids)))
        elif len(self._order) >= self._limit:
            self._forget(*next(iter(self._order)))
        self._ids.setdefault(report.device, {})[report.id] = None
        self._order[report.device, report.id] = None
        return True

    def __len__(self) -> int:
        return len(self._order)

    def _forget(self, device: str, report: str) -> None:
        del self._order[device, report]
        del self._ids[device][report]
        if not self._ids[device]:
            del self._ids[device]


def parse_report(device: str, key: str | None, body: dict[str, object]) -> Report:
    """The report in a request's body.

    Args:
        device: who sent it.
        key: the header Idempotency-Key; as a structured field, in quotes, or bare.
        body: the request's.

    Raises:
        ProblemError: 400.
    """
    key = (key or "").strip()
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise bad_request("The header Idempotency-Key is missing, or not of 1 to 64 letters, digits, '-' and '_'.")
    if body.get("report") != key:
        raise bad_request("report is not what the header Idempotency-Key says.")
    trigger, at, document = body.get("trigger"), body.get("at"), body.get("outcome")
    if not isinstance(trigger, str) or not _CODE.fullmatch(trigger):
        raise bad_request("trigger is missing, or not a word.")
    if at is not None and not (isinstance(at, str) and at.isascii() and at.isprintable() and len(at) <= 40):
        raise bad_request("at is neither a time nor null.")
    if not isinstance(document, dict) or document.get("outcome") not in _OUTCOMES:
        raise bad_request(f"outcome is missing, or its own outcome is not one of: {', '.join(_OUTCOMES)}.")
    return Report(device, key, trigger, at, str(document["outcome"]), _error_code(document.get("error")), document)


def _error_code(error: object) -> str | None:
    if error is None:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise bad_request("The outcome's error has no code.")
    return code
