"""An outcome in words for the journal, in fields to search the journal by, and in facts for hooks. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from phonecheck.service.model import Document, Record, Trigger
from phonecheck.service.triggers import BELIEVED

_WORDS: dict[Trigger, str] = {
    "start": "at start",
    "sim-change": "for another SIM",
    "schedule": "on schedule",
    "retry": "again after a failure",
    "request": "on request",
    "signal": "on a signal",
}


def reason(trigger: Trigger) -> str:
    """Why a check is made, to complete a sentence."""
    return _WORDS.get(trigger, trigger)


def sentence(record: Record) -> str:
    """What came of a check, in a line."""
    document = record.document
    error = document["error"]
    if error:
        return f"inconclusive, {error['code']}: {error['message']} {error['hint']} ({reason(record.trigger)})"
    link = document["link"]
    over = f" over {link['interface']}" if link else ""
    word = str(document["outcome"]).replace("_", " ")
    return f"{word}{over} in {document['ms']:.0f} ms ({reason(record.trigger)})"


def fields(record: Record) -> dict[str, str]:
    """The journal's fields of a check."""
    document = record.document
    return {
        "PHONECHECK_ID": record.id,
        "PHONECHECK_CHECK_ID": document["check_id"] or "",
        "PHONECHECK_OUTCOME": document["outcome"],
        "PHONECHECK_ERROR": (document["error"] or {}).get("code", ""),
        "PHONECHECK_TRIGGER": record.trigger,
        "PHONECHECK_MS": _ms(document),
    }


def facts(record: Record) -> dict[str, str]:
    """What a hook is told of a check; what is not known is empty."""
    document = record.document
    error = document["error"] or {}
    match, retryable = document["match"], error.get("retryable")
    return {
        "PHONECHECK_EVENT": "check-completed",
        "PHONECHECK_ID": record.id,
        "PHONECHECK_TRIGGER": record.trigger,
        "PHONECHECK_OUTCOME": document["outcome"],
        "PHONECHECK_MATCH": "" if match is None else _yes(match),
        "PHONECHECK_CHECK_ID": document["check_id"] or "",
        "PHONECHECK_ERROR_CODE": error.get("code", ""),
        "PHONECHECK_RETRYABLE": "" if retryable is None else _yes(retryable),
        "PHONECHECK_INTERFACE": (document["link"] or {}).get("interface") or "",
        "PHONECHECK_OPERATOR": (document["modem"] or {}).get("operator") or "",
        "PHONECHECK_MS": _ms(document),
        "PHONECHECK_AT": instant(record.at),
    }


def instant(at: float) -> str:
    """A point in time as ISO 8601 in UTC, to the second; empty for one that only a wrong clock can tell."""
    if at < BELIEVED:
        return ""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return ""


def _ms(document: Document) -> str:
    return f"{document['ms']:.1f}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
