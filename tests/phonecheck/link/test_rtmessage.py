from __future__ import annotations

import socket
import struct
from ipaddress import ip_address, ip_interface, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck.link import rtmessage
from phonecheck.link.rtmessage import (
    HEADER,
    IFADDRMSG,
    IFINFOMSG,
    RTMSG,
    attribute,
    attributes,
    messages,
    read_address,
    read_device,
    read_route,
    read_rule,
)


def message(body: bytes, kind: int = 16, sequence: int = 1) -> bytes:
    length = HEADER.size + len(body)
    return HEADER.pack(length, kind, 0, sequence, 0) + body + bytes(-length % 4)


def test_messages_are_split_at_their_aligned_lengths():
    found = list(messages(message(b"abcde", sequence=7) + message(b"", kind=3)))
    assert [(m.kind, m.sequence, m.body) for m in found] == [(16, 7, b"abcde"), (3, 1, b"")]


def test_a_message_that_is_cut_off_ends_the_run():
    whole = message(b"abcd")
    assert len(list(messages(whole + whole[:-1]))) == 1


def test_attributes_lose_their_flag_bits():
    assert attributes(attribute(0x8003, b"ab") + attribute(4, b"")) == {3: b"ab", 4: b""}


def test_a_device():
    body = IFINFOMSG.pack(0, 0xFFFE, 6, 0x1 | 0x10 | 0x80 | 0x10000, 0)
    device = read_device(body + attribute(3, b"wwan0\0") + attribute(4, struct.pack("=I", 1430)))
    assert device == rtmessage.Device("wwan0", 6, up=True, carrier=True, noarp=True, point_to_point=True, mtu=1430)
    assert not device.resolves_neighbours


def test_an_address_with_a_peer_is_its_own_and_the_network_the_peers():
    body = IFADDRMSG.pack(socket.AF_INET, 30, 0x80, 0, 4)
    body += attribute(1, ip_address("10.8.0.9").packed) + attribute(2, ip_address("10.64.0.2").packed)
    address = read_address(body)
    assert address == rtmessage.Address(4, ip_interface("10.64.0.2/30"), ip_network("10.8.0.8/30"))


def test_what_a_device_is_called_besides():
    body = IFINFOMSG.pack(0, 772, 1, 0x1 | 0x8, 0) + attribute(3, b"lo\0") + attribute(20, "slot ü\0".encode())
    device = read_device(body)
    assert (device.loopback, device.alias, device.mtu) == (True, "slot ü", None)


def test_who_gave_an_address():
    body = IFADDRMSG.pack(socket.AF_INET, 30, 0x80, 0, 4) + attribute(2, ip_address("10.64.0.2").packed)
    body += attribute(1, ip_address("10.64.0.2").packed)
    assert read_address(body).protocol == 0
    assert read_address(body + attribute(11, b"\x70")).protocol == 112


def test_a_route_of_a_large_table():
    device, table = attribute(4, struct.pack("=I", 7)), attribute(15, struct.pack("=I", 112007))
    route = read_route(RTMSG.pack(socket.AF_INET6, 0, 0, 0, 252, 112, 0, 1, 0) + device + table)
    assert (route.family, route.table, route.protocol, route.default) == (6, 112007, 112, True)


def test_a_rule():
    body = RTMSG.pack(socket.AF_INET, 0, 32, 0, 252, 0, 0, 1, 0) + attribute(2, ip_address("10.64.0.2").packed)
    body += attribute(6, struct.pack("=I", 90)) + attribute(15, struct.pack("=I", 112007)) + attribute(21, b"\x70")
    assert read_rule(body) == rtmessage.Rule(4, 90, 112007, 112, ip_network("10.64.0.2/32"))


def test_the_rule_of_the_local_table():
    rule = read_rule(RTMSG.pack(socket.AF_INET6, 0, 0, 0, 255, 0, 0, 1, 0))
    assert rule == rtmessage.Rule(6, 0, 255, 0, None)


@given(st.binary(max_size=80))
@settings(max_examples=100)
def test_any_bytes_are_a_rule_or_none(body):
    rule = read_rule(body)
    assert rule is None or rule.family in (4, 6)


def test_an_ipv6_address_under_test_for_uniqueness_is_none_yet():
    own = attribute(1, ip_address("2001:db8::2").packed)
    usable = {
        flags: read_address(IFADDRMSG.pack(socket.AF_INET6, 64, flags & 0xFF, 0, 4) + own) is not None
        for flags in (0x80, 0x40, 0x44, 0x08)
    }
    assert usable == {0x80: True, 0x40: False, 0x44: True, 0x08: False}


def test_the_wide_flags_rule():
    body = IFADDRMSG.pack(socket.AF_INET6, 64, 0, 0, 4) + attribute(1, ip_address("2001:db8::2").packed)
    assert read_address(body + attribute(8, struct.pack("=I", 0x40))) is None


def test_a_route_names_all_its_next_hops():
    hop = struct.pack("=HBBi", 8, 0, 0, 4)
    gateway = attribute(5, ip_address("10.64.0.1").packed)
    second = struct.pack("=HBBi", 8 + len(gateway), 0, 0, 5) + gateway
    body = RTMSG.pack(socket.AF_INET, 0, 0, 0, 254, 0, 0, 1, 0) + attribute(9, hop + second)
    assert read_route(body) == rtmessage.Route(
        (4, 5), ip_address("10.64.0.1"), local=False, default=True, family=4, table=254
    )


def test_a_route_to_nowhere_is_none():
    body = RTMSG.pack(socket.AF_INET, 0, 0, 0, 254, 0, 0, 7, 0) + attribute(4, struct.pack("=I", 1))
    assert read_route(body) is None


attribute_runs = st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=24)), max_size=6).map(
    lambda pairs: b"".join(attribute(kind, value) for kind, value in pairs)
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.binary(min_size=8, max_size=16) | st.just(b"\2\40" + bytes(10)), attribute_runs)
def test_nothing_that_arrives_raises(noise, head, run):
    for data in (noise, head + run, (head + run)[:-1]):
        assert list(messages(data)) is not None
        assert isinstance(attributes(data), dict)
        for read in (read_device, read_address, read_route):
            read(data)
