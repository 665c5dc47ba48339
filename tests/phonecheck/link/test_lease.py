"""A lease taken on a bare link, from a real server and from bad ones; and what clients print, read."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck.link import dhcp

SERVER = "203.0.113.1"
BARE = ("ip addr flush dev wwan0", "ip link set wwan0 down")


def resolv_conf():
    file = Path("/etc/resolv.conf")
    return file.read_bytes() if file.exists() else None


@pytest.mark.netns
def test_a_lease_and_nothing_else(lab, tmp_path):
    """From busybox udhcpd, on the peer's end of wwan0."""
    lines = [
        *(
            "start 10.64.0.2",
            "end 10.64.0.2",
            "interface p0",
            f"lease_file {tmp_path}/leases",
            f"pidfile {tmp_path}/pid",
        ),
        *("option subnet 255.255.255.252", "option router 10.64.0.1", f"option dns {SERVER} 10.64.0.1"),
        *("option mtu 1400", "option domain evil;reboot"),
    ]
    (tmp_path / "udhcpd.conf").write_text("\n".join(lines) + "\n")
    (tmp_path / "leases").touch()
    lab.peer("run", command=["busybox", "udhcpd", "-f", str(tmp_path / "udhcpd.conf")])
    lab("ip addr flush dev wwan0")
    before, resolv = lab.device("state"), resolv_conf()
    assert lab.device("take_lease") == {
        "address": "10.64.0.2/30",
        "gateway": "10.64.0.1",
        "dns": [SERVER, "10.64.0.1"],
        "mtu": 1400,
    }
    assert lab.device("state") == before
    assert resolv_conf() == resolv
    assert lab.device("children") == []


@pytest.mark.netns
@pytest.mark.parametrize("lines", [BARE, BARE[:1]], ids=["down", "up"])
def test_a_link_made_ready_by_a_lease(lab, lines):
    lab.peer("dhcp_server")
    lab(*lines)
    before = lab.device("state")
    ready = lab.device("make_ready", addresses=[], dns=[], dhcp=True)
    assert (ready["addresses"], ready["dns"], ready["mtu"]) == (["10.64.0.2/30"], [SERVER, "10.64.0.1"], 1400)
    sent = lab.device("sent")["lan0"]
    assert lab.device("connect", peer=SERVER, sources=["10.64.0.2"])["seen"] == "10.64.0.2"
    assert lab.device("sent")["lan0"] == sent
    during = lab.device("state")
    assert [r for r in during["route4"] if r["dst"] == "default" and r["table"] == "main"] == [
        r for r in before["route4"] if r["dst"] == "default"
    ]
    # Another run learns the servers for itself.
    other = lab.another()
    try:
        assert other("make_ready", addresses=[], dns=[], dhcp=True)["dns"] == [SERVER, "10.64.0.1"]
        lab.device("take_back")
        assert lab.device("state") == during
        other("take_back")
    finally:
        other.close()
    assert lab.device("state") == before


@pytest.mark.netns
def test_a_link_made_ready_by_a_lease_after_a_run_that_was_killed(lab):
    """What that one left is cleared away first, and with it the device goes down, from which a lease is to be taken."""
    lab.peer("dhcp_server")
    lab(*BARE)
    before, killed = lab.device("state"), lab.another()
    killed("make_ready", addresses=[], dns=[], dhcp=True)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.close()
    assert lab.device("state") != before
    assert lab.device("make_ready", addresses=[], dns=[], dhcp=True)["addresses"] == ["10.64.0.2/30"]
    lab.device("take_back")
    assert lab.device("state") == before


@pytest.mark.netns
def test_a_lease_without_servers(lab):
    lab.peer("dhcp_server", dns=False)
    lab(*BARE)
    before = lab.device("state")
    failure = lab.device.fails("make_ready", addresses=[], dns=[], dhcp=True)
    assert (failure.code, "--dns" in failure.hint) == ("bad-setting", True)
    assert lab.device("state") == before
    assert lab.device("make_ready", addresses=[], dns=[SERVER], dhcp=True)["dns"] == [SERVER]


@pytest.mark.netns
@pytest.mark.parametrize("kind", ["silent", "nak", "garbage"])
def test_a_server_that_gives_none(lab, kind):
    lab(*BARE)
    if kind != "silent":
        lab.peer("dhcp_server", kind=kind)
    before = lab.device("state")
    failure = lab.device.fails("make_ready", addresses=[], dns=[], dhcp=True, seconds=1.0)
    assert failure.code == "no-ip-config"
    assert failure.message == "Within 1 s, no DHCP server granted an address on wwan0."
    assert failure.seconds < 3
    assert lab.device("children") == []
    assert lab.device("state") == before


@pytest.mark.netns
def test_no_rights(lab):
    lab("ip addr flush dev wwan0")
    nobody = lab.another()
    try:
        nobody("drop_rights")
        assert nobody.fails("take_lease").message == "wwan0 has no address, and asking for a lease takes CAP_NET_RAW."
        failure = nobody.fails("make_ready", addresses=[], dns=[], dhcp=True)
        assert (failure.code, "CAP_NET_ADMIN" in failure.hint) == ("no-route", True)
    finally:
        nobody.close()


@pytest.mark.netns
@pytest.mark.parametrize("lines", [["ip link set wwan0 down"], ["ip link del wwan0"]])
def test_no_device(lab, lines):
    lab(*lines)
    assert lab.device.fails("take_lease").code == "interface-gone"


@pytest.mark.netns
def test_a_client_that_fails(lab, tmp_path):
    (tmp_path / "udhcpc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "udhcpc").chmod(0o755)
    lab.device("search_only", directory=str(tmp_path))
    failure = lab.device.fails("take_lease")
    assert (failure.code, failure.message.partition(":")[0]) == ("no-ip-config", "The DHCP client gave up")


def ended(file):
    """Whether the process whose number is in the file has ended, or does so at once."""
    state = Path("/proc", file.read_text().strip(), "stat")
    for _ in range(100):
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.netns
def test_nothing_of_a_client_that_hangs_is_left(lab, tmp_path):
    (tmp_path / "udhcpc").write_text(f"#!/bin/sh\nsleep 60 &\necho $! >{tmp_path}/child\nwait\n")
    (tmp_path / "udhcpc").chmod(0o755)
    lab.device("search_only", directory=str(tmp_path))
    assert lab.device.fails("take_lease", seconds=0.5).code == "no-ip-config"
    assert ended(tmp_path / "child")


@pytest.mark.netns
@pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv of util-linux")
def test_a_client_ends_with_an_agent_that_is_killed(lab, tmp_path):
    (tmp_path / "busybox").write_text(
        f"#!/bin/sh\necho $$ >{tmp_path}/client.new\nmv {tmp_path}/client.new {tmp_path}/client\nexec sleep 60\n"
    )
    (tmp_path / "busybox").chmod(0o755)
    agent = lab.another("env", f"PATH={tmp_path}:{os.environ['PATH']}")
    agent.tell("take_lease", seconds=30.0)
    while not (tmp_path / "client").exists():
        time.sleep(0.01)
    os.kill(agent.pid, signal.SIGKILL)
    agent.wait()
    agent.close()
    assert ended(tmp_path / "client")


@pytest.mark.netns
@pytest.mark.parametrize("name", ["udhcpc", "dhclient", "dhcpcd"])
def test_other_clients(lab, tmp_path, name):
    """Stand-ins that print and stay as those programs do; the words given to them are theirs (their manual pages)."""
    said = {
        "udhcpc": 'ip=10.64.0.2 subnet=255.255.255.252 router=10.64.0.1 "$script" bound',
        "dhclient": 'reason=BOUND new_ip_address=10.64.0.2 new_subnet_mask=255.255.255.252 new_routers=10.64.0.1 "$script"'
        "\nexec sleep 60",
        "dhcpcd": "echo reason=TEST\necho new_ip_address=10.64.0.2\necho new_subnet_mask=255.255.255.252\n"
        "echo new_routers=\\'10.64.0.1\\'",
    }[name]
    client = tmp_path / name
    find = 'script=$(echo "$*" | grep -o "/proc/self/fd/[0-9]*")\n'
    client.write_text(f"#!/bin/sh\necho $* >{tmp_path}/arguments\n{find}export ip subnet router\n{said}\n")
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    lab.device("search_only", directory=str(tmp_path))
    found = lab.device("take_lease")
    assert (found["address"], found["gateway"]) == ("10.64.0.2/30", "10.64.0.1")
    assert "wwan0" in (tmp_path / "arguments").read_text().split()
    assert lab.device("children") == []


GRANTED = (
    "address=10.64.0.2\nmask=255.255.255.252\nrouters=10.64.0.1 10.64.0.9\ndns=10.64.0.53, 8.8.8.8\nmtu=1430\nend=yes\n"
)


def test_what_a_client_prints():
    assert dhcp.read(GRANTED) == dhcp.Lease(
        ip_interface("10.64.0.2/30"),
        ip_address("10.64.0.1"),
        (ip_address("10.64.0.53"), ip_address("8.8.8.8")),
        1430,
    )


@pytest.mark.parametrize(
    "address", ["", "0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.3.4", "255.255.255.255", "10.64.0.2/8", "2001:db8::1"]
)
def test_an_address_that_is_no_hosts(address):
    assert dhcp.read(f"address={address}\nmask=255.255.255.0\n") is None


def test_parts_that_cannot_be_are_left_out():
    text = "address=10.64.0.2\nrouters=0.0.0.0 10.64.0.2 x\ndns=127.0.0.53 10.64.0.53 ::1\nmtu=-5\n"
    assert dhcp.read(text) == dhcp.Lease(ip_interface("10.64.0.2/32"), None, (ip_address("10.64.0.53"),), None)


@given(st.text(max_size=200) | st.lists(st.sampled_from(GRANTED.splitlines()), max_size=6).map("\n".join))
@settings(max_examples=100)
def test_any_text_is_a_lease_or_none(text):
    found = dhcp.read(text)
    assert found is None or not found.address.ip.is_loopback
