"""The DNS servers of one interface, from what the device's network services note down of it.

The system's resolver is no substitute: it asks over whichever interface it likes (systemd issue 11935). These files name
the servers that came with the interface itself; they are asked over the link then. Formats: systemd's are private, and
have been so since version 229 (resolved-link.c, networkd-link.c, sd-dhcp-lease.c); dhclient's is dhclient.leases(5).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from phonecheck.link import netlink
from phonecheck.model import IPAddress

_LARGEST = 1024 * 1024
_LEASE = re.compile(r"lease\s*\{(.*?)\n\}", re.DOTALL)
_LEASED_SERVERS = re.compile(r"option\s+domain-name-servers\s+([0-9.,\s]+);")


def of_interface(interface: str, root: Path = Path("/")) -> tuple[IPAddress, ...]:
    """The servers that systemd-resolved, systemd-networkd or dhclient know for the interface; empty where none does.

    Args:
        interface: its name.
        root: the directory that the files are looked for in.
    """
    device = netlink.device(interface)
    return () if device is None else noted(device.name, device.index, root)


def noted(interface: str, index: int, root: Path) -> tuple[IPAddress, ...]:
    """As :func:`of_interface`, of a device whose index is known."""
    for place, key in (
        (f"run/systemd/resolve/netif/{index}", "SERVERS"),
        (f"run/systemd/netif/links/{index}", "DNS"),
        (f"run/systemd/netif/leases/{index}", "DNS"),
    ):
        found = variable(_text(root / place), key)
        if found:
            return found
    for place in (f"var/lib/dhcp/dhclient.{interface}.leases", "var/lib/dhcp/dhclient.leases"):
        found = last_lease(_text(root / place), interface)
        if found:
            return found
    return ()


def variable(text: str, key: str) -> tuple[IPAddress, ...]:
    """The servers of a line ``KEY=SERVER…``; a port, an interface or a TLS name that goes with one is dropped."""
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() == key:
            return _servers(value.strip("\"' ").split())
    return ()


def last_lease(text: str, interface: str) -> tuple[IPAddress, ...]:
    """The servers of the last lease of the interface in a dhclient.leases file."""
    servers: tuple[IPAddress, ...] = ()
    for lease in _LEASE.findall(text):
        if re.search(rf'^\s*interface\s+"{re.escape(interface)}"\s*;', lease, re.MULTILINE):
            option = _LEASED_SERVERS.search(lease)
            servers = _servers(re.split(r"[,\s]+", option[1])) if option else ()
    return servers


def _servers(words: Iterable[str]) -> tuple[IPAddress, ...]:
    """10.0.0.1, 10.0.0.1:53, [2001:db8::1]:53, fe80::1%usb0, 10.0.0.1#dns.example, as resolved writes them."""
    found: list[IPAddress] = []
    for word in words:
        text = word.partition("#")[0].partition("%")[0]
        bracketed = re.fullmatch(r"\[([^]]*)\](:\d+)?", text)
        text = bracketed[1] if bracketed else text
        if text.count(":") == 1:
            text = text.partition(":")[0]
        with contextlib.suppress(ValueError):
            address = ip_address(text)
            if not (address.is_loopback or address.is_unspecified or address.is_multicast or address == _BROADCAST):
                found.append(address)
    return tuple(dict.fromkeys(found))


_BROADCAST = IPv4Address("255.255.255.255")


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
