from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_sandbox.carrier.nat64 import Nat64

PREFIX = IPv6Network("2001:db8:46::/96")
INNER, OUTER = IPv6Address("2001:db8:64:1::2"), IPv4Address("10.66.0.1")
PLATFORM = IPv4Address("198.51.100.10")
THROUGH = PREFIX[int(PLATFORM)]
NAT64 = Nat64(PREFIX, {INNER: OUTER})
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
CHECKSUM_AT = {TCP: 16, UDP: 6}


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def segment(protocol: int, addresses: bytes, payload: bytes) -> bytes:
    """A transport header of zeroes with a payload, its checksum right for these addresses."""
    at = CHECKSUM_AT[protocol]
    blank = bytes(20 if protocol == TCP else 8) + payload
    right = checksum(addresses + struct.pack("!HH", protocol, len(blank)) + blank) or 0xFFFF
    return blank[:at] + right.to_bytes(2) + blank[at + 2 :]


def packet6(protocol: int, payload: bytes, *, source: IPv6Address = INNER, hops: int = 64) -> bytes:
    addresses = source.packed + THROUGH.packed
    body = segment(protocol, addresses, payload)
    return struct.pack("!IHBB", 6 << 28 | 0x2E << 20, len(body), protocol, hops) + addresses + body


def packet4(protocol: int, payload: bytes, *, target: IPv4Address = OUTER, fragment: int = 0) -> bytes:
    addresses = PLATFORM.packed + target.packed
    body = segment(protocol, addresses, payload)
    return struct.pack("!BBHHHBBH", 0x45, 0x2E, 20 + len(body), 1, fragment, 64, protocol, 0) + addresses + body


@given(st.sampled_from([TCP, UDP]), st.binary(max_size=80))
def test_a_packet_to_the_prefix_comes_out_as_ipv4_with_sound_checksums(protocol: int, payload: bytes):
    out = NAT64.translate(packet6(protocol, payload))
    assert out is not None
    assert (out[0], out[1], out[8], out[9]) == (0x45, 0x2E, 63, protocol)
    assert out[12:20] == OUTER.packed + PLATFORM.packed
    assert int.from_bytes(out[2:4]) == len(out)
    assert checksum(out[:20]) == 0
    body = out[20:]
    assert checksum(out[12:20] + struct.pack("!HH", protocol, len(body)) + body) == 0
    assert body.endswith(payload)


@given(st.sampled_from([TCP, UDP]), st.binary(max_size=80))
def test_an_answer_comes_back_as_ipv6_with_a_sound_checksum(protocol: int, payload: bytes):
    out = NAT64.translate(packet4(protocol, payload))
    assert out is not None
    assert (out[0] >> 4, (out[0] << 4 | out[1] >> 4) & 0xFF, out[6], out[7]) == (6, 0x2E, protocol, 63)
    assert out[8:40] == THROUGH.packed + INNER.packed
    body = out[40:]
    assert int.from_bytes(out[4:6]) == len(body)
    assert checksum(out[8:40] + struct.pack("!HH", protocol, len(body)) + body) == 0
    assert body.endswith(payload)


@pytest.mark.parametrize(
    "packet",
    [
        packet6(TCP, b"", source=IPv6Address("2001:db8::1")),
        packet6(TCP, b"", hops=1),
        packet6(TCP, b"")[:30],
        packet6(TCP, b"").replace(THROUGH.packed, IPv6Address("2001:db8::2").packed),
        packet4(TCP, b"", target=IPv4Address("10.66.0.9")),
        packet4(TCP, b"", fragment=0x2000),
        packet4(TCP, b"")[:19],
        packet4(UDP, b"")[:26] + bytes(2),
        bytes([0x60]) + bytes(60),
    ],
)
def test_what_has_no_other_side_is_dropped(packet: bytes):
    assert NAT64.translate(packet) is None


@given(st.binary(min_size=1, max_size=100))
def test_no_packet_can_upset_it(data: bytes):
    NAT64.translate(data)
