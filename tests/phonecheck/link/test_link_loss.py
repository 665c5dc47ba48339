"""The link goes, at any moment and in any way: whoever waits knows at once, and nothing leaves by another interface.

Every time-out in here is 30 s, so a test that ends at all has seen the waiting one woken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.netns

OWN = "10.64.0.2"
SERVER, NOBODY, NAMES = "203.0.113.1", "203.0.113.99", "203.0.113.2"
WAITS = {
    "connecting": NOBODY,
    "receiving": SERVER,
    "shaking_hands": SERVER,
    "resolving": NOBODY,
    "asking_by_tcp": NOBODY,
}
LOSSES = {
    "down": ["ip link set wwan0 down"],
    "without its address": [f"ip addr del {OWN}/30 dev wwan0"],
    "deleted": ["ip link del wwan0"],
    "renamed": ["ip link set wwan0 down name wwan9"],
}


@pytest.fixture
def exchange(lab: Any) -> Iterator[Any]:
    """An exchange's process on the device, its link with a route; beside the peer one that listens and is silent."""
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    ours, theirs = lab.exchange()
    theirs("commands", lines=[f"ip addr add {NAMES}/32 dev lo"])
    theirs("listen")
    ours.theirs = theirs
    yield ours
    theirs.close()
    ours.close()


def lost(lab: Any, exchange: Any, *lines: str) -> dict[str, Any]:
    lab(*lines)
    outcome: dict[str, Any] = exchange("outcome")
    return outcome


@pytest.mark.parametrize(
    ("wait", "loss"), [*((wait, "down") for wait in WAITS), *(("receiving", loss) for loss in list(LOSSES)[1:])]
)
def test_whoever_waits_is_woken(lab: Any, exchange: Any, wait: str, loss: str) -> None:
    exchange("begin", sources=[OWN])
    exchange("enter", what=wait, peer=WAITS[wait])
    leaked = lab.device("sent")["lan0"]
    outcome = lost(lab, exchange, *LOSSES[loss])
    assert outcome["code"] == "interface-gone"
    assert "wwan0" in outcome["message"]
    assert exchange("told") == [outcome["message"]]
    # Nobody can come in by a link that is not there, so nobody is waited for.
    assert exchange("settle") < 1
    assert lab.device("sent")["lan0"] == leaked
    assert exchange("left_over") == {"threads": 0, "descriptors": 0}


def test_whoever_waits_is_woken_by_a_lost_carrier_and_by_another_namespace(lab: Any, exchange: Any) -> None:
    for event in ("carrier", "namespace"):
        exchange("begin", sources=[OWN])
        exchange("enter", what="receiving", peer=SERVER)
        if event == "carrier":
            exchange.theirs("commands", lines=["ip link set p0 down"])
            assert "carrier" in exchange("outcome")["message"]
            exchange.theirs("commands", lines=["ip link set p0 up"])
        else:
            assert lost(lab, exchange, f"ip link set wwan0 netns {lab.peer.pid}")["code"] == "interface-gone"
        exchange("settle")


def test_what_is_no_loss_is_not_told(lab: Any, exchange: Any) -> None:
    exchange("begin", sources=[OWN])
    exchange("enter", what="receiving", peer=SERVER)
    lab(
        f"ip addr change {OWN}/30 dev wwan0 valid_lft 100 preferred_lft 50",
        "ip addr add 10.99.0.1/24 dev wwan0",
        "ip addr del 10.99.0.1/24 dev wwan0",
        "ip link set wwan0 mtu 1400",
        "ip link set lan0 down",
        "ip addr flush dev lan0",
        "ip link add wwan9 type veth peer name q9",
        "ip link del wwan9",
        "ip route flush dev wwan0",
    )
    assert exchange("told") == []
    assert lost(lab, exchange, "ip link set wwan0 down")["code"] == "interface-gone"


@pytest.mark.parametrize("loss", LOSSES)
def test_news_that_got_lost_are_looked_up(lab: Any, exchange: Any, loss: str) -> None:
    exchange("begin", sources=[OWN], deaf=True)
    exchange("enter", what="receiving", peer=SERVER)
    lab("ip addr add 10.99.0.1/24 dev wwan0")
    assert exchange("told") == []
    assert lost(lab, exchange, *LOSSES[loss])["code"] == "interface-gone"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_link_that_went_before_the_watch(lab: Any, exchange: Any, loss: str) -> None:
    lab(*LOSSES[loss])
    assert len(exchange("begin", sources=[OWN])) == 1
    for wait, peer in WAITS.items():
        assert exchange.fails("attempt_now", what=wait, peer=peer).code == "interface-gone"


def test_another_device_of_the_same_name_is_not_the_link(lab: Any, exchange: Any) -> None:
    exchange("begin", sources=[OWN], deaf=True)
    exchange("enter", what="receiving", peer=SERVER)
    again = ["ip link del wwan0", "ip link add wwan0 type veth peer name p9", f"ip addr add {OWN}/30 dev wwan0"]
    assert lost(lab, exchange, *again, "ip link set p9 up", "ip link set wwan0 up")["code"] == "interface-gone"


def sent_at_rest(lab: Any) -> Any:
    """What has been sent, once the kernels have taken leave of each other."""
    sent = None
    while sent != (sent := lab.device("sent")):
        time.sleep(0.3)
    return sent


def test_between_two_hops_nothing_more_is_sent(lab: Any, exchange: Any) -> None:
    lab("echo 1 > /proc/sys/net/ipv6/conf/wwan0/disable_ipv6")  # it would look for routers at any time
    exchange("begin", sources=[OWN], watched=False)
    exchange("race", addresses=[SERVER])
    exchange("abort")
    sent = sent_at_rest(lab)
    for wait, peer in WAITS.items():
        failure = exchange.fails("attempt_now", what=wait, peer=peer)
        assert (failure.code, failure.message) == ("interface-gone", "ModemManager went away.")
    assert lab.device("sent") == sent


LATE = [
    "nft add table t",
    "nft add chain t o '{ type filter hook output priority 0; }'",
    "nft add rule t o oifname p0 'tcp flags & syn == syn' drop",
]


def test_a_late_answer_to_a_connection_that_was_given_up_is_not_reset_by_the_lan(lab: Any, exchange: Any) -> None:
    """What went is ModemManager: the link carries packets as before."""
    # Known neighbours, so that ARP does not count.
    lab("ip neigh replace 192.168.8.1 lladdr 02:00:00:00:00:77 dev lan0")
    exchange.theirs("commands", lines=LATE)
    exchange("begin", sources=[OWN], watched=False)
    exchange("enter", what="connecting", peer=SERVER)
    before = lab.device("sent")["lan0"]
    exchange("abort")
    assert exchange("outcome")["message"] == "ModemManager went away."
    exchange.theirs("commands", lines=["nft flush chain t o"])
    settled_in = exchange("settle")
    time.sleep(max(0.0, 1.3 - settled_in))  # until the peer has sent its SYN-ACK again, whoever waited for it
    assert lab.device("sent")["lan0"] == before

    exchange.theirs("commands", lines=[*LATE[2:]])
    assert exchange("shut_down_the_obvious_way", peer=SERVER) == "ConnectionResetError"
    exchange.theirs("commands", lines=["nft flush chain t o"])
    time.sleep(1.3)
    assert lab.device("sent")["lan0"] > before, "this test cannot see leaks"


def test_a_late_answer_to_a_question_is_not_answered_by_the_lan(lab: Any, exchange: Any) -> None:
    lab("ip neigh replace 192.168.8.1 lladdr 02:00:00:00:00:77 dev lan0")
    exchange.theirs("answer_names", addresses=[NAMES], late=0.5)
    exchange("begin", sources=[OWN], watched=False)
    exchange("enter", what="resolving", peer=NAMES)
    before = lab.device("sent")["lan0"]
    exchange("abort")
    assert exchange("outcome")["message"] == "ModemManager went away."
    settled_in = exchange("settle")
    time.sleep(max(0.0, 0.6 - settled_in))
    assert lab.device("sent")["lan0"] == before


@pytest.mark.parametrize("wait", ["receiving", "shaking_hands"])
def test_a_connection_is_taken_leave_of_where_the_link_still_carries_it(lab: Any, exchange: Any, wait: str) -> None:
    exchange("begin", sources=[OWN], watched=False)
    exchange("enter", what=wait, peer=SERVER)
    before = lab.device("sent")
    exchange("abort")
    assert exchange("outcome")["code"] == "interface-gone"
    exchange("settle")
    after = lab.device("sent")
    assert after["lan0"] == before["lan0"]
    assert after["wwan0"] > before["wwan0"]
