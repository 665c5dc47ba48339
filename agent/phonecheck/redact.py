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
_CREDENTIAL = re.compile(
    r"(?i)\b(bearer|basic|authorization:|(?:set-)?cookie:|(?:code|token|pin|puk|client_secret|access_token)[\"']?\s*[=:])(\s*)[^\s,;]+"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


def last_four(value: str) -> str:
    """``…`` and the last four characters; of a value too short to keep four to itself, ``…`` alone."""
    return f"…{value[-4:]}" if len(value) > 6 else "…"


def text(value: str) -> str:
    """Text that others wrote, with digit runs of six and more, URL queries, user names and credentials cut."""
    value = _CREDENTIAL.sub(r"\1\2…", value)
    value = _USERINFO.sub("…@", value)
    value = _QUERY.sub("?…", value)
    return _DIGITS.sub(lambda m: last_four(m[0]), value)


def url(value: str) -> str:
    """A URL with its query, user name and fragment cut, and long digit runs in its path to their last four."""
    head, _, _ = value.partition("#")
    base, has_query, _ = head.partition("?")
    base = _USERINFO.sub("…@", base)
    scheme, separator, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    if not separator:
        scheme, host, slash, path = "", "", "", base
    # A UUID's hexadecimal groups are no identity: only runs that stand alone as digits are cut.
    path = re.sub(r"(?<![0-9A-Fa-f-])\d{6,}(?![0-9A-Fa-f-])|%2B\d{6,}", lambda m: last_four(m[0]), path)
    return f"{scheme}{separator}{host}{slash}{path}{'?…' if has_query else ''}"


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
