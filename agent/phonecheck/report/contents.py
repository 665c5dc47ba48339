"""What is in a report, and in which order: the parts are asked for one by one, and one that fails costs only itself."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from phonecheck import document
from phonecheck.errors import AgentError
from phonecheck.report.scrub import Json, Surroundings, close

PARTS = ("diagnosis", "modem", "link", "service", "history", "versions", "configuration", "log")
CHECKS = 200
"""How many checks of the history a report tells of."""

# The doctor goes last: it may connect the modem and take it down again, and the others would see it in between.
_ASKED = (*PARTS[1:], PARTS[0])

_log = logging.getLogger(__name__)
Source = Callable[[], Any]


def compose(sources: Mapping[str, Source], around: Surroundings, now: dt.datetime) -> dict[str, Json]:
    """The whole document, scrubbed.

    Args:
        sources: what gives each of :data:`PARTS`; an AgentError of one, and any other, is the reason why it is missing.
        around: what must not be told.
        now: when it is made, in UTC.
    """
    found: dict[str, Any] = {}
    missing: list[dict[str, str]] = []
    for part in _ASKED:
        try:
            found[part] = sources[part]()
        except AgentError as error:
            found[part] = None
            missing.append({"what": part, "why": error.message, "cure": error.hint, "code": error.code})
        except Exception as error:  # noqa: BLE001  a bug in one part must not cost the others
            _log.debug("internal error", exc_info=True)
            bug = AgentError("internal-error", f"Unexpected {type(error).__name__} in the report's {part}.")
            found[part] = None
            missing.append({"what": part, "why": bug.message, "cure": bug.hint, "code": bug.code})
    head = {"schema": document.SCHEMA, "made_at": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    return close(head | {part: found[part] for part in PARTS} | {"missing": missing}, around)


def as_json(report: Mapping[str, Json]) -> str:
    """The JSON that is sent, as it is shown; it ends with a line break."""
    return json.dumps(report, ensure_ascii=False, indent=1) + "\n"


def history(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The service's checks, the newest first: each in short, and whole the last that failed and the last that matched."""
    recent = checks[:CHECKS]
    return {
        "checks": [_in_short(check) for check in recent],
        "last_failed": next((check for check in recent if _outcome(check) != "match"), None),
        "last_good": next((check for check in recent if _outcome(check) == "match"), None),
    }


def _in_short(check: Mapping[str, Any]) -> dict[str, Any]:
    result = check.get("result") or {}
    error, modem = result.get("error") or {}, result.get("modem") or {}
    return {
        "at": check.get("at"),
        "trigger": check.get("trigger"),
        "outcome": result.get("outcome"),
        "ms": result.get("ms"),
        "code": error.get("code"),
        "operator": modem.get("operator") or None,
        "signal": modem.get("signal"),
        "technology": modem.get("technology"),
    }


def _outcome(check: Mapping[str, Any]) -> Any:
    return (check.get("result") or {}).get("outcome")
