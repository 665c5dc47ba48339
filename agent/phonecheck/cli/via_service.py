"""`phonecheck verify --via-service`: the check is the service's; its answer is shown here."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from phonecheck.cli.console import columns, print_answer, print_cause, print_json, say, style
from phonecheck.cli.leaving import guarded

if TYPE_CHECKING:
    from phonecheck.model import PhoneNumber

_WAIT_SECONDS = 900.0
"""For the check itself and for those that are queued before it."""


def verify_there(number: PhoneNumber | None, modem: str | None, timeout: float | None, *, as_json: bool) -> int:
    """Ask the service for a check, wait for its outcome, and show it; returns its exit status."""
    from phonecheck.cli.answer import fail
    from phonecheck.deadline import Deadline
    from phonecheck.service.client import AgentClient

    def work() -> int:
        with AgentClient() as agent:
            check = agent.verify(number, modem, timeout)
            result = agent.wait(check, Deadline(_WAIT_SECONDS))
        return show(result, as_json=as_json)

    return guarded(work, lambda error: fail(error, as_json=as_json))


def show(result: dict[str, Any], *, as_json: bool) -> int:
    """The outcome of a check as D-Bus tells it; returns its exit status."""
    document = json.loads(result["document"])
    if as_json:
        print_json(document)
        return int(result["exit_status"])
    print_answer(_page(document))
    if error := document.get("error"):
        say("")
        print_cause(error["message"], error["hint"], error["code"], result["exit_status"], retryable=error["retryable"])
    return int(result["exit_status"])


_VERDICTS = {
    "match": ("MATCH", "green", "The SIM in this device has {}."),
    "no_match": ("NO MATCH", "red", "The SIM in this device does not have {}."),
    "inconclusive": ("INCONCLUSIVE", "yellow", "Whether the SIM in this device has {} could not be found out."),
}


def _page(document: dict[str, Any]) -> str:
    word, colour, sentence = _VERDICTS[document["outcome"]]
    number = f"the number {document['phone_number']}" if document.get("phone_number") else "that number"
    lines = [f"{style(sys.stdout, word, fg=colour, bold=True)}  {sentence.format(number)}", ""]
    modem, link = document.get("modem") or {}, document.get("link") or {}
    facts = {
        "check": document.get("check_id"),
        "modem": "  ".join(
            str(modem[key]) for key in ("id", "operator", "registration", "technology") if modem.get(key)
        ),
        "link": "  ".join(str(link[key]) for key in ("interface", "source") if link.get(key)),
        "time": f"{document.get('ms') or 0:.0f} ms, {len(document.get('hops') or ())} hops",
    }
    lines += [f"  {name:<6} {value}" for name, value in facts.items() if value]
    if document.get("hops"):
        from phonecheck.cli.waterfall import waterfall

        lines += ["", waterfall(document["hops"], columns(sys.stdout))]
    return "\n".join(lines)
