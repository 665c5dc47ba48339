"""A network that has two address families and carries one of them: what it costs, and that it costs it once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.netns

OWN = ["10.64.0.2", "2001:db8:5::2"]
SERVER = {4: "203.0.113.1", 6: "2001:db8:cafe::1"}
NAMES = {4: "203.0.113.2", 6: "2001:db8:cafe::2"}
SWALLOW = ["nft add table inet t", "nft add chain inet t i '{ type filter hook prerouting priority -300; }'"]


@pytest.fixture
def exchange(lab: Any) -> Iterator[Any]:
    """An exchange on a dual-stack link; servers of names in both families beside the peer."""
    lab(
        "ip route add default dev wwan0 via 10.64.0.1 metric 700",
        "ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad",
        "ip -6 route add default dev wwan0 via 2001:db8:5::1",
    )
    ours, theirs = lab.exchange()
    theirs(
        "commands",
        lines=[f"ip addr add {NAMES[4]}/32 dev lo", f"ip -6 addr add {NAMES[6]}/128 dev lo nodad", *SWALLOW],
    )
    theirs("listen")
    theirs("answer_names", addresses=list(NAMES.values()))
    ours.theirs = theirs
    ours("begin", sources=OWN)
    yield ours
    theirs.close()
    ours.close()


def swallow(exchange: Any, *families: int) -> None:
    # Neighbours are found all the same: a radio that swallows has none to look for.
    kinds = {4: "ip protocol", 6: "ip6 nexthdr"}
    lines = [f"nft add rule inet t i {kinds[f]} '{{ tcp, udp }}' drop" for f in families]
    exchange.theirs("commands", lines=lines)


@pytest.mark.parametrize("dead", [4, 6])
@pytest.mark.parametrize("first", [4, 6])
def test_a_family_that_is_swallowed_costs_a_chain_a_quarter_of_a_second(exchange: Any, dead: int, first: int) -> None:
    servers = [NAMES[first], NAMES[10 - first]]
    hosts = ["platform.example", "id.mno.example", "he.mno.example"]
    swallow(exchange, dead)
    hops = exchange("hop", servers=servers, hosts=hosts)
    assert {hop["family"] for hop in hops} == {10 - dead}
    # Far from the 1.5 s of a server's patience and the seconds of a connection's.
    assert hops[0]["ms"] < 1000
    assert hops[0]["ms"] > 240 if dead == first else hops[0]["ms"] < 240
    assert all(hop["ms"] < 240 for hop in hops[1:])
    exchange("settle")
    assert exchange("left_over") == {"threads": 0, "descriptors": 0}


@pytest.mark.parametrize("dead", [4, 6])
def test_connections_alone(exchange: Any, dead: int) -> None:
    """Names of another origin than the link: the head start is all that it costs."""
    swallow(exchange, dead)
    won = exchange("race", addresses=[SERVER[dead], SERVER[10 - dead]])
    assert (won["family"], 240 < won["ms"] < 1000) == (10 - dead, True)
    won = exchange("race", addresses=[SERVER[10 - dead], SERVER[dead]])
    assert (won["family"], won["ms"] < 240) == (10 - dead, True)


def test_a_host_of_one_family(exchange: Any) -> None:
    hops = exchange("hop", servers=[NAMES[4]], hosts=["platform.example", "six.mno.example", "id.mno.example"])
    assert [hop["family"] for hop in hops] == [4, 6, 4]


def test_a_family_that_refuses_gives_way_at_once(exchange: Any) -> None:
    exchange.theirs("commands", lines=["nft add rule inet t i ip daddr 203.0.113.1 tcp dport 80 reject with tcp reset"])
    won = exchange("race", addresses=[SERVER[4], SERVER[6]])
    assert (won["family"], won["ms"] < 240) == (6, True)


def test_both_swallowed_end_with_the_time_that_is_given(exchange: Any) -> None:
    swallow(exchange, 4, 6)
    failure = exchange.fails("race", addresses=[SERVER[4], SERVER[6]], seconds=0.5)
    assert failure.code == "TimeoutError"
    assert 0.5 <= failure.seconds < 2
    exchange("settle")
    assert exchange("left_over") == {"threads": 0, "descriptors": 0}


def test_the_one_that_lost_is_seen_off_when_it_comes_about_after_all(lab: Any, exchange: Any) -> None:
    lab("ip neigh replace 192.168.8.1 lladdr 02:00:00:00:00:77 dev lan0")
    late = [
        "nft add chain inet t o '{ type filter hook output priority 0; }'",
        "nft add rule inet t o meta nfproto ipv4 oifname p0 'tcp flags & syn == syn' drop",
    ]
    exchange.theirs("commands", lines=late)
    before = lab.device("sent")["lan0"]
    assert exchange("race", addresses=[SERVER[4], SERVER[6]])["family"] == 6
    exchange.theirs("commands", lines=["nft flush chain inet t o"])
    settled_in = exchange("settle")
    time.sleep(max(0.0, 1.3 - settled_in))  # until the peer has sent its SYN-ACK again, whoever waited for it
    assert lab.device("sent")["lan0"] == before
    assert exchange("left_over") == {"threads": 0, "descriptors": 0}
