"""What the chain's last answer means (docs/protocol.md, 3): a code, nothing, or an error."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from phonecheck.errors import AgentError, CheckError
from phonecheck.model import Path
from phonecheck.redact import Secret

_JSON_TYPES = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE)
_WORD = re.compile(r"[a-z][a-z0-9_]{2,48}")

# The platform's error words, in problem types (2.6) and in the body or query that ends a v0.2 chain (1.8, 2.4).
_BY_WORD = {
    "not_mobile_ip": "not-mobile-ip",
    "mno_not_supported": "operator-unsupported",
    "mno_redirect_unsupported": "operator-unsupported",
    "ip_msisdn_mismatch": "number-operator-mismatch",
    "too_many_requests": "rate-limited",
    "check_not_found": "check-expired",
    "check_expired": "check-expired",
}
_BY_STATUS = {
    400: "operator-unsupported",
    404: "check-expired",
    409: "number-operator-mismatch",
    410: "check-expired",
    412: "not-mobile-ip",
    429: "rate-limited",
    501: "operator-unsupported",
}
_SENTENCES = {
    "not-mobile-ip": "The platform saw the request come from an address that is no mobile operator's.",
    "operator-unsupported": "The platform does not support this mobile operator.",
    "number-operator-mismatch": "The number and the mobile connection belong to different operators.",
    "rate-limited": "The platform takes no more checks at the moment.",
    "check-expired": "The platform does not know this check any more: it is spent or past its ttl.",
}


class Answer:
    """The JSON object of a last answer, read tolerantly: what is missing or of another kind is None."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    @classmethod
    def from_body(cls, content_type: str, body: bytes) -> Answer:
        """Read a body whose media type says JSON (json, hal+json, problem+json; any case, any charset of UTF-8)."""
        if not _JSON_TYPES.match(content_type.strip()):
            return cls({})
        try:
            values = json.loads(body)
        except (ValueError, RecursionError):
            return cls({})
        return cls(values if isinstance(values, dict) else {})

    def text(self, key: str, limit: int = 512) -> str | None:
        """A printable text of at most ``limit`` characters, else None."""
        value = self._values.get(key)
        return value if isinstance(value, str) and 0 < len(value) <= limit and value.isprintable() else None

    @property
    def code(self) -> Secret | None:
        """The code of a v0.2 check."""
        value = self.text("code")
        return Secret(value) if value else None

    @property
    def failed(self) -> bool:
        """Whether the chain ended in an error instead of a code, which the platform says at HTTP 200."""
        return bool(self._values.get("error")) and self.code is None

    @property
    def word(self) -> str | None:
        """The platform's error word: of a problem's type anchor, or of an ``error`` in the body."""
        word = self.text("error") or (self.text("type") or "").rpartition("#")[2]
        return word if _WORD.fullmatch(word) else None


def error_of_word(word: str, paths: Sequence[Path] = ()) -> AgentError:
    """The error that the platform's own word stands for, when a chain ended with it at HTTP 200 or in a query.

    Args:
        word: the platform's.
        paths: of the chain's hops, which explain an ``ip_mismatch``.
    """
    code = _BY_WORD.get(word)
    if code:
        return CheckError(code, _SENTENCES[code])
    if word == "ip_mismatch":
        return _ip_mismatch(paths)
    return CheckError("platform-error", f"The platform ended the chain with the error {word}.")


def _ip_mismatch(paths: Sequence[Path]) -> CheckError:
    """Which two addresses the platform may have seen: it compares the check's creation with its requests (2.4)."""
    sources = list(dict.fromkeys(path.source for path in paths))
    seen = " and ".join(f"{source} (IPv{source.version})" for source in sources)
    families = sorted({source.version for source in sources})
    message = "The platform saw two addresses of the device (ip_mismatch): "
    if len(families) > 1:
        message += f"the hops left from {seen}."
        hint = 'Keep to one family: set link.family = "4", or "6" on an IPv6-only network; some hosts serve one only.'
    elif len(sources) > 1:
        message += f"the hops left from {seen}, as the link's address changed."
        hint = "Ask for a new check; if it stays, ask for a bearer whose address does not change (APN)."
    else:
        message += f"every hop left from {seen or 'one address'}, so the other one was not the chain's."
        hint = (
            "If the app server tells the platform the device's address (phone_ip), it must be the modem's:"
            ' set server.over = "modem", or leave it out. Else the operator changes addresses: ask for another APN.'
        )
    return CheckError("platform-error", message, hint=hint)


def error_of_status(
    status: int, answer: Answer, *, host: str, at_platform: bool, retry_after: float | None = None
) -> AgentError:
    """The error of a last answer that is neither a success nor a redirect that can be followed.

    Args:
        status: the HTTP status.
        answer: its body.
        host: who answered, for the message.
        at_platform: whether that is the check URL's host; statuses mean what the platform says only there.
        retry_after: seconds that it asks to wait before the next check.
    """
    if not at_platform:
        return CheckError("operator-error", f"The operator's hop {host} answered with HTTP {status}.")
    word = answer.word
    code = _BY_WORD.get(word or "")
    if code is None and (word is None or status != 400):
        # 400 stands for several things; with a word that is none of ours it is not the operator's lack of support.
        code = _BY_STATUS.get(status)
    if code:
        return CheckError(code, _SENTENCES[code], retry_after=retry_after)
    message = f"The platform answered with HTTP {status}{f' ({word})' if word else ''}."
    return CheckError("platform-error", message, retry_after=retry_after)
