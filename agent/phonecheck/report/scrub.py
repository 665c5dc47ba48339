"""The one door of the report: what passes through here is all that anybody gets to see, and it holds nobody's identity.

Its sources are redacted already. This is the second lock, and does not ask what a value is, but what it looks like.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import Any

from phonecheck import redact
from phonecheck.model import IPAddress

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Network = IPv4Network | IPv6Network

_CELLULAR = ("modem", "link", "history", "configuration")
"""The parts whose addresses are the link's and its peers', and the evidence of the path."""
_OURS = frozenset(
    {"slug", "cause", "because", "state", "code", "outcome", "trigger", "what", "level", "registration", "technology"}
)
"""Keys whose values are words of our own: a device that is called "signal" must not make the ladder unreadable."""
_NOBODY = re.compile(
    r"(?i)root|phonecheck|localhost|debian|ubuntu|linux|raspberrypi|raspberry|raspi|admin|user|guest|test|default|host"
    r"|device|modem|gateway|router|server|node|sensor"
)
"""Names that thousands of devices have, and our sentences need."""
_LONGEST = 8000
_LARGEST = 10**9
"""From ten digits on, a number may be somebody's; no time or size in a report is as large."""

_NAMED_SECRET = re.compile(r"(?i)(?:.*[^a-z])?(?:pin|puk|token|password|passphrase|secret|cookie|authorization)")
"""Keys whose values are secrets, whatever they look like; how many tries a PIN has left is a small number."""
_SMALL = 1000

_MAC = re.compile(r"(?i)(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}(?![\w:-])")
# systemd.net-naming-scheme(7): a USB modem's interface may be called after its MAC address.
_NAMED_AFTER_MAC = re.compile(r"(?i)(?<![a-z0-9])((?:en|wl|ww|sl|ib)x)[0-9a-f]{8}([0-9a-f]{4})(?![0-9a-z])")
_HOME = re.compile(r"/home/[^/\s\"':,;]+")
_MAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}")
_IPV4 = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
_IPV6 = r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%[\w.-]+)?(?![\w:])"
_ADDRESS = re.compile(rf"(?i){_IPV4}|{_IPV6}")
# Ids of checks and of traces, which a vendor looks up: UUIDs, and 8 bytes and more in hexadecimal (W3C Trace Context).
_ID = re.compile(r"(?i)(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])|(?<!\w)[0-9a-f]{16,64}(?!\w)")
_LIKE_A_NUMBER = re.compile(r"\d{12}|^[\d-]+$")
_FIRST_MARK = 0xE000
"""Of the private use area, whose characters are none that a text is allowed to have."""
# Where homes, offices and containers have their addresses. Carriers have theirs in 10/8 and 100.64/10.
_OF_A_LAN = tuple(map(ip_network, ("192.168.0.0/16", "172.16.0.0/12", "169.254.0.0/16", "fc00::/7", "fe80::/10")))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around the modem, and nobody's business: names of the device and its users, its other networks."""

    names: frozenset[str] = frozenset()
    networks: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)


def close(document: Mapping[str, Any], around: Surroundings) -> dict[str, Json]:
    """The document as it may leave the device: plain JSON values, each of them scrubbed, keys too."""
    cellular = [document.get(part) for part in _CELLULAR]
    addresses = frozenset(_addresses(cellular))
    interfaces = frozenset(_interfaces(cellular))
    elsewhere = tuple(
        network
        for interface, networks in around.networks.items()
        if interface not in interfaces and not interface.startswith(("wwan", "ww", "ppp"))
        for network in networks
    )
    return _Scrub(_names(around.names), addresses, elsewhere).table(document)


@dataclass(frozen=True, slots=True)
class _Scrub:
    names: re.Pattern[str] | None
    known: frozenset[IPAddress]
    elsewhere: tuple[Network, ...]

    def table(self, value: Mapping[Any, Any]) -> dict[str, Json]:
        return {self.text(str(key), names=False): self.value(item, str(key)) for key, item in value.items()}

    def value(self, value: Any, key: str) -> Json:
        if value is None or isinstance(value, bool):
            return value
        if _NAMED_SECRET.fullmatch(key) and (isinstance(value, str) or (isinstance(value, int) and value >= _SMALL)):
            return "…"
        if isinstance(value, int | float):
            return _number(value)
        if isinstance(value, Mapping):
            return self.table(value)
        if isinstance(value, list | tuple):
            return [self.value(item, key) for item in value]
        return self.text(str(value), names=key not in _OURS)

    def text(self, value: str, *, names: bool) -> str:
        value = _printable(value[:_LONGEST]) + ("…" if len(value) > _LONGEST else "")
        ids: list[str] = []

        def put_aside(found: re.Match[str]) -> str:
            if _LIKE_A_NUMBER.search(found[0]):
                return found[0]
            ids.append(found[0])
            return chr(_FIRST_MARK + len(ids) - 1)

        value = redact.text(_ID.sub(put_aside, value))
        value = _MAC.sub("…", _HOME.sub("/home/…", _MAIL.sub("…@…", value)))
        value = _NAMED_AFTER_MAC.sub(r"\1…\2", value)
        value = _ADDRESS.sub(self._address, value)
        if names and self.names is not None:
            value = self.names.sub("…", value)
        return "".join(ids[ord(c) - _FIRST_MARK] if 0 <= ord(c) - _FIRST_MARK < len(ids) else c for c in value)

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ip_address(found[0].partition("%")[0])
        except ValueError:  # a time of day, or four numbers
            return found[0]
        if address in self.known or address.is_loopback or address.is_unspecified:
            return found[0]
        hidden = any(address in network for network in (*self.elsewhere, *_OF_A_LAN))
        return "…" if hidden else found[0]


def _number(value: float) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if abs(value) >= _LARGEST:
        return redact.last_four(str(int(value)))
    return round(value, 3) if isinstance(value, float) else value


def _printable(text: str) -> str:
    """Without what a page or a terminal would obey: controls, bidirectional overrides, halves of surrogate pairs."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c.isspace() else "\ufffd" for c in text)


def _names(names: Iterable[str]) -> re.Pattern[str] | None:
    # Two letters are too often a part of something else, and a home directory's are cut as such.
    telling = sorted((n for n in names if len(n) > 2 and not _NOBODY.fullmatch(n)), key=len, reverse=True)
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(map(re.escape, telling))})(?!\w)") if telling else None


def _addresses(value: Any) -> Iterable[IPAddress]:
    for text in _strings(value, lambda _: True):
        try:
            yield ip_interface(text).ip
        except ValueError:
            continue


def _interfaces(value: Any) -> Iterable[str]:
    return _strings(value, lambda key: key in ("interface", "bound_to", "link.interface"))


def _strings(value: Any, wanted: Callable[[str], bool], key: str = "") -> Iterable[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _strings(item, wanted, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item, wanted, key)
    elif isinstance(value, str) and wanted(key):
        yield value
