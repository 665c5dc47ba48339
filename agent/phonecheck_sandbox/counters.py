"""Packets that leave the device, counted by interface and destination: the proof that nothing of a check went by the LAN.

They are counted by nftables in the ``postrouting`` hook, after every other chain there. At that point routing is over and
each packet of a local socket, IPv4 or IPv6, TCP retransmission or kernel-made reset, has the interface that it leaves by
and the destination that it leaves with; a rule in ``output`` would still see the route of before a change of mark or
NAT. Not seen are ARP, and packets sockets, which write below IP; no part of a device program uses those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from phonecheck_sandbox import world
from phonecheck_sandbox.topology import nft

_ADDRESSES: dict[str, tuple[IPv4Address | IPv6Address, ...]] = {
    "platform": (world.PLATFORM,),
    "mno": (
        *(world.MNO_START, world.MNO_ENRICH, world.MNO_IDENTITY, world.LAB, world.PORTAL, world.MNO_PARTNER),
        *(world.MNO_START_6, world.MNO_ENRICH_6, world.MNO_IDENTITY_6, world.LAB_6, world.PORTAL_6),
    ),
    "carrier-dns": (*world.CARRIER_DNS, *world.CARRIER_DNS_6),
    "public-dns": (world.PUBLIC_DNS,),
    "app-server": (world.APP_SERVER,),
}
DESTINATIONS: dict[str, tuple[IPv4Address | IPv6Address, ...]] = {
    name: (*addresses, *(world.through_nat64(one) for one in addresses if isinstance(one, IPv4Address)))
    for name, addresses in _ADDRESSES.items()
}
"""The addresses of each destination, those by which a NAT64 reaches it included."""
REST = ("other", "ipv6")
"""Any other IPv4 destination, and any other IPv6, without the neighbour discovery and multicast listener reports of an idle
link."""

_HOUSEKEEPING = (
    "nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, "
    "mld-listener-report, mld2-listener-report, mld-listener-done"
)
_TABLE = "inet phonecheck_counters"


def ruleset(interfaces: Iterable[str]) -> str:
    """The nftables script that counts on these interfaces."""
    counters, chains, jumps = [], [], []
    for interface in interfaces:
        names = {destination: f"{interface}/{destination}" for destination in (*DESTINATIONS, *REST)}
        counters += [f"counter {name} {{ }}" for name in names.values()]
        rules = [
            f"{match} {{ {', '.join(str(one) for one in addresses if one.version == version)} }} "
            f'counter name "{names[destination]}" return'
            for destination, addresses in DESTINATIONS.items()
            for version, match in ((4, "ip daddr"), (6, "ip6 daddr"))
        ]
        rules += [
            f'meta nfproto ipv4 counter name "{names["other"]}" return',
            f"icmpv6 type {{ {_HOUSEKEEPING} }} return",
            f'counter name "{names["ipv6"]}"',
        ]
        chains.append(_block(f"chain out_{interface}", rules))
        jumps.append(f'oifname "{interface}" jump out_{interface}')
    # 300 is after source NAT (100) and whatever a test or a user puts there.
    hook = _block("chain leaving", ["type filter hook postrouting priority 300; policy accept;", *jumps])
    return _block(f"table {_TABLE}", [*counters, *chains, hook])


def parse(listing: str) -> dict[str, dict[str, int]]:
    """Packets by interface and destination, out of what ``nft -j list counters`` prints."""
    found: dict[str, dict[str, int]] = {}
    for item in json.loads(listing)["nftables"]:
        if "counter" in item:
            interface, _, destination = item["counter"]["name"].partition("/")
            found.setdefault(interface, {})[destination] = item["counter"]["packets"]
    return found


def install(interfaces: Iterable[str]) -> None:
    """Begin to count on the device, from nothing: where it is the machine itself, a former sandbox's rules are there still.

    Raises:
        SandboxError: nft failed.
    """
    nft("device", script=f"table {_TABLE} {{ }}\ndelete table {_TABLE}\n{ruleset(interfaces)}")


def watch(interface: str) -> None:
    """Count on one more interface, from now on; nothing changes where it is counted on already.

    Raises:
        SandboxError: nft failed.
    """
    if interface not in read():
        nft("device", script=ruleset([interface]))


def read() -> dict[str, dict[str, int]]:
    """Packets since the last reset, by interface and destination.

    Raises:
        SandboxError: nft failed.
    """
    return parse(nft("device", "-j", "list", "counters", "table", *_TABLE.split()))


def reset() -> None:
    """Begin at zero.

    Raises:
        SandboxError: nft failed.
    """
    nft("device", "reset", "counters", "table", *_TABLE.split())


def _block(head: str, lines: Iterable[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"{head} {{\n{body}}}\n"
