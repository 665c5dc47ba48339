"""IPv4 hosts on a network that has only IPv6: the prefix of its NAT64, found by a name that everybody knows, and its use.

The network's DNS64 makes IPv6 addresses of a name's IPv4 addresses. ``ipv4only.arpa`` has IPv4 addresses alone, two that
are well known; so an IPv6 address that is given for it shows where the prefix ends (RFC 7050 §3).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from phonecheck.model import IPAddress

NAME = "ipv4only.arpa"
LENGTHS = (32, 40, 48, 56, 64, 96)
"""The bits that a prefix may have (RFC 6052 §2.2)."""
_KNOWN = frozenset({IPv4Address("192.0.0.170"), IPv4Address("192.0.0.171")})
_RESERVED_OCTET = 8
"""Bits 64 to 71, which are zero and which no IPv4 address reaches into (RFC 6052 §2.2)."""


def prefixes(addresses: Iterable[IPAddress]) -> tuple[IPv6Network, ...]:
    """The prefixes that the addresses of :data:`NAME` show; none where a server lies, for it can only hide them.

    A prefix may hold a known address itself and seem to be a shorter one. The true one shows with each of the two known
    addresses, so those with the most of them are taken (RFC 7050 §3 asks for such a second look).
    """
    found: dict[IPv6Network, set[IPv4Address]] = {}
    for address in addresses:
        for length in LENGTHS:
            if isinstance(address, IPv6Address) and (known := _extract(address, length)) in _KNOWN:
                found.setdefault(IPv6Network((address.packed, length), strict=False), set()).add(known)
    most = max((len(seen) for seen in found.values()), default=0)
    return tuple(prefix for prefix, seen in found.items() if len(seen) == most)


def embed(prefix: IPv6Network, address: IPv4Address) -> IPv6Address:
    """The address by which the NAT64 of that prefix reaches an IPv4 host (RFC 6052 §2.2)."""
    octets = prefix.network_address.packed
    start = prefix.prefixlen // 8
    if prefix.prefixlen == 96:
        return IPv6Address(octets[:start] + address.packed)
    whole = bytearray(octets[:_RESERVED_OCTET] + octets[_RESERVED_OCTET + 1 :])
    whole[start : start + 4] = address.packed
    whole.insert(_RESERVED_OCTET, 0)
    return IPv6Address(bytes(whole))


def ipv4_inside(address: IPAddress, known: Iterable[IPv6Network]) -> IPv4Address | None:
    """The IPv4 host that an address leads to through a NAT64 of these prefixes, or None."""
    around = [p for p in known if isinstance(address, IPv6Address) and address in p]
    if not around or not isinstance(address, IPv6Address):
        return None
    return _extract(address, max(p.prefixlen for p in around))


def _extract(address: IPv6Address, length: int) -> IPv4Address | None:
    octets, start = address.packed, length // 8
    if length == 96:
        return IPv4Address(octets[12:])
    if octets[_RESERVED_OCTET]:
        return None
    return IPv4Address((octets[:_RESERVED_OCTET] + octets[_RESERVED_OCTET + 1 :])[start : start + 4])
