"""URLs that strangers wrote, brought into one canonical form: the check URL, and each Location resolved against its hop.

Pure. RFC 3986 to the letter where it speaks, and refusals where text could be read in two ways. Messages name what is
wrong and repeat neither path nor query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from phonecheck import redact
from phonecheck.errors import CheckError, ConfigError

MAX_LENGTH = 8192
"""Bytes of a Location, and of the URL that it leads to."""

_PORTS = {"http": 80, "https": 443}

# RFC 3986 appendix B, with the scheme held to its own grammar (§3.1). A fragment never leaves the client.
_REFERENCE = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What RFC 3986 allows in path and query (§3.3, §3.4). A '%' that starts no escape is not allowed there either.
_ILLEGAL = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_PORT = re.compile(r"0*([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL in canonical form.

    Attributes:
        scheme: ``http`` or ``https``.
        host: lower-case ASCII, IDNA-encoded; an IPv6 address has no brackets.
        port: never 0; the scheme's own where the text named none.
        target: path and query as they go on the request line, percent-encoded; starts with ``/``.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def is_https(self) -> bool:
        """Whether the hop is encrypted."""
        return self.scheme == "https"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the first ``?``, or nothing."""
        return self.target.partition("?")[2]

    @property
    def host_header(self) -> str:
        """The value of the Host field: brackets around IPv6, the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def host_shown(self) -> str:
        """The host as it may be shown: an operator can put a number into it."""
        return redact.text(self.host)

    @property
    def origin(self) -> str:
        """Scheme, host and port: what RFC 6454 compares."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def text(self) -> str:
        """The whole URL: secret, because a check URL and its hops identify the SIM's user."""
        return self.origin + self.target

    @property
    def redacted(self) -> str:
        """The URL as it may be shown."""
        return redact.url(self.text)


class _RefusedError(Exception):
    """Why a text is no URL that may be opened; completes the sentence "The URL …"."""


def parse_check_url(text: str) -> Url:
    """Read a check URL: https, with a host, without a user name; a fragment is dropped.

    Raises:
        CheckError: bad-check-url.
    """
    try:
        return _https(text)
    except _RefusedError as refused:
        raise CheckError("bad-check-url", f"The check URL {refused}.") from None


def parse_redirect_url(text: str) -> Url:
    """Read the setting server.redirect_url, by the rules of a check URL.

    Raises:
        ConfigError: bad-setting.
    """
    try:
        return _https(text)
    except _RefusedError as refused:
        hint = "Give it as https://HOST/PATH."
        raise ConfigError("bad-setting", f"The URL in server.redirect_url {refused}.", hint=hint) from None


def next_hop(current: Url, location: bytes) -> Url:
    """Resolve a Location against the URL that answered with it (RFC 3986 §5.2, strict).

    MNOs send Locations that are no URI references, so illegal bytes are percent-encoded and escapes kept as they are. A
    raw space becomes ``%20``: the phones' SDKs make it ``+``, which is a space in a form-encoded query only and a plus
    sign in a path, whereas ``%20`` is a space in both. A backslash is an illegal byte like any other: browsers read it
    as a slash, which lets one text name two hosts.

    Raises:
        CheckError: hop-refused.
    """
    try:
        return _resolve(location.strip(b" \t"), current)
    except _RefusedError as refused:
        raise CheckError("hop-refused", f"The Location from {current.host_shown} {refused}.") from None


def _https(text: str) -> Url:
    try:
        url = _resolve(text.encode(), None)
    except UnicodeEncodeError:
        raise _RefusedError("is not text that UTF-8 can carry") from None
    if not url.is_https:
        raise _RefusedError("is http and must be https")
    return url


def _resolve(reference: bytes, base: Url | None) -> Url:
    """RFC 3986 §5.2.2; without a base, the reference must be whole."""
    scheme, authority, path, query = _parts(reference)
    if scheme is None and base is not None:
        scheme = base.scheme
        if authority is None:
            host, port = base.host, base.port
            if not path:
                path, query = base.path, query if query is not None else base.query or None
            elif not path.startswith("/"):
                path = base.path[: base.path.rfind("/") + 1] + path
        else:
            host, port = _host_and_port(authority, _PORTS[scheme])
    elif scheme not in _PORTS:
        raise _RefusedError(f"is {redact.text(scheme[:20])}:, neither https nor http" if scheme else "has no scheme")
    else:
        host, port = _host_and_port(authority or "", _PORTS[scheme])
    target = _escape(_without_dots(path))
    if query is not None:
        target += "?" + _escape(query)
    url = Url(scheme, host, port, target)
    if len(url.text) > MAX_LENGTH:
        raise _RefusedError(f"is longer than {MAX_LENGTH} bytes")
    return url


def _parts(reference: bytes) -> tuple[str | None, str | None, str, str | None]:
    """Scheme in lower case, authority, path and query; None for one that is not there."""
    if not reference:
        raise _RefusedError("is empty")
    if len(reference) > MAX_LENGTH:
        raise _RefusedError(f"is longer than {MAX_LENGTH} bytes")
    # Latin-1 keeps one character for each byte; the host alone is then read as UTF-8.
    text = reference.decode("latin-1")
    found = None if _CONTROL.search(text) else _REFERENCE.fullmatch(text)
    if not found:
        raise _RefusedError("holds a control character")
    scheme, authority, path, query = found.groups()
    return scheme and scheme.lower(), authority, path or "", query


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    if "@" in authority:
        raise _RefusedError("holds a user name")
    if authority.startswith("["):
        literal, bracket, rest = authority[1:].partition("]")
        # A zone ("%25eth0") would choose the interface: the link is not for a hop to choose.
        if not bracket or "%" in literal or (rest and not rest.startswith(":")):
            raise _RefusedError("has a host that is not an IPv6 address")
        try:
            host, port = str(IPv6Address(literal)), rest[1:]
        except AddressValueError:
            raise _RefusedError("has a host that is not an IPv6 address") from None
    else:
        name, _, port = authority.partition(":")
        host = _name(name)
    if not port:
        return host, default
    digits = _PORT.fullmatch(port)
    if not digits or int(digits[1]) > 65535:
        raise _RefusedError("has a port that is not 1 to 65535")
    return host, int(digits[1])


def _name(name: str) -> str:
    if not name:
        raise _RefusedError("has no host")
    name = _idna(name) if not name.isascii() else name.lower()
    # The root's dot says nothing more, as names are looked up absolute, and no certificate has it.
    name = name.removesuffix(".")
    if not _NAME.fullmatch(name):
        raise _RefusedError("has a host that is not a host name")
    if _NUMBER.fullmatch(name):
        # "127.1" and "0x7f000001" are addresses to the C library and names to DNS: only the dotted quad is the same to all.
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise _RefusedError("has a host that is not an IPv4 address") from None
    return name


def _idna(name: str) -> str:
    # Python's own codec is IDNA 2003, which makes another host of some names: faß.example became fass.example.
    import idna

    if len(name) > 1024:  # idna's time grows faster than its input (CVE-2024-3651)
        raise _RefusedError("has a host that is not a host name")
    try:
        return idna.encode(name.encode("latin-1").decode(), uts46=True, std3_rules=True).decode().lower()
    except UnicodeError:
        raise _RefusedError("has a host that is not a host name") from None


def _escape(text: str) -> str:
    return _ILLEGAL.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4, of a path that is put behind a slash where it has none."""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
