"""What may be shown of a secret or an identity: its last four digits, or nothing.

Numbers, IMSI, ICCID, IMEI, tokens, codes, cookies, PINs and URL queries never reach a log, a trace, an error or
``--json``. Identities are therefore carried in types whose ``str`` and ``repr`` are already short (:class:`Identity`,
:class:`Secret`), and text that others wrote goes through :func:`text`.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

_DIGITS = re.compile(r"\d{6,}")
_QUERY = re.compile(r"\?[^\s\"'<>#]+")
# To the last "@" before the path, for that is where a URL's host begins (WHATWG URL, authority state).
_USERINFO = re.compile(r"(?<=//)[^/\s?#\"<>]*@")
# A header to the end of its line: "Bearer" is not yet the token, and one cookie follows another.
_HEADER = re.compile(r"(?i)\b((?:authorization|cookie)(?:[\"']?\s*[:=]|[\"'],)\s*)[^\s][^\r\n]*")
# A scheme and its token, wherever it stands. A bearer is ModemManager's as well: its path, or a plain word after it
# ("the bearer is suspended"), is none.
_TOKEN = re.compile(r"(?i)\b((?:bearer|basic)\s+)(?!/org/freedesktop/)(?!(?-i:[a-z]{1,15})(?![\w~+/=-]|\.\w))[^\s,;]+")
_FIELD = re.compile(
    r"(?i)((?:\b(?:code|pin|puk)|token|secret|password)[\"']?\s*[=:]\s*)(?:\"[^\"\r\n]*\"?|'[^'\r\n]*'?|[^\s,;&]+)"
)
_UUID = r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])"
_UUID_OR_DIGITS = re.compile(rf"(?i)({_UUID})|\d{{6,}}")


def last_four(value: str) -> str:
    """``…`` and the last four characters; of a value too short to keep four to itself, ``…`` alone."""
    return f"…{value[-4:]}" if len(value) > 6 else "…"


def text(value: str) -> str:
    """Text that others wrote, with digit runs of six and more, URL queries, user names and credentials cut."""
    value = _HEADER.sub(r"\1…", value)
    value = _TOKEN.sub(r"\1…", value)
    value = _FIELD.sub(r"\1…", value)
    value = _USERINFO.sub("…@", value)
    value = _QUERY.sub("?…", value)
    return _DIGITS.sub(lambda m: last_four(m[0]), value)


def url(value: str) -> str:
    """A URL with its query, user name and fragment cut, and its long digit runs, but a UUID's, to their last four."""
    base, has_query, _ = value.partition("#")[0].partition("?")
    base = _USERINFO.sub("…@", base)
    base = _UUID_OR_DIGITS.sub(lambda m: m[1] or last_four(m[0]), base)
    return f"{base}{'?…' if has_query else ''}"


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """An IMSI, ICCID or IMEI. ``value`` is whole; everything that prints it gets the last four."""

    value: str

    def __str__(self) -> str:
        return last_four(self.value)

    def __repr__(self) -> str:
        return f"Identity({last_four(self.value)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A token, code or PIN. ``value`` is whole; everything that prints it gets nothing of it."""

    value: str

    def __str__(self) -> str:
        return "…"

    def __repr__(self) -> str:
        return "Secret('…')"


class RedactingFormatter(logging.Formatter):
    """Formats a record as ever and passes the whole line, traceback included, through :func:`text`."""

    def format(self, record: logging.LogRecord) -> str:
        """The formatted record, redacted."""
        return text(super().format(record))
