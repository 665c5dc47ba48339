"""The path, proven in network namespaces: what leaves where, and that the kernel's predictions come true."""

from __future__ import annotations

import pytest

from phonecheck.link import path

pytestmark = pytest.mark.netns

SERVER = "203.0.113.1"
SERVER6 = "2001:db8:cafe::1"
OWN = ["10.64.0.2"]
LINK = ["10.64.0.2/30"]


def test_leaves_by_the_link_only_where_the_obvious_recipes_leak(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    before = lab.device("sent")
    proof = lab.device("connect", peer=SERVER, sources=OWN)
    after = lab.device("sent")
    assert proof == {
        "bound_to": "wwan0",
        "source": "10.64.0.2",
        "peer": SERVER,
        "peer_port": 80,
        "seen": "10.64.0.2",
    }
    assert after["lan0"] == before["lan0"]
    assert after["wwan0"] > before["wwan0"]

    for recipe in ({"source": OWN[0]}, {"bound_late": True}):
        before = after
        lab.device("attempt", peer=SERVER, **recipe)  # whatever comes of it: the counters judge
        after = lab.device("sent")
        assert after["lan0"] > before["lan0"]


def test_names_are_asked_for_over_the_link_only(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    before = lab.device("sent")
    found = lab.device("resolve", host="he.mno.example", servers=[SERVER], addresses=OWN)
    after = lab.device("sent")
    assert (found["addresses"], found["server"]) == (["203.0.113.7"], SERVER)
    assert after["lan0"] == before["lan0"]


def test_no_rights_are_needed(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    nobody = lab.another()
    try:
        assert nobody("drop_rights")["capabilities"] == 0
        assert nobody("check", peers=[SERVER], addresses=LINK) is None
        assert nobody("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"
    finally:
        nobody.close()


@pytest.mark.parametrize("interface", ["wwan7", "", "wwan0\0x", "wwan0-and-much-too-long", "ü" * 9])
def test_a_device_that_does_not_exist(lab, interface):
    before = lab.device("sent")
    assert lab.device.fails("connect", interface=interface, peer=SERVER).code == "interface-gone"
    assert lab.device.fails("check", interface=interface, peers=[SERVER], addresses=LINK).code == "interface-gone"
    assert lab.device("sent")["lan0"] == before["lan0"]


def test_a_name_that_the_kernel_would_cut_to_one_that_exists(lab):
    lab("ip link add wwan0-fifteen-c type veth peer name other")
    assert lab.device.fails("connect", interface="wwan0-fifteen-cut", peer=SERVER).code == "interface-gone"


def test_an_alternative_name_is_not_taken_for_the_device(lab):
    lab("ip link property add dev wwan0 altname modem")
    assert lab.device.fails("connect", interface="modem", peer=SERVER).code == "wrong-path"
    assert lab.device("from_kernel", interface="modem", dns=[SERVER])["interface"] == "wwan0"


def test_link_down(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700", "ip link set wwan0 down")
    assert lab.device.fails("connect", peer=SERVER, sources=OWN).code == "interface-gone"
    assert lab.device.fails("connect", peer=SERVER).code == "interface-gone"
    assert lab.device.fails("check", peers=[SERVER], addresses=LINK).code == "interface-gone"
    assert lab.device.fails("resolve", host="a.example", servers=[SERVER], addresses=OWN).code == "interface-gone"


def test_no_carrier(lab):
    lab.peer("commands", lines=["ip link set p0 down"])
    failure = lab.device.fails("check", peers=[SERVER], addresses=LINK)
    assert (failure.code, "carrier" in failure.message) == ("interface-gone", True)


def test_the_address_went(lab):
    lab("ip addr add 10.64.0.9/30 dev wwan0", "ip addr del 10.64.0.2/30 dev wwan0")
    assert lab.device.fails("connect", peer=SERVER, sources=OWN).code == "interface-gone"
    failure = lab.device.fails("check", peers=[SERVER], addresses=LINK, gateways=["10.64.0.1"], mtu=1430)
    assert failure.code == "no-route"
    # The cure is taken at its word.
    lab(*failure.hint.partition(": ")[2].split("; "))
    assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"


def test_nobody_configured_the_interface(lab):
    lab("ip addr flush dev wwan0", "ip link set wwan0 down")
    failure = lab.device.fails("usable", addresses=LINK)
    assert failure.code == "no-route"
    assert "nobody configured" in failure.message
    lab(*failure.hint.partition(": ")[2].split("; "))
    assert lab.device("usable", addresses=LINK) == LINK


def test_no_route_is_said_at_once(lab):
    assert lab.device("route", peer=SERVER, interface="wwan0") is None  # not the kernel's guess "on link"
    failure = lab.device.fails("check", peers=[SERVER], addresses=LINK, gateways=["10.64.0.1"])
    assert failure.code == "no-route"
    assert lab.device.fails("connect", peer=SERVER, sources=OWN, timeout=0.3).code == "TimeoutError"  # it ARPs
    lab(failure.hint.partition(": ")[2])
    assert lab.device("check", peers=[SERVER], addresses=LINK) is None
    assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"


def test_arp_in_vain_is_no_route(lab):
    lab(
        "echo 1 > /proc/sys/net/ipv4/neigh/wwan0/mcast_solicit",
        "echo 50 > /proc/sys/net/ipv4/neigh/wwan0/retrans_time_ms",
    )
    failure = lab.device.fails("connect", peer=SERVER, sources=OWN, timeout=8)
    assert failure.code == "no-route"


def test_arp_in_vain_for_a_route_without_gateway_is_no_fault_of_the_peer(lab):
    lab(
        "echo 1 > /proc/sys/net/ipv4/neigh/wwan0/mcast_solicit",
        "echo 50 > /proc/sys/net/ipv4/neigh/wwan0/retrans_time_ms",
        "ip route add default dev wwan0 metric 700",
    )
    failure = lab.device.fails("connect", peer=SERVER, sources=OWN, timeout=8)
    assert failure.code == "no-route"
    assert "names no gateway" in failure.message
    lab(failure.hint.partition(": ")[2].replace("GATEWAY", "10.64.0.1"))
    assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"


def test_an_unreachable_from_far_away_is_the_peers_fault(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    lab.peer("commands", lines=["echo 1 > /proc/sys/net/ipv4/ip_forward", "ip route add unreachable 198.51.100.0/24"])
    assert lab.device("check", peers=["198.51.100.9"], addresses=LINK) is None
    assert lab.device.fails("connect", peer="198.51.100.9", sources=OWN).code == "OSError"
    assert lab.device.fails("connect", peer=SERVER, port=81, sources=OWN).code == "ConnectionRefusedError"


def test_a_strict_filter_is_foreseen_and_real(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700", "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
    assert lab.device("filters", name="wwan0") == 1
    failure = lab.device.fails("check", peers=[SERVER], addresses=LINK)
    assert failure.code == "reply-filtered"
    assert lab.device.fails("connect", peer=SERVER, sources=OWN, timeout=0.5).code == "TimeoutError"
    lab(failure.hint.partition(": ")[2])
    assert lab.device("filters", name="wwan0") == 2
    assert lab.device("check", peers=[SERVER], addresses=LINK) is None
    assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"


@pytest.mark.parametrize(("rule", "passes"), [("from 10.64.0.2", True), ("oif wwan0", False)])
def test_a_rule_and_the_strict_filter(lab, rule, passes):
    lab(
        "echo 1 > /proc/sys/net/ipv4/conf/wwan0/rp_filter",
        "ip route add default dev wwan0 via 10.64.0.1 table 77",
        f"ip rule add {rule} lookup 77",
    )
    if passes:
        assert lab.device("check", peers=[SERVER], addresses=LINK) is None
        assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"
    else:
        assert lab.device.fails("check", peers=[SERVER], addresses=LINK).code == "reply-filtered"
        assert lab.device.fails("connect", peer=SERVER, sources=OWN, timeout=0.5).code == "TimeoutError"


def test_the_loose_filter_wants_a_route_as_well(lab):
    """A point-to-point link sends without a route, and loses every answer where the device has no other one."""
    lab("ip route del default", "echo 2 > /proc/sys/net/ipv4/conf/wwan0/rp_filter")
    lab.without_arp()
    failure = lab.device.fails("check", peers=[SERVER], addresses=LINK)
    assert failure.code == "reply-filtered"
    assert lab.device.fails("connect", peer=SERVER, sources=OWN, timeout=0.5).code == "TimeoutError"
    lab(failure.hint.partition(": ")[2])
    assert lab.device("check", peers=[SERVER], addresses=LINK) is None
    assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"


def test_raw_ip_sends_without_a_route_on_ipv4_only(lab):
    lab.without_arp()
    lab("ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad")
    both = [*LINK, "2001:db8:5::2/64"]
    assert lab.device("check", peers=[SERVER], addresses=both) is None
    assert lab.device("connect", peer=SERVER, sources=OWN)["seen"] == "10.64.0.2"
    failure = lab.device.fails("check", peers=[SERVER6], addresses=both)
    assert failure.code == "no-route"
    assert lab.device.fails("connect", peer=SERVER6, sources=["2001:db8:5::2"]).code == "no-route"
    assert lab.device("usable", addresses=both) == LINK
    lab(failure.hint.partition(": ")[2])
    assert lab.device("usable", addresses=both) == both
    assert lab.device("connect", peer=SERVER6, sources=["2001:db8:5::2"])["seen"] == "2001:db8:5::2"


@pytest.mark.parametrize("route", ["", "table 77"])
def test_ipv6(lab, route):
    lab(
        "ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad",
        f"ip -6 route add default dev wwan0 via 2001:db8:5::1 {route}",
    )
    if route:
        lab("ip -6 rule add from 2001:db8:5::2 lookup 77")
    link = {"sources": ["10.64.0.2", "2001:db8:5::2"]}
    assert lab.device("check", peers=[SERVER6], addresses=["2001:db8:5::2/64"]) is None
    proof = lab.device("connect", peer=SERVER6, **link)
    assert (proof["source"], proof["seen"], proof["bound_to"]) == ("2001:db8:5::2", "2001:db8:5::2", "wwan0")


IPV6_BESIDE_A_BETTER_DEFAULT = (
    "echo 0 > /proc/sys/net/ipv6/conf/lan0/disable_ipv6",
    "ip -6 addr add 2001:db8:8::20/64 dev lan0 nodad",
    "ip -6 route add default dev lan0 via 2001:db8:8::1 metric 100",
    "ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad",
)


@pytest.mark.parametrize(
    ("route", "rule"), [("metric 700", ""), ("table 77", "ip -6 rule add from 2001:db8:5::2 lookup 77")]
)
def test_ipv6_beside_a_better_default(lab, route, rule):
    lab(*IPV6_BESIDE_A_BETTER_DEFAULT, f"ip -6 route add default dev wwan0 via 2001:db8:5::1 {route}", rule)
    assert lab.device("check", peers=[SERVER6], addresses=["2001:db8:5::2/64"]) is None
    assert lab.device("connect", peer=SERVER6, sources=["2001:db8:5::2"])["seen"] == "2001:db8:5::2"


def test_ipv6_without_a_way_beside_a_better_default(lab):
    lab(*IPV6_BESIDE_A_BETTER_DEFAULT)
    assert lab.device.fails("check", peers=[SERVER6], addresses=["2001:db8:5::2/64"]).code == "no-route"
    assert lab.device.fails("connect", peer=SERVER6, sources=["2001:db8:5::2"]).code == "no-route"


def test_an_ipv4_address_in_ipv6_clothes_goes_nowhere(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700", "ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad")
    assert lab.device.fails("connect", peer=f"::ffff:{SERVER}").code == "no-route"


def test_a_family_that_the_link_lacks(lab):
    assert lab.device.fails("connect", peer=SERVER6, sources=OWN).code == "no-route"
    assert lab.device.fails("check", peers=[SERVER6], addresses=LINK).code == "no-route"


def test_an_address_of_the_link_itself_is_no_way_out(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    assert lab.device.fails("check", peers=["10.64.0.2"], addresses=LINK).code == "wrong-path"


@pytest.mark.parametrize("peer", ["127.0.0.53", "0.0.0.0"])
def test_the_device_itself_is_no_peer(lab, peer):
    """127.0.0.53 stands in the resolv.conf of every systemd-resolved; the kernel would send it out of the link."""
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    assert lab.device.fails("check", peers=[peer], addresses=LINK).code == "wrong-path"


def test_networks_elsewhere(lab):
    lab("ip addr add 10.8.0.2 peer 10.8.0.1/32 dev lan0")
    found = lab.device("elsewhere")
    assert {"192.168.8.0/24", "127.0.0.0/8", "10.8.0.1/32", "10.8.0.2/32", "10.64.0.2/32"} <= set(found)
    assert "10.64.0.0/30" not in found


def test_a_link_that_modemmanager_does_not_manage(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700", "ip link set wwan0 mtu 1430")
    lab("ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad")
    assert lab.device("from_kernel", interface="wwan0", dns=["10.64.1.53"]) == {
        "interface": "wwan0",
        "addresses": ["10.64.0.2/30", "2001:db8:5::2/64"],
        "gateways": ["10.64.0.1"],
        "dns": ["10.64.1.53"],
        "mtu": 1430,
    }
    failure = lab.device.fails("from_kernel", interface="wwan0", dns=[])
    assert (failure.code, "--dns" in failure.hint) == ("bad-setting", True)
    assert lab.device.fails("from_kernel", interface="usb9", dns=["10.64.1.53"]).code == "interface-gone"
    lab("ip addr flush dev wwan0")
    assert lab.device.fails("from_kernel", interface="wwan0", dns=["10.64.1.53"]).code == "no-route"


def test_the_loopback_interface_is_no_link(lab):
    assert lab.device.fails("from_kernel", interface="lo", dns=[SERVER]).code == "bad-setting"


def test_strict_refuses_what_the_other_traffic_takes(lab, tmp_path):
    lan0 = {"interface": "lan0", "dns": [SERVER], "strict": True, "sys": str(tmp_path)}
    failure = lab.device.fails("from_kernel", **lan0)
    assert (failure.code, "default route" in failure.message) == ("wrong-path", True)
    assert lab.device("from_kernel", **{**lan0, "strict": False})["interface"] == "lan0"
    assert lab.device("from_kernel", **{**lan0, "interface": "wwan0"})["interface"] == "wwan0"
    # A worse default is no matter; the better one is.
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    assert lab.device("from_kernel", **{**lan0, "interface": "wwan0"})["interface"] == "wwan0"
    lab("ip route del default via 192.168.8.1")
    assert lab.device.fails("from_kernel", **{**lan0, "interface": "wwan0"}).code == "wrong-path"
    place = tmp_path / "class/net/wwan0"
    (place / "device").mkdir(parents=True)
    (place / "uevent").write_text("INTERFACE=wwan0\n")
    (tmp_path / "drivers/cdc_ether").mkdir(parents=True)
    (place / "device/driver").symlink_to(tmp_path / "drivers/cdc_ether")
    assert lab.device("from_kernel", **{**lan0, "interface": "wwan0"})["interface"] == "wwan0"


@pytest.mark.parametrize(
    ("uevent", "driver", "cellular"),
    [
        ("DEVTYPE=wwan\nINTERFACE=wwan0\n", "", True),
        ("INTERFACE=wwan0\n", "qmi_wwan", True),
        ("INTERFACE=wwan0\n", "r8169", False),
        ("INTERFACE=wwan0\n", "", False),
        ("", "", False),
    ],
)
def test_what_is_known_to_be_a_modems(tmp_path, uevent, driver, cellular):
    place = tmp_path / "class/net/wwan0"
    place.mkdir(parents=True)
    if uevent:
        (place / "uevent").write_text(uevent)
    if driver:
        (tmp_path / driver).mkdir()
        (place / "device").mkdir()
        (place / "device/driver").symlink_to(tmp_path / driver)
    assert path.cellular("wwan0", tmp_path) is cellular
