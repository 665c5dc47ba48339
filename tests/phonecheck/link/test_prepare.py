"""A link made ready and taken back, in network namespaces: what works then, and that nothing else moves."""

from __future__ import annotations


import pytest

pytestmark = pytest.mark.netns

SERVER = "203.0.113.1"
SERVER6 = "2001:db8:cafe::1"
OWN, LINK, GATEWAY = ["10.64.0.2"], ["10.64.0.2/30"], ["10.64.0.1"]
OWN6, LINK6, GATEWAY6 = ["2001:db8:5::2"], ["2001:db8:5::2/64"], ["2001:db8:5::1"]
BARE = ("ip addr flush dev wwan0", "ip link set wwan0 down")
STRICT = ("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter",)
VPN = (
    "ip link add wg0 type dummy",
    "ip addr add 10.9.0.2/32 dev wg0",
    "ip link set wg0 up",
    "ip route add default dev wg0 table 51820",
    "ip rule add not from all fwmark 0xca6c lookup 51820",
    "ip rule add table main suppress_prefixlength 0",
)
KILL_SWITCH = ("ip route add prohibit default table 51821", "ip rule add priority 80 lookup 51821")


def works(lab, *, source=OWN, peer=SERVER, interface="wwan0"):
    before = lab.device("sent")["lan0"]
    assert lab.device("connect", peer=peer, sources=source, interface=interface)["seen"] == source[0]
    assert lab.device("sent")["lan0"] == before


def fails(lab, *, source=OWN, peer=SERVER):
    assert lab.device.fails("connect", peer=peer, sources=source, timeout=0.3)


def test_nothing_is_touched_where_all_is_there(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    before = lab.device("state")
    ready = lab.device("make_ready", addresses=LINK, gateways=GATEWAY)
    assert (ready["configured"], ready["pyroute2"], ready["addresses"]) == (False, False, LINK)
    assert lab.device("state") == before


@pytest.mark.parametrize("arp", [True, False], ids=["ethernet", "raw-ip"])
@pytest.mark.parametrize("strict", [True, False])
def test_an_interface_that_nobody_configured(lab, arp, strict):
    if not arp:
        lab.without_arp()
    lab(*BARE, *(STRICT if strict else ()))
    before = lab.device("state")
    ready = lab.device("make_ready", addresses=LINK, gateways=GATEWAY, mtu=1430)
    assert (ready["configured"], ready["addresses"], ready["dns"]) == (True, LINK, [SERVER])
    works(lab)
    during = lab.device("state")
    assert [r for r in during["route4"] if r.get("table") in ("main", None)] == [
        r for r in before["route4"] if r.get("table") in ("main", None)
    ]
    assert len(lab.device("ours")) == 4
    lab.device("take_back")
    assert lab.device("state") == before
    lab.device("take_back")
    assert lab.device("state") == before
