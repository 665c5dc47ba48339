"""The carrier's NAT64: makes IPv4 packets of the IPv6 packets to its prefix, and the other way round.

Stateless (RFC 7915), with each subscriber's address mapped to one of a pool for good; the CGNAT behind it keeps the state
that makes a NAT64 of the two (RFC 6877). TCP and UDP only, and no fragments: what a chain of requests is made of.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network

_CHECKSUM_AT = {socket.IPPROTO_TCP: 16, socket.IPPROTO_UDP: 6}
_V4_HEADER, _V6_HEADER = 20, 40
_DONT_FRAGMENT, _MORE_OR_OFFSET = 0x4000, 0x3FFF
_LARGEST_PACKET = 65535
_ALL_ONES = 0xFFFF


class Nat64:
    """The translation, as a function of a packet.

    Args:
        prefix: a /96; the last 32 bits of an address in it are the IPv4 address that it leads to (RFC 6052, 2.2).
        pool: the IPv4 address that each IPv6 address appears as.
    """

    def __init__(self, prefix: IPv6Network, pool: Mapping[IPv6Address, IPv4Address]) -> None:
        self._prefix = prefix.network_address.packed[:12]
        self._outer = {inner.packed: outer.packed for inner, outer in pool.items()}
        self._inner = {outer: inner for inner, outer in self._outer.items()}

    def translate(self, packet: bytes) -> bytes | None:
        """The packet on the other side, None where it has none: dropped."""
        try:
            return self._to_4(packet) if packet[0] >> 4 == 6 else self._to_6(packet)
        except (struct.error, IndexError, KeyError, ValueError):
            return None

    def _to_4(self, packet: bytes) -> bytes | None:
        length, protocol, hops = struct.unpack_from("!HBB", packet, 4)
        source, target = self._outer[packet[8:24]], packet[24:40]
        body = packet[_V6_HEADER : _V6_HEADER + length]
        if target[:12] != self._prefix or hops <= 1 or protocol not in _CHECKSUM_AT:
            return None
        traffic_class = (packet[0] << 4 | packet[1] >> 4) & 0xFF
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, traffic_class, _V4_HEADER + len(body), 0, _DONT_FRAGMENT, hops - 1, protocol, 0),
            *(source, target[12:]),
        )
        head = head[:10] + struct.pack("!H", _negated(_sum(head))) + head[12:]
        return head + _moved(body, protocol, packet[8:40], source + target[12:])

    def _to_6(self, packet: bytes) -> bytes | None:
        header = (packet[0] & 15) * 4
        traffic_class, total = struct.unpack_from("!BH", packet, 1)
        fragment, hops, protocol = struct.unpack_from("!HBB", packet, 6)
        source, target = self._prefix + packet[12:16], self._inner[packet[16:20]]
        body = packet[header:total]
        if fragment & _MORE_OR_OFFSET or hops <= 1 or protocol not in _CHECKSUM_AT:
            return None
        first = 6 << 28 | traffic_class << 20
        head = struct.pack("!IHBB16s16s", first, len(body), protocol, hops - 1, source, target)
        return head + _moved(body, protocol, packet[12:20], source + target)


def _moved(body: bytes, protocol: int, old: bytes, new: bytes) -> bytes:
    """A TCP segment or UDP datagram whose checksum holds for other addresses (RFC 1624, 3)."""
    at = _CHECKSUM_AT[protocol]
    (checksum,) = struct.unpack_from("!H", body, at)
    if protocol == socket.IPPROTO_UDP and checksum == 0:
        raise ValueError("UDP over IPv6 needs a checksum, and this datagram has none (RFC 7915, 4.5)")
    moved = _negated(_sum(new, _negated(checksum) + _negated(_sum(old))))
    # In ones' complement 0 and 0xFFFF are equal, and UDP's 0 would say that there is no checksum.
    return body[:at] + struct.pack("!H", moved or _ALL_ONES) + body[at + 2 :]


def _sum(words: bytes, start: int = 0) -> int:
    """The ones' complement sum of 16-bit words."""
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words), start)
    while total > _ALL_ONES:
        total = (total & _ALL_ONES) + (total >> 16)
    return total


def _negated(value: int) -> int:
    return value ^ _ALL_ONES


async def serve(nat64: Nat64, fd: int) -> None:
    """Translate what comes out of a TUN device, and put it in again on the other side; for ever."""

    def carry() -> None:
        try:
            translated = nat64.translate(os.read(fd, _LARGEST_PACKET))
            if translated:
                os.write(fd, translated)
        except OSError:
            return  # nothing to read; or the device takes no more

    asyncio.get_running_loop().add_reader(fd, carry)
    await asyncio.Event().wait()
