"""What rtnetlink messages say, without sockets: devices, addresses, routes and policy rules.

Formats: linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h, linux/fib_rules.h; all numbers are in the
host's byte order.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from phonecheck.model import Family, IPAddress, IPInterface

IPNetwork = IPv4Network | IPv6Network

HEADER = struct.Struct("=IHHII")
IFINFOMSG = struct.Struct("=BxHiII")
IFADDRMSG = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=8BI")
_ATTRIBUTE = struct.Struct("=HH")
_RTNEXTHOP = struct.Struct("=HBBi")

_UNICAST, _LOCAL = 1, 2


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message; ``body`` is what follows its header."""

    kind: int
    flags: int
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Device:
    """A network interface. Without ``carrier`` the kernel discards whatever is sent by it, silently.

    ``alias`` is the description that anyone may give it (``ip link set DEV alias TEXT``).
    """

    name: str
    index: int
    up: bool
    carrier: bool
    noarp: bool
    point_to_point: bool
    mtu: int | None = None
    loopback: bool = False
    alias: str = ""

    @property
    def resolves_neighbours(self) -> bool:
        """Whether the kernel must learn a hardware address before it can send by this device."""
        return not (self.noarp or self.point_to_point)


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a device. ``network`` is what is on-link through it: with a peer address, the peer's.

    ``protocol`` says who gave it (IFA_PROTO, since Linux 5.18); 0 is nobody who said so.
    """

    device: int
    interface: IPInterface
    network: IPNetwork
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """An entry of a routing table. ``devices`` are the indexes of all its next hops.

    ``local`` says that the destination is this host; ``protocol`` who made the entry (RTPROT_*, 0 where it is not said).
    """

    devices: tuple[int, ...]
    gateway: IPAddress | None
    local: bool
    default: bool
    family: Family = 4
    table: int = 0
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule. ``source`` is None where it holds for all; ``table`` is 0 where it names none."""

    family: Family
    priority: int
    table: int
    protocol: int
    source: IPNetwork | None


def read_device(body: bytes) -> Device | None:
    """Read an RTM_NEWLINK; None if it is not whole."""
    if len(body) < IFINFOMSG.size:
        return None
    _, _, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = attributes(body[IFINFOMSG.size :])
    name = found.get(3)  # IFLA_IFNAME
    if not name:
        return None
    return Device(
        name=os.fsdecode(name.split(b"\0")[0]),
        index=index,
        up=bool(flags & 0x1),
        carrier=bool(flags & 0x10000),
        noarp=bool(flags & 0x80),
        point_to_point=bool(flags & 0x10),
        mtu=number(found.get(4)),  # IFLA_MTU
        loopback=bool(flags & 0x8),
        alias=os.fsdecode(found.get(20, b"").split(b"\0")[0]),  # IFLA_IFALIAS
    )


def read_address(body: bytes) -> Address | None:
    """Read an RTM_NEWADDR; None if it is not whole, or if no socket could use the address."""
    if len(body) < IFADDRMSG.size:
        return None
    family, bits, flags, _, index = IFADDRMSG.unpack_from(body)
    found = attributes(body[IFADDRMSG.size :])
    wide = number(found.get(8))  # IFA_FLAGS, which the header's eight bits are the lower part of
    flags = flags if wide is None else wide
    tentative, optimistic, failed = flags & 0x40, flags & 0x04, flags & 0x08
    if failed or (tentative and not optimistic):
        return None
    onlink = _address(family, found.get(1))  # IFA_ADDRESS: the peer's, where there is one
    own = _address(family, found.get(2)) or onlink  # IFA_LOCAL
    if own is None or onlink is None or bits > own.max_prefixlen:
        return None
    network = ip_network((onlink.packed, bits), strict=False)
    return Address(index, ip_interface((own.packed, bits)), network, protocol=_octet(found.get(11)))  # IFA_PROTO


def read_route(body: bytes) -> Route | None:
    """Read an RTM_NEWROUTE; None if it is not whole, or if it leads nowhere (unreachable, blackhole, prohibit)."""
    if len(body) < RTMSG.size:
        return None
    family, bits, _, _, table, protocol, _, kind, _ = RTMSG.unpack_from(body)
    if family not in (socket.AF_INET, socket.AF_INET6) or kind not in (_UNICAST, _LOCAL):
        return None
    found = attributes(body[RTMSG.size :])
    device = number(found.get(4))  # RTA_OIF
    devices = [] if device is None else [device]
    gateway = _address(family, found.get(5))  # RTA_GATEWAY
    rest = found.get(9, b"")  # RTA_MULTIPATH
    while len(rest) >= _RTNEXTHOP.size:
        length, _, _, index = _RTNEXTHOP.unpack_from(rest)
        if not _RTNEXTHOP.size <= length <= len(rest):
            break
        devices.append(index)
        gateway = gateway or _address(family, attributes(rest[_RTNEXTHOP.size : length]).get(5))
        rest = rest[_aligned(length) :]
    if not devices:
        return None
    return Route(
        tuple(devices),
        gateway,
        local=kind == _LOCAL,
        default=bits == 0,
        family=4 if family == socket.AF_INET else 6,
        table=number(found.get(15)) or table,  # RTA_TABLE, of which the header has room for eight bits
        protocol=protocol,
    )


def read_rule(body: bytes) -> Rule | None:
    """Read an RTM_NEWRULE (struct fib_rule_hdr has the layout of rtmsg); None if it is not whole."""
    if len(body) < RTMSG.size:
        return None
    family, _, bits, _, table, _, _, _, _ = RTMSG.unpack_from(body)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    found = attributes(body[RTMSG.size :])
    source = _address(family, found.get(2))  # FRA_SRC
    if source is not None and bits > source.max_prefixlen:
        return None
    return Rule(
        family=4 if family == socket.AF_INET else 6,
        priority=number(found.get(6)) or 0,  # FRA_PRIORITY, which is left out where it is 0
        table=number(found.get(15)) or table,  # FRA_TABLE
        protocol=_octet(found.get(21)),  # FRA_PROTOCOL
        source=None if source is None else ip_network((source.packed, bits), strict=False),
    )


def messages(data: bytes) -> Iterator[Message]:
    """Split what one recv() gave; it ends at the first message that is not whole."""
    while len(data) >= HEADER.size:
        length, kind, flags, sequence, _ = HEADER.unpack_from(data)
        if not HEADER.size <= length <= len(data):
            return
        yield Message(kind, flags, sequence, data[HEADER.size : length])
        data = data[_aligned(length) :]


def attributes(data: bytes) -> dict[int, bytes]:
    """Split a run of attributes; it ends at the first one that is not whole."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            break
        found[kind & 0x3FFF] = data[_ATTRIBUTE.size : length]  # the upper bits are flags (NLA_TYPE_MASK)
        data = data[_aligned(length) :]
    return found


def number(value: bytes | None) -> int | None:
    """The value of a 32-bit attribute."""
    return int.from_bytes(value, sys.byteorder) if value is not None and len(value) == 4 else None


def _octet(value: bytes | None) -> int:
    return value[0] if value else 0


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded as the next one wants it."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _address(family: int, packed: bytes | None) -> IPAddress | None:
    lengths = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}
    return ip_address(packed) if packed is not None and len(packed) == lengths.get(family) else None
