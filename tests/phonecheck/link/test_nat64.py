"""Prefixes of a NAT64, and addresses through it: RFC 6052 §2.4's own examples, and all six lengths."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.link.nat64 import LENGTHS, embed, ipv4_inside, prefixes

KNOWN = (IPv4Address("192.0.0.170"), IPv4Address("192.0.0.171"))


@st.composite
def any_prefix(draw: st.DrawFn) -> IPv6Network:
    octets = bytearray(draw(st.binary(min_size=16, max_size=16)))
    octets[8] = 0  # RFC 6052 §2.2 asks this of a prefix of 96 bits too
    return IPv6Network((bytes(octets), draw(st.sampled_from(LENGTHS))), strict=False)


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
    ],
)
def test_the_examples_of_the_rfc(prefix: str, address: str) -> None:
    ipv4, ipv6, network = IPv4Address("192.0.2.33"), IPv6Address(address), IPv6Network(prefix)
    assert embed(network, ipv4) == ipv6
    assert ipv4_inside(ipv6, [network]) == ipv4


@given(any_prefix(), st.ip_addresses(v=4))
def test_what_is_put_in_comes_out(prefix: IPv6Network, address: IPv4Address) -> None:
    made = embed(prefix, address)
    assert made in prefix
    assert made.packed[8] == 0
    assert ipv4_inside(made, [prefix]) == address


@given(any_prefix())
def test_every_prefix_is_found(prefix: IPv6Network) -> None:
    assert prefixes([embed(prefix, known) for known in KNOWN]) == (prefix,)


@given(st.lists(st.ip_addresses(v=6), max_size=6))
def test_no_prefix_comes_of_addresses_that_do_not_hold_a_known_one(addresses: list[IPv6Address]) -> None:
    for prefix in prefixes(addresses):
        assert any(ipv4_inside(address, [prefix]) in KNOWN for address in addresses)


def test_several_prefixes_in_their_order() -> None:
    networks = (IPv6Network("2001:db8:46::/96"), IPv6Network("2001:db8:47::/64"), IPv6Network("64:ff9b::/96"))
    assert prefixes([embed(network, known) for known in KNOWN for network in networks]) == networks


def test_one_known_address_is_enough() -> None:
    prefix = IPv6Network("2001:db8:47::/56")
    assert prefixes([embed(prefix, KNOWN[1])]) == (prefix,)


def test_a_prefix_that_holds_a_known_address_itself() -> None:
    inner = embed(IPv6Network("2001:db8::/32"), KNOWN[0])
    prefix = IPv6Network((inner, 96))
    assert prefixes([embed(prefix, known) for known in KNOWN]) == (prefix,)


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8::1",
        "192.0.0.170",
        "2001:db8::192.0.0.172",
        "2001:db8:122:344:1c0:0:aa00:0",  # with the reserved octet set
        "2001:db8:122:344:c000:aa::",  # over the reserved octet
    ],
)
def test_a_lie_shows_no_prefix(address: str) -> None:
    lie = IPv6Address(address) if ":" in address else IPv4Address(address)
    assert prefixes([lie]) == ()


def test_the_longest_prefix_judges() -> None:
    networks = [IPv6Network("2001:db8::/32"), IPv6Network("2001:db8:46::/96")]
    assert ipv4_inside(IPv6Address("2001:db8:46::127.0.0.1"), networks) == IPv4Address("127.0.0.1")
    assert ipv4_inside(IPv6Address("2001:db9::1"), networks) is None
    assert ipv4_inside(IPv4Address("127.0.0.1"), networks) is None
