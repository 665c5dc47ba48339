"""A link made ready and taken back, in network namespaces: what works then, and that nothing else moves."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.netns

SERVER = "203.0.113.1"
SERVER6 = "2001:db8:cafe::1"
OWN, LINK, GATEWAY = ["10.64.0.2"], ["10.64.0.2/30"], ["10.64.0.1"]
OWN6, LINK6, GATEWAY6 = ["2001:db8:5::2"], ["2001:db8:5::2/64"], ["2001:db8:5::1"]
BARE = ("ip addr flush dev wwan0", "ip link set wwan0 down")
STRICT = ("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter",)
VPN = (
    "ip link add wg0 type veth peer name wg1",  # not every kernel has dummy
    # Else its own routes and the end of its DAD come at any time, into the state that is compared.
    "echo 1 > /proc/sys/net/ipv6/conf/wg0/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/wg1/disable_ipv6",
    "ip link set wg1 up",
    "ip addr add 10.9.0.2/32 dev wg0",
    "ip link set wg0 up",
    "ip route add default dev wg0 table 51820",
    "ip rule add not from all fwmark 0xca6c lookup 51820",
    "ip rule add table main suppress_prefixlength 0",
)
KILL_SWITCH_6 = ("ip -6 route add prohibit default table 51821", "ip -6 rule add priority 80 lookup 51821")
KILL_SWITCH = ("ip route add prohibit default table 51821", "ip rule add priority 80 lookup 51821")


def works(lab, *, source=OWN, peer=SERVER, interface="wwan0"):
    before = lab.device("sent")["lan0"]
    assert lab.device("connect", peer=peer, sources=source, interface=interface)["seen"] == source[0]
    assert lab.device("sent")["lan0"] == before


def fails(lab, *, source=OWN, peer=SERVER):
    lab.device.fails("connect", peer=peer, sources=source, timeout=0.3)


def goes_and_comes(lab, *, source=OWN, peer=SERVER, **link):
    """It fails, is set up and works, is taken back, and all is as it was."""
    before = lab.device("state")
    assert lab.device("make_ready", **link)["configured"]
    works(lab, source=source, peer=peer)
    during = lab.device("state")
    for routes in ("route4", "route6"):
        kept = [r for r in during[routes] if r.get("protocol") not in ("112", "kernel")]
        assert kept == [r for r in before[routes] if r.get("protocol") != "kernel"]
    for _ in range(2):
        lab.device("take_back")
        assert lab.device("state") == before


def test_nothing_is_touched_where_all_is_there(lab):
    lab("ip route add default dev wwan0 via 10.64.0.1 metric 700")
    before = lab.device("state")
    ready = lab.device("make_ready", addresses=LINK, gateways=GATEWAY)
    assert (ready["configured"], ready["pyroute2"], ready["addresses"]) == (False, False, LINK)
    assert lab.device("state") == before


@pytest.mark.parametrize("arp", [True, False], ids=["ethernet", "raw-ip"])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "loose"])
def test_an_interface_that_nobody_configured(lab, arp, strict):
    if not arp:
        lab.without_arp()
    lab(*BARE, *(STRICT if strict else ()))
    goes_and_comes(lab, addresses=LINK, gateways=GATEWAY, mtu=1430)


def test_up_and_without_an_address(lab):
    lab("ip addr flush dev wwan0")
    goes_and_comes(lab, addresses=LINK, gateways=GATEWAY)


def test_what_is_set_up(lab):
    lab(*BARE, "ip link set wwan0 alias slot-2")
    lab.device("make_ready", addresses=LINK, gateways=GATEWAY, mtu=1430)
    during = lab.device("state")
    wwan0 = next(item for item in during["address"] if item["ifname"] == "wwan0")
    index = wwan0["ifindex"]
    assert lab.device("ours") == [
        "wwan0, set up",
        "wwan0, address 10.64.0.2/30",
        f"wwan0, rule from 10.64.0.2/32 to table {112000 + index}",
        f"wwan0, IPv4 default route in table {112000 + index}",
    ]
    assert (wwan0["mtu"], wwan0["ifalias"]) == (1500, "slot-2 [phonecheck: set up, accept_ra was 1]")
    assert during["accept_ra"]["wwan0"] == "0\n"
    route = next(r for r in during["route4"] if r.get("table") == str(112000 + index))
    assert (route["gateway"], route["metrics"], route["protocol"]) == ("10.64.0.1", [{"mtu": 1430}], "112")
    rule = next(r for r in during["rule4"] if r["src"] == "10.64.0.2")
    assert (rule["priority"], rule["protocol"]) == (90, "112")


def test_the_operators_router_is_not_the_devices(lab):
    """An advertisement of the network gives the device no default route; without phonecheck's care it would."""

    def default_after_an_advertisement():
        for _ in range(50):
            # Again and again: one that comes before the interface has its own address is not heard.
            lab.peer("advertise", prefix="2001:db8:5::")
            time.sleep(0.1)
            found = [r for r in lab.device("state")["route6"] if r["dst"] == "default" and r["table"] == "main"]
            if found or lab.device("state")["accept_ra"]["wwan0"] == "0\n":
                break
        return found

    lab(*BARE)
    before = lab.device("state")
    lab.device("make_ready", addresses=LINK6, gateways=GATEWAY6, dns=[SERVER6])
    assert default_after_an_advertisement() == []
    works(lab, source=OWN6, peer=SERVER6)
    lab.device("take_back")
    assert lab.device("state") == before
    lab("ip link set wwan0 up")
    assert default_after_an_advertisement() != []


@pytest.mark.parametrize("mtu", [None, 0, 20, 9000])
def test_an_mtu_that_is_none(lab, mtu):
    lab(*BARE)
    lab.device("make_ready", addresses=LINK, gateways=GATEWAY, mtu=mtu)
    assert not any("metrics" in route for route in lab.device("state")["route4"])


@pytest.mark.parametrize("gateways", [GATEWAY, ["10.99.0.1"], []], ids=["gateway", "far-gateway", "no-gateway"])
def test_no_route(lab, gateways):
    # A modem without a gateway answers for all the Internet; one may also be in no network of the link's.
    lab.peer("commands", lines=["ip route add default dev r0", "echo 1 > /proc/sys/net/ipv4/conf/p0/proxy_arp"])
    lab.peer("commands", lines=["echo 0 > /proc/sys/net/ipv4/conf/all/arp_ignore", "ip addr add 10.99.0.1/32 dev lo"])
    goes_and_comes(lab, addresses=LINK, gateways=gateways)


@pytest.mark.parametrize(("gateways", "told"), [(GATEWAY, False), ([], True), (GATEWAY6, True)])
@pytest.mark.parametrize("arp", [True, False], ids=["ethernet", "raw-ip"])
def test_a_gateway_that_nobody_knows_is_told(capfd, lab, arp, gateways, told):
    if not arp:
        lab.without_arp()
    lab(*BARE)
    run = lab.another()  # whose standard error is the test's
    try:
        run("make_ready", addresses=LINK, gateways=gateways)
    finally:
        run.close()
    assert ("No IPv4 gateway is known for wwan0" in capfd.readouterr().err) == (told and arp)


def test_addresses_and_gateway_from_the_kernel(lab):
    lab("ip route add default via 10.64.0.1 dev wwan0 metric 700", *STRICT)
    goes_and_comes(lab, addresses=[])


def test_a_strict_filter(lab):
    lab("ip route add default via 10.64.0.1 dev wwan0 metric 700", *STRICT)
    fails(lab)
    goes_and_comes(lab, addresses=LINK, gateways=GATEWAY)


@pytest.mark.parametrize(
    ("lines", "arp", "strict"),
    [
        (VPN, True, True),
        (VPN, False, False),
        (KILL_SWITCH, True, False),
        (KILL_SWITCH, False, True),
        ((*VPN, *KILL_SWITCH), True, True),
    ],
    ids=[
        "vpn-ethernet-strict",
        "vpn-raw-ip",
        "kill-switch-ethernet",
        "kill-switch-raw-ip-strict",
        "both-ethernet-strict",
    ],
)
def test_a_vpn_in_front(lab, arp, strict, lines):
    if not arp:
        lab.without_arp()
    lab(*BARE, *lines, *(STRICT if strict else ()))
    goes_and_comes(lab, addresses=LINK, gateways=GATEWAY)


def test_a_rule_that_is_ahead_of_ours_by_habit(lab):
    lab(*BARE, *KILL_SWITCH, "ip rule add priority 12 lookup 51821")
    goes_and_comes(lab, addresses=LINK, gateways=GATEWAY)


@pytest.mark.parametrize("arp", [True, False], ids=["ethernet", "raw-ip"])
@pytest.mark.parametrize("lines", [(), KILL_SWITCH_6], ids=["free", "kill-switch"])
def test_ipv6(lab, arp, lines):
    if not arp:
        lab.without_arp()
    lab(*BARE, *lines)
    goes_and_comes(lab, source=OWN6, peer=SERVER6, addresses=LINK6, gateways=GATEWAY6, dns=[SERVER6], mtu=1430)


def test_both_families(lab):
    lab(*BARE)
    before = lab.device("state")
    ready = lab.device("make_ready", addresses=[*LINK, *LINK6], gateways=[*GATEWAY, *GATEWAY6], dns=[SERVER, SERVER6])
    assert (ready["addresses"], ready["dns"]) == ([*LINK, *LINK6], [SERVER, SERVER6])
    works(lab)
    works(lab, source=OWN6, peer=SERVER6)
    lab.device("take_back")
    assert lab.device("state") == before


def test_one_family_of_two(lab):
    lab(*BARE)
    link = {"addresses": [*LINK, *LINK6], "gateways": [*GATEWAY, *GATEWAY6], "dns": [SERVER, SERVER6]}
    ready = lab.device("make_ready", family="4", **link)
    assert (ready["addresses"], ready["dns"]) == (LINK, [SERVER])
    assert not any("IPv6" in words or ":" in words for words in lab.device("ours"))


def test_a_family_that_the_kernel_refuses_is_left_out(lab):
    lab(*BARE, "echo 1 > /proc/sys/net/ipv6/conf/wwan0/disable_ipv6")
    before = lab.device("state")
    link = {"gateways": [*GATEWAY, *GATEWAY6], "dns": [SERVER, SERVER6]}
    assert lab.device("make_ready", addresses=[*LINK, *LINK6], **link)["addresses"] == LINK
    lab.device("take_back")
    failure = lab.device.fails("make_ready", addresses=LINK6, **link)
    assert failure.code == "no-route"
    assert (
        failure.message
        == f"The kernel refuses `ip addr add {LINK6[0]} dev wwan0 noprefixroute nodad`: Permission denied."
    )
    lab(failure.hint.removeprefix("IPv6 is off there: ").partition(";")[0])
    lab.device("make_ready", addresses=LINK6, **link)
    lab.device("take_back")
    lab("echo 1 > /proc/sys/net/ipv6/conf/wwan0/disable_ipv6")
    assert lab.device("state") == before


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ({"addresses": ["192.168.8.20/30"]}, "wrong-path"),
        ({"addresses": LINK, "family": "6"}, "no-route"),
        ({"addresses": LINK, "dns": [SERVER6]}, "no-route"),
        ({"addresses": LINK, "dns": []}, "bad-setting"),
        ({"addresses": []}, "no-route"),
        ({"addresses": LINK, "dns": ["127.0.0.53"]}, "wrong-path"),
        ({"addresses": LINK, "interface": "wwan7"}, "interface-gone"),
        ({"addresses": LINK, "change": False}, "no-route"),
        ({"addresses": LINK, "seconds": 0}, "deadline-exceeded"),
    ],
)
def test_what_no_change_mends_is_left_as_it_was(lab, link, code):
    lab(*BARE)
    before = lab.device("state")
    failure = lab.device.fails("make_ready", **link)
    assert failure.code == code
    assert lab.device("state") == before
    assert lab.device("ours") == []


def test_an_address_that_another_interface_has(lab):
    lab(*BARE)
    failure = lab.device.fails("make_ready", addresses=["192.168.8.20/30"])
    assert failure.message == ("lan0 has 192.168.8.20 too, the address of wwan0: no rule could tell them apart.")


def test_a_device_that_is_down_though_configured_stays_down(lab):
    lab("ip link set wwan0 down")
    assert lab.device.fails("make_ready", addresses=LINK).code == "interface-gone"


def test_no_carrier(lab):
    lab(*BARE)
    lab.peer("commands", lines=["ip link set p0 down"])
    before = lab.device("state")
    failure = lab.device.fails("make_ready", addresses=LINK, seconds=0.5)
    assert (failure.code, "carrier" in failure.message) == ("interface-gone", True)
    assert lab.device("state") == before


@pytest.mark.parametrize(
    ("lines", "link"),
    [
        (BARE, {"addresses": LINK, "gateways": GATEWAY, "mtu": 1430}),
        (BARE, {"addresses": [*LINK, *LINK6], "gateways": [*GATEWAY, *GATEWAY6], "dns": [SERVER, SERVER6]}),
        ((*KILL_SWITCH, *STRICT), {"addresses": LINK, "gateways": GATEWAY}),
        ((), {"addresses": LINK, "gateways": GATEWAY}),
    ],
    ids=["bare", "both-families", "kill-switch", "no-route"],
)
def test_without_the_capability_it_says_what_to_type(lab, lines, link):
    lab(*lines)
    nobody = lab.another()
    try:
        assert nobody("drop_rights")["capabilities"] == 0
        failure = nobody.fails("make_ready", **link)
        assert failure.code in ("no-route", "reply-filtered")
        rights, typed = failure.hint.split("; or by hand: ")
        assert rights == "Run it as root or with CAP_NET_ADMIN, and it is set up for the time of the exchange"
        lab(*typed.split("; "))
        assert not nobody("make_ready", **link)["configured"]
        assert nobody("connect", peer=SERVER, sources=OWN)["seen"] == OWN[0]
        assert lab.device("ours") == []
    finally:
        nobody.close()


@pytest.mark.parametrize(
    ("lines", "link", "code"),
    [
        ((), {"addresses": LINK}, None),
        ((), {"addresses": LINK, "change": False}, "no-route"),
        ((), {"addresses": LINK, "dns": []}, "bad-setting"),
        ((), {"addresses": [], "dns": [], "dhcp": True}, None),
        ((), {"addresses": [], "dns": [], "dhcp": True, "change": False}, "no-route"),
        ((), {"addresses": []}, "no-route"),
        (("ip addr add 10.64.0.2/32 dev lan0",), {"addresses": LINK}, "wrong-path"),
    ],
)
def test_a_look_tells_what_would_be_done_and_whether_it_can_be(lab, lines, link, code):
    """Nothing is done for it; and where an exchange would be refused, so is the look, with the same words."""
    lab(*BARE, *lines)
    before = lab.device("state")
    if code is None:
        lacks = lab.device("examined", **link)
        assert (
            lacks == ["a DHCP lease on wwan0"] if link.get("dhcp") else lacks[0].startswith("ip addr add 10.64.0.2/30")
        )
    else:
        look, attempt = (lab.device.fails(name, **link) for name in ("examined", "make_ready"))
        assert (look.code, look.message, look.hint) == (code, attempt.message, attempt.hint)
    assert lab.device("state") == before


def test_a_look_at_a_link_that_another_run_has_leased(lab):
    lab.peer("dhcp_server")
    lab(*BARE)
    lab.device("make_ready", addresses=[], dns=[], dhcp=True)
    assert lab.device("examined", addresses=[], dns=[], dhcp=True) == ["a DHCP lease on wwan0"]


@pytest.mark.parametrize("writable", [True, False])
def test_advertisements_that_cannot_be_refused_are_told(capfd, lab, writable):
    """As in a unit with ProtectKernelTunables=: /proc/sys cannot be written to."""
    lab(*BARE)
    run = lab.another("unshare", "-m")
    try:
        if not writable:
            run("commands", lines=["mount --rbind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys"])
        assert run("make_ready", addresses=LINK)["configured"]
        run("take_back")
    finally:
        run.close()
    assert ("accept_ra cannot be switched off" in capfd.readouterr().err) != writable
