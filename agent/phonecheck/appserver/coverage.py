"""A question to the app server that costs nothing: is it there, does it take this device, has it a coverage token. Pure.

The token opens the platform's coverage API alone, which says of an address which operator's it is (docs/protocol.md, 5).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from phonecheck.errors import ServerError
from phonecheck.model import Check
from phonecheck.redact import Secret

NOBODYS = Check("00000000-0000-0000-0000-000000000000", "", 60.0)
"""A check that nobody has created; a UUID, which a database may insist on."""
NO_CODE = Secret("none")

ACCEPTED = frozenset({400, 404, 409, 410, 422, 429})
"""What a server answers that has looked at the token, and then at a check that it does not know."""
_TOKEN = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True)
class Access:
    """Where the platform says what it knows of an address, and the token that opens this and nothing else."""

    url: str = field(repr=False)
    token: Secret


@dataclass(frozen=True, slots=True)
class Probe:
    """A server that is there. ``asked`` is the question that it answered last, with ``status``; 429 says nothing more."""

    asked: str
    status: int
    access: Access | None = None


def parse_access(body: bytes) -> Access | None:
    """Read ``{"token", "url"}``; None for an answer that is not this route's, as a page that stands for every route.

    Raises:
        ServerError: protocol-mismatch; the token is none, or the URL is not one to send a token to.
    """
    try:
        values = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not values.keys() & {"token", "url"}:
        return None
    token, url = values.get("token"), values.get("url")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise _mismatch("has no token of 1 to 4096 plain characters")
    if not isinstance(url, str) or not _may_get_a_token(url):
        raise _mismatch("has no https URL, plain and without a user name")
    return Access(url, Secret(token))


def _may_get_a_token(url: str) -> bool:
    if len(url) > 2048 or not url.isascii() or not url.isprintable() or set(url) & set(' \\#"<>'):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False


def _mismatch(what: str) -> ServerError:
    hint = "docs/app-server.md says what the route answers; server.coverage may name another one."
    return ServerError("protocol-mismatch", f"The app server's answer with a coverage token {what}.", hint=hint)
