"""What the app server's answers mean: bodies to facts, statuses to errors. Pure.

Text of an answer reaches a message only through :func:`_short`: a server may well echo the number it was sent.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Literal

from phonecheck import redact
from phonecheck.errors import AgentError, CheckError, ServerError
from phonecheck.model import Check

DEFAULT_TTL = 60.0
"""Seconds, where the server names none: the shorter of the two that the platform documents."""
MAX_TTL = 3600.0

Step = Literal["create", "finish", "report"]
"""What was asked of the server: to create a check, to finish it, or to take a report of one."""

_ASKED: dict[Step, str] = {"create": "to create the check", "finish": "for the result", "report": "to take a report"}
DONE: dict[Step, str] = {
    "create": "the app server had created the check",
    "finish": "the app server gave the result",
    "report": "the app server had taken the report",
}
"""Each completes the sentence "The time allowed passed before …"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response. ``retry_after`` is in seconds, None where it says nothing of it."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None


def parse_check(body: bytes) -> Check:
    """Read ``{"check_id", "check_url", "ttl"?}``; the URL's own rules are chain's to hold.

    Raises:
        ServerError: protocol-mismatch.
    """
    values = _json_object(body, "create")
    check_id, url, ttl = values.get("check_id"), values.get("check_url"), values.get("ttl")
    if not isinstance(check_id, str) or not 0 < len(check_id) <= 128 or not check_id.isprintable():
        raise _mismatch("The app server's check has no check_id of 1 to 128 printable characters.")
    if not isinstance(url, str) or not url:
        raise _mismatch("The app server's check has no check_url.")
    if ttl is None:
        return Check(check_id, url, DEFAULT_TTL)
    # To isinstance a bool is an int.
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not ttl > 0:
        raise _mismatch("The app server's check has a ttl that is not a number of seconds above 0.")
    return Check(check_id, url, float(min(ttl, MAX_TTL)))


def parse_match(body: bytes, check: Check) -> bool | None:
    """Read ``{"match": bool}``; None where there is no boolean match yet.

    Raises:
        ServerError: protocol-mismatch, also for a check_id in it that is another check's.
    """
    values = _json_object(body, "finish")
    if values.get("check_id", check.id) != check.id:
        raise _mismatch("The app server answered with the result of another check.")
    match = values.get("match")
    return match if isinstance(match, bool) else None


def _json_object(body: bytes, step: Step) -> dict[str, object]:
    try:
        values = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _mismatch(f"The app server, asked {_ASKED[step]}, answered with something that is not JSON.") from None
    if not isinstance(values, dict):
        raise _mismatch(f"The app server, asked {_ASKED[step]}, answered with JSON that is not an object.")
    return values


def _no_number(constant: str) -> float:
    raise ValueError(constant)  # Infinity and NaN are Python's, not JSON's


def _mismatch(message: str) -> ServerError:
    return ServerError("protocol-mismatch", message)


def too_many(step: Step, wait: float | None) -> ServerError:
    """The error of a 429 that the deadline leaves no time to wait for.

    It is server-rejected and so not retryable: a device that was told to wait must not come back at once.
    """
    asks = "without saying how long to wait" if wait is None else f"and asks to wait {math.ceil(wait)} s"
    longer = "" if step == "report" else ", or allow more with --timeout"
    hint = "Ask less often." if wait is None else f"Try again in {math.ceil(wait)} s{longer}."
    return ServerError(
        "server-rejected", f"The app server, asked {_ASKED[step]}, answered 429 {asks}.", hint=hint, retry_after=wait
    )


# The platform's problems (api-errors) that a server passes on keep their meaning, whatever status carries them.
_FROM_PLATFORM = {
    "not_mobile_ip": ("not-mobile-ip", "the device's address is not a mobile operator's"),
    "ip_msisdn_mismatch": ("number-operator-mismatch", "the number belongs to another operator than the address"),
    "mno_not_supported": ("operator-unsupported", "it does not support this operator"),
    "mno_redirect_unsupported": ("operator-unsupported", "this operator does not support the redirect"),
    "check_expired": ("check-expired", "the check has expired"),
    "ip_mismatch": ("platform-error", "the device's address changed while the check ran"),
}


def refusal(answer: Answer, step: Step, asked: str, *, authenticated: bool) -> AgentError:
    """The error of an answer that is no answer.

    Args:
        answer: of any status that the step does not expect; 429 is :func:`too_many`.
        step: what was asked for.
        asked: method and path, for the message.
        authenticated: whether the request held a credential.
    """
    anchor, words = _problem(answer.body) if answer.status >= 400 else ("", "")
    said = f"{answer.status} ({words})" if words else str(answer.status)
    # The platform has no part in a report.
    passed_on = None if step == "report" else _passed_on(anchor, said, answer.retry_after)
    return passed_on or _of_status(answer, anchor, said, step, asked, authenticated)


def _passed_on(anchor: str, said: str, wait: float | None) -> CheckError | None:
    if anchor in _FROM_PLATFORM:
        code, meaning = _FROM_PLATFORM[anchor]
        message = f"The platform, through the app server, says that {meaning}: {said}."
        return CheckError(code, message, retry_after=wait)
    if anchor.startswith("mno_"):
        message = f"The platform, through the app server, says that the operator failed: {said}."
        return CheckError("operator-error", message, retry_after=wait)
    return None


def _of_status(answer: Answer, anchor: str, said: str, step: Step, asked: str, authenticated: bool) -> AgentError:
    status, server = answer.status, f"The app server, asked {_ASKED[step]},"
    if step == "finish" and (status == 410 or anchor == "check_not_found"):
        return CheckError("check-expired", f"The app server does not know the check any more: {said}.")
    code, hint = "server-rejected", None
    # 501 is what some frameworks answer to a method that no route of theirs takes.
    if status in (404, 405) or (step == "report" and status == 501):
        code, message = "protocol-mismatch", f"The app server has no {asked}: {said}."
        hint = f"Check server.url, server.protocol and server.{step}: the path may be another one."
    elif status >= 500:
        code, message = "server-unreachable", f"{server} failed: {said}."
        hint = "Try again later; if it stays, look into the app server's log."
    elif status == 401 and not authenticated:
        message = f"{server} wants a credential, and none is configured: {said}."
        hint = "Give the device's token, as the credential server-token or in server.token_file."
    elif status >= 400:
        message = f"{server} refused: {said}."
    elif status >= 300:
        message = f"{server} redirects elsewhere: {said}."
        hint = "Set server.url to where it leads: a credential is never sent on to another address."
    else:
        code, message = "protocol-mismatch", f"{server} answered {said}."
    return ServerError(code, message, hint=hint, retry_after=answer.retry_after)


def _problem(body: bytes) -> tuple[str, str]:
    """Anchor and words of a problem document (RFC 9457), empty where it is none. Its media type is often wrong."""
    try:
        values = _json_object(body, "create")
    except ServerError:
        return "", ""
    kind, title = values.get("type"), values.get("title")
    anchor = kind.rpartition("#")[2] if isinstance(kind, str) and "#" in kind else ""
    anchor = anchor if re.fullmatch(r"[a-z_]{1,64}", anchor) else ""
    words = _short(title) if isinstance(title, str) else ""
    return anchor, ": ".join(part for part in (anchor, words) if part)


# As people write numbers: redact.text alone leaves groups of less than six digits.
_NUMBER = re.compile(r"\+?[0-9][0-9 ().\-/]{4,}[0-9]")


def _short(title: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in title[:400])
    return redact.text(_NUMBER.sub("…", printable))[:80].strip().rstrip(".")
