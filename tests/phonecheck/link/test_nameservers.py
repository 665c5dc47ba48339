"""The DNS servers that network services note down of an interface."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck.link.nameservers import last_lease, noted, of_interface, variable

RESOLVED = """# This is private data. Do not parse.
LLMNR=yes
SERVERS=10.0.0.1 10.0.0.2:5353#dns.example [2001:db8::1]:53%usb0#x 2001:db8::2 fe80::1%usb0 10.0.0.1 127.0.0.53 nonsense
DOMAINS=lan
"""
NETWORKD = """# This is private data. Do not parse.
ADMIN_STATE=configured
DNS=192.168.225.1 2001:db8::3
NTP=
"""
LEASE = """ADDRESS=192.168.225.30
ROUTER=192.168.225.1
DNS=192.168.225.2
"""
DHCLIENT = """default-duid "000100";
lease {
  interface "usb0";
  fixed-address 192.168.225.30;
  option domain-name-servers 10.1.1.1;
  option domain-name "a } b";
}
lease {
  interface "usb0";
  option domain-name-servers 10.2.2.1, 10.2.2.2;
  expire 4 2026/11/26 10:00:00;
}
lease {
  interface "eth0";
  option domain-name-servers 10.3.3.3;
}
"""


def addresses(*texts):
    return tuple(ip_address(text) for text in texts)


def test_the_forms_of_a_server():
    assert variable(RESOLVED, "SERVERS") == addresses("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "fe80::1")


def test_the_last_lease_of_the_interface():
    assert last_lease(DHCLIENT, "usb0") == addresses("10.2.2.1", "10.2.2.2")
    assert last_lease(DHCLIENT, "eth0") == addresses("10.3.3.3")
    assert last_lease(DHCLIENT, "usb") == ()


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (["run/systemd/resolve/netif/7", "run/systemd/netif/links/7"], ["10.0.0.1"]),
        (["run/systemd/netif/links/7", "run/systemd/netif/leases/7"], ["192.168.225.1"]),
        (["run/systemd/netif/leases/7", "var/lib/dhcp/dhclient.leases"], ["192.168.225.2"]),
        (["var/lib/dhcp/dhclient.usb0.leases"], ["10.2.2.1"]),
        (["var/lib/dhcp/dhclient.leases"], ["10.2.2.1"]),
        (["run/systemd/netif/links/8", "var/lib/dhcp/dhclient.usb1.leases"], []),
        ([], []),
    ],
)
def test_who_is_believed_first(tmp_path, present, found):
    texts = {"resolve": RESOLVED, "links": NETWORKD, "leases": LEASE, "dhcp": DHCLIENT}
    for place in present:
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(next(text for part, text in texts.items() if part in file.parts))
    assert noted("usb0", 7, tmp_path)[:1] == addresses(*found)


def test_a_file_without_servers_is_passed_over(tmp_path):
    for place, text in (("run/systemd/netif/links/7", "DNS=\n"), ("run/systemd/netif/leases/7", LEASE)):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(text)
    assert noted("usb0", 7, tmp_path) == addresses("192.168.225.2")


def test_an_interface_that_there_is_not(tmp_path):
    assert of_interface("usb9", tmp_path) == ()


@given(st.text() | st.lists(st.sampled_from((RESOLVED + DHCLIENT).splitlines())).map("\n".join))
@settings(max_examples=60)
def test_any_text_names_servers_or_none(text):
    for found in (variable(text, "SERVERS"), last_lease(text, "usb0")):
        assert not any(address.is_loopback for address in found)
