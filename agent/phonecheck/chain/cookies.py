"""The cookies of one chain, by RFC 6265 §5; the jar is made for a chain and goes with it.

The shipped SDKs match a cookie's domain as a substring and its path without a boundary, never replace and never expire:
hence the letter of the RFC here, with two rules of its successor (draft-ietf-httpbis-rfc6265bis §5.7) that operators'
cleartext hops make necessary: http neither sets a Secure cookie nor overlays one.

The list of public suffixes is left out; only a Domain of a single label is refused. It keeps unrelated sites of one
browser from sharing state for years. Here every host that could share a cookie was named by a redirect of the same
chain, which could have put the same text into the URL, and the jar lives for seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from phonecheck import redact
from phonecheck.chain.url import Url

MAX_COOKIES = 50
MAX_LENGTH = 4096
"""Characters of a cookie's name and value together (RFC 6265 §6.1)."""

_BLANK = " \t"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class _Cookie:
    name: str
    value: str = field(repr=False)
    domain: str
    path: str
    host_only: bool
    secure: bool
    expires: float | None
    """Seconds since the epoch; None for as long as the jar lives."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.name, self.domain, self.path


class Jar:
    """The cookies that the hops of one chain have set.

    Args:
        clock: seconds since the epoch; tests hand in their own.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # In the order of creation, which a dictionary keeps when a cookie is replaced (§5.3 step 11).
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}

    def store(self, url: Url, set_cookie_headers: Sequence[str]) -> None:
        """Take the Set-Cookie fields of one response; those that break a rule are passed over.

        Args:
            url: what was asked.
            set_cookie_headers: the value of each field.
        """
        for header in set_cookie_headers:
            cookie = _read(url, header, self._clock())
            if cookie is None or self._overlays_secure(url, cookie):
                continue
            if cookie.expires is not None and cookie.expires <= self._clock():
                self._cookies.pop(cookie.key, None)
                continue
            self._cookies[cookie.key] = cookie
            self._drop_expired()
            while len(self._cookies) > MAX_COOKIES:
                del self._cookies[next(iter(self._cookies))]

    def header(self, url: Url) -> str | None:
        """The value of the Cookie field for a request, or None for no field (§5.4)."""
        self._drop_expired()
        sent = [cookie for cookie in self._cookies.values() if _goes_to(cookie, url)]
        sent.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent) or None

    def names(self) -> tuple[str, ...]:
        """The names in order of creation, without values, as they may be shown."""
        self._drop_expired()
        return tuple(redact.text(cookie.name) for cookie in self._cookies.values())

    def fingerprint(self) -> Hashable:
        """Equal for two moments at which the jar holds the same cookies; it holds their values, so it is not shown."""
        self._drop_expired()
        return frozenset((cookie.key, cookie.value) for cookie in self._cookies.values())

    def _drop_expired(self) -> None:
        now = self._clock()
        dead = [key for key, cookie in self._cookies.items() if cookie.expires is not None and cookie.expires <= now]
        for key in dead:
            del self._cookies[key]

    def _overlays_secure(self, url: Url, new: _Cookie) -> bool:
        return not url.is_https and any(
            old.secure
            and old.name == new.name
            and (_domain_matches(old.domain, new.domain) or _domain_matches(new.domain, old.domain))
            and _path_matches(new.path, old.path)
            for old in self._cookies.values()
        )


def _goes_to(cookie: _Cookie, url: Url) -> bool:
    at_host = url.host == cookie.domain if cookie.host_only else _domain_matches(url.host, cookie.domain)
    return at_host and _path_matches(url.path, cookie.path) and (url.is_https or not cookie.secure)


def _read(url: Url, header: str, now: float) -> _Cookie | None:
    """RFC 6265 §5.2 and the decisions of §5.3 that need no jar."""
    pair, _, rest = header.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(_BLANK), value.strip(_BLANK)
    if not equals or not name or len(name) + len(value) > MAX_LENGTH:
        return None
    # Cookies are ASCII (§4.1.1); what decoded to more has no bytes of its own to send back. A tab inside would be sent.
    if _CONTROL.search(header) or not header.isascii() or "\t" in name + value:
        return None
    attributes: dict[str, str] = {}
    expires = max_age = None
    for attribute in rest.split(";"):
        key, _, text = attribute.partition("=")
        key, text = key.strip(_BLANK).lower(), text.strip(_BLANK)
        if key != "domain" or text:  # an empty Domain is as good as none (§5.2.3)
            attributes[key] = text
        if key == "expires":
            date = parse_date(text)
            expires = expires if date is None else date
        elif key == "max-age" and re.fullmatch(r"-?[0-9]+", text):
            # Ten digits are three centuries; int() refuses texts of some thousands.
            max_age = 0 if text.startswith("-") else int(text[:10])
    secure = "secure" in attributes
    if secure and not url.is_https:
        return None
    domain = attributes.get("domain", "").removeprefix(".").lower()
    if domain and not _domain_matches(url.host, domain):
        return None
    if domain and "." not in domain and domain != url.host:
        return None
    path = attributes.get("path", "")
    return _Cookie(
        name=name,
        value=value,
        domain=domain or url.host,
        path=path if path.startswith("/") else _default_path(url.path),
        host_only=not domain or "." not in domain,
        secure=secure,
        expires=expires if max_age is None else now + max_age,
    )


def _domain_matches(host: str, domain: str) -> bool:
    """RFC 6265 §5.1.3: the same, or below it; an IP address has nothing below it."""
    return host == domain or (host.endswith("." + domain) and not _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _default_path(path: str) -> str:
    """RFC 6265 §5.1.4."""
    return path[: path.rfind("/")] or "/"


def _path_matches(path: str, cookie_path: str) -> bool:
    """RFC 6265 §5.1.4: /a is above /a/b and not above /ab."""
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )


_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_DAY = re.compile(r"([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_YEAR = re.compile(r"([0-9]{2,4})(?:[^0-9].*)?", re.DOTALL)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_date(text: str) -> float | None:
    """A cookie-date in seconds since the epoch by the algorithm of RFC 6265 §5.1.1, or None for one that fails it."""
    clock = day = month = year = None
    for token in _DELIMITERS.split(text):
        if clock is None and (found := _TIME.fullmatch(token)):
            clock = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.fullmatch(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    if year < 1601:
        return None
    try:
        hour, minute, second = clock
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None
