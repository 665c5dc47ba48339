"""What the sandbox's network can be besides the ordinary: IPv6, Ethernet, leases, a HAT, a VPN, links that go away."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from phonecheck_sandbox import world

# curl's own words for what it saw, and its own exit status where it saw nothing.
SAW = "%{local_ip} %{remote_ip} %{http_code}"
PLATFORM_6 = world.through_nat64(world.PLATFORM)

# Asks a name server over wwan0; prints what it answers of a type.
ASK = """
import socket, sys
import dns.message
server, name, kind = sys.argv[1:]
with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wwan0")
    client.settimeout(5)
    client.connect((server, 53))
    client.send(dns.message.make_query(name, kind).to_wire())
    answer = dns.message.from_wire(client.recv(4096))
print(*(item for rrset in answer.answer for item in rrset))
"""


class Device:
    """The device of a sandbox, and what these tests look at on it."""

    def __init__(self, device: Any) -> None:
        self.box = device.box

    def run(self, *words: object) -> str:
        done = self.box.exec([str(word) for word in words])
        return str(done.stdout).strip()

    def json(self, *words: object) -> Any:
        return json.loads(self.run("ip", "-json", *words) or "[]")

    def addresses(self, interface: str) -> list[str]:
        """Its global addresses."""
        found = [address for link in self.json("address", "show", interface) for address in link["addr_info"]]
        return [address["local"] for address in found if address["scope"] == "global"]

    def curl(self, interface: str, url: str, *options: str, patience: float = 5) -> tuple[int, str]:
        """Status and last line: what was seen."""
        words = ["curl", "-gsS", "-m", str(patience), "--interface", interface, "-w", f"\n{SAW}", *options, url]
        done = self.box.exec(words)
        return done.returncode, done.stdout.splitlines()[-1]

    def name(self, server: object, name: str, kind: str) -> list[str]:
        return self.run(sys.executable, "-P", "-c", ASK, server, name, kind).split()

    def snapshot(self) -> Any:
        return self.box.ctl("snapshot")


Start = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def plain(start_device: Start) -> Iterator[Device]:
    with start_device() as device:
        yield Device(device)


@pytest.fixture(scope="module")
def dual(start_device: Start) -> Iterator[Device]:
    with start_device("--scenario", "dual-stack") as device:
        yield Device(device)


@pytest.fixture(scope="module")
def only6(start_device: Start) -> Iterator[Device]:
    with start_device("--scenario", "ipv6-only") as device:
        yield Device(device)


@pytest.fixture(scope="module")
def leased(start_device: Start) -> Iterator[Device]:
    with start_device("--scenario", "dhcp") as device:
        yield Device(device)


def test_a_dual_stack_session_is_known_to_the_operator_by_either_address(dual: Device) -> None:
    assert dual.addresses("wwan0") == [str(world.WWAN0.ip), str(world.WWAN0_6.ip)]
    for host, device in ((world.MNO_START, world.WWAN0.ip), (f"[{world.MNO_START_6}]", world.WWAN0_6.ip)):
        pinned = ("--resolve", f"{world.MNO_START_HOST}:443:{host}")
        status, saw = dual.curl("wwan0", f"https://{world.MNO_START_HOST}/identify", *pinned)
        # 403 is for strangers; 400 misses the parameters that this request has not.
        assert (status, saw) == (0, f"{device} {str(host).strip('[]')} 400")


def test_the_carriers_dns_answers_both_families_and_its_dns64_makes_up_the_rest(dual: Device) -> None:
    plain, dns64 = world.CARRIER_DNS[0], world.CARRIER_DNS_6[0]
    for server in (plain, dns64):
        assert dual.name(server, world.MNO_START_HOST, "AAAA") == [str(world.MNO_START_6)]
        assert dual.name(server, world.MNO_START_HOST, "A") == [str(world.MNO_START)]
    assert dual.name(dns64, world.PLATFORM_HOST, "AAAA")[-1] == str(PLATFORM_6)
    assert str(PLATFORM_6) not in dual.name(plain, world.PLATFORM_HOST, "AAAA")
    assert len(dual.name(dns64, "ipv4only.arpa", "AAAA")) == 2


@pytest.mark.parametrize(("hole", "lost", "found"), [("4", "4", "6"), ("6", "6", "4")])
def test_a_black_hole_swallows_one_family_and_leaves_the_other(dual: Device, hole: str, lost: str, found: str) -> None:
    lab = {"4": f"http://{world.LAB}/json", "6": f"http://[{world.LAB_6}]/json"}
    dual.box.ctl("set", f"radio_black_hole={hole}")
    timed_out = 28
    assert dual.curl("wwan0", lab[lost], patience=0.5)[0] == timed_out
    assert dual.curl("wwan0", lab[found])[0] == 0
    dual.box.ctl("reset")
    assert dual.curl("wwan0", lab[lost])[0] == 0


def test_ipv6_that_leaves_by_the_lan_is_counted_and_goes_nowhere(dual: Device) -> None:
    dual.box.ctl("counters", "reset")
    assert dual.curl("lan0", f"http://[{world.LAB_6}]/json", patience=1)[0] != 0
    assert dual.box.ctl("counters")["counters"]["lan0"]["mno"] > 0


def test_an_ipv6_only_device_reaches_the_platform_through_the_nat64(only6: Device) -> None:
    assert only6.addresses("wwan0") == [str(world.WWAN0_6.ip)]
    assert only6.curl("wwan0", f"http://{world.LAB}/json", patience=1)[0] != 0
    pinned = ("--resolve", f"{world.PLATFORM_HOST}:443:[{PLATFORM_6}]")
    status, saw = only6.curl("wwan0", f"https://{world.PLATFORM_HOST}/", *pinned)
    assert (status, saw) == (0, f"{world.WWAN0_6.ip} {PLATFORM_6} 404")
    assert only6.box.ctl("counters")["counters"]["wwan0"]["platform"] > 0


def test_the_nat64_lets_a_closed_port_be_closed(only6: Device) -> None:
    refused = 7
    assert only6.curl("wwan0", f"http://[{PLATFORM_6}]:81/")[0] == refused


def test_the_cgnats_address_is_what_the_platform_sees_of_an_ipv6_only_device(only6: Device) -> None:
    done = only6.box.exec(["phonecheck", "verify", f"+{world.SUBSCRIBER.msisdn}"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_lease_can_be_taken_on_an_interface_that_nobody_configured(leased: Device) -> None:
    (link,) = leased.json("address", "show", "wwan0")
    assert (link["link_type"], "UP" in link["flags"], link["addr_info"]) == ("ether", False, [])
    before = leased.snapshot()
    leased.run("ip", "link", "set", "wwan0", "up")
    done = leased.box.exec(["busybox", "udhcpc", "-n", "-q", "-i", "wwan0", "-s", "/bin/true"])
    assert done.returncode == 0
    assert f"lease of {world.WWAN0.ip} obtained from {world.PGW.ip}" in done.stderr
    leased.run("ip", "link", "set", "wwan0", "down")
    assert leased.snapshot() == before


def test_an_ethernet_like_link_finds_its_gateway_by_arp_even_where_the_radio_is_dead(leased: Device) -> None:
    leased.box.ctl("configure", "on")
    leased.box.ctl("disconnect")
    leased.box.ctl("connect")
    leased.box.ctl("set", "radio_dead=yes")
    timed_out = 28
    assert leased.curl("wwan0", f"http://{world.LAB}/json", patience=0.5)[0] == timed_out
    (neighbour,) = leased.json("neighbour", "show", "dev", "wwan0")
    assert (neighbour["dst"], "lladdr" in neighbour) == (str(world.PGW.ip), True)
    leased.box.ctl("reset")
    assert leased.curl("wwan0", f"http://{world.LAB}/json")[0] == 0


def test_a_hat_is_a_configured_interface_that_modemmanager_does_not_know(start_device: Start) -> None:
    with start_device("--scenario", "hat") as started:
        hat = Device(started)
        assert hat.addresses("usb0") == [str(world.WWAN0.ip)]
        assert hat.run("mmcli", "-L") == "No modems were found"
        assert hat.curl("usb0", f"http://{world.LAB}/json") == (0, f"{world.WWAN0.ip} {world.LAB} 200")
        noted = hat.run("sh", "-c", "cat /run/systemd/netif/links/$(cat /sys/class/net/usb0/ifindex)")
        assert f"DNS={world.CARRIER_DNS[0]} {world.CARRIER_DNS[1]}" in noted.splitlines()
        hat.box.ctl("unplug")
        assert hat.addresses("usb0") == []
        hat.box.ctl("plug")
        assert hat.addresses("usb0") == [str(world.WWAN0.ip)]


def test_a_vpn_takes_what_is_not_bound_and_goes_as_it_came(plain: Device) -> None:
    before = plain.snapshot()
    app_server = f"https://{world.APP_SERVER_HOST}/"
    # fibmatch: where a socket is bound, the kernel takes what it has no route for as on the link; this is its route.
    route = ["ip", "route", "get", "fibmatch", str(world.LAB), "oif", "wwan0"]
    plain.box.ctl("vpn", "on")
    assert "default via" in plain.run(*route)
    assert plain.run("curl", "-sS", "-o", "/dev/null", "-w", "%{local_ip}", app_server) == str(world.VPN[4].ip)
    assert plain.curl("wwan0", f"http://{world.LAB}/json")[0] == 0
    assert plain.box.ctl("counters")["counters"]["wg0"]["app-server"] > 0
    plain.box.ctl("vpn", "kill-switch")
    assert plain.run("curl", "-sS", "-o", "/dev/null", "-w", "%{local_ip}", app_server) == str(world.VPN[4].ip)
    assert "No route" in plain.box.exec(route).stderr
    plain.box.ctl("vpn", "off")
    plain.box.ctl("vpn", "off")
    assert plain.snapshot() == before
    with pytest.raises(ValueError, match="on, kill-switch, off"):
        plain.box.ctl("vpn", "perhaps")


def test_address_and_interface_can_go_without_the_modem_knowing(plain: Device) -> None:
    before = plain.snapshot()
    plain.box.ctl("address-lost")
    assert plain.addresses("wwan0") == []
    assert plain.snapshot() != before
    plain.box.ctl("disconnect")
    plain.box.ctl("connect")
    assert plain.snapshot() == before
    plain.box.ctl("device-gone")
    assert "wwan0" not in plain.run("ls", "/sys/class/net")
    modem = json.loads(plain.run("mmcli", "-m", "any", "--output-json"))["modem"]
    assert modem["generic"]["state"] == "connected"
    plain.box.ctl("plug")
    assert plain.snapshot() == before


def test_a_session_that_nobody_configures_leaves_the_interface_bare(plain: Device) -> None:
    plain.box.ctl("disconnect")
    bare = plain.snapshot()
    plain.box.ctl("configure", "off")
    plain.box.ctl("connect")
    assert plain.snapshot() == bare
    assert plain.box.ctl("state")["modems"][0]["session"] is True
    plain.box.ctl("disconnect")
    plain.box.ctl("configure", "on")
    plain.box.ctl("connect")
    assert plain.addresses("wwan0") == [str(world.WWAN0.ip)]
