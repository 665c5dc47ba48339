"""What a link lacks in the kernel, as steps: each can be taken, and each says what a person would type instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from phonecheck.link import changes, netlink
from phonecheck.link.rtmessage import Device, Rule
from phonecheck.model import Family, IPInterface, Link

_PRIORITY = 90
# The least MTU that there can be (RFC 791, RFC 8200).
_LEAST_MTU = {4: 68, 6: 1280}


@dataclass(frozen=True, slots=True)
class Step:
    """One change. ``take`` is given pyroute2's IPRoute and raises OSError; ``family`` is None for the device's own."""

    command: str
    take: Callable[[Any], None]
    family: Family | None = None


def steps(link: Link, device: Device) -> tuple[Step, ...]:
    """The changes that the link lacks, in the order in which the kernel takes them."""
    table, rules = changes.table_of(device.index), netlink.rules()
    own = {a.interface.ip for a in netlink.addresses() if a.device == device.index}
    routed = {r.family for r in netlink.routes() if r.table == table and r.default and device.index in r.devices}
    found = [_address(device, a) for a in link.addresses if a.ip not in own]
    if not device.up:
        found.append(up(device))
    found += [_route(link, device, family) for family in link.families if family not in routed]
    for address in link.addresses:
        wanted = _rule(address, table, [r for r in rules if r.family == address.version])
        same = (r for r in rules if (r.source, r.table) == (wanted.source, wanted.table))
        if not any(r.priority <= wanted.priority for r in same):
            found.append(_add_rule(wanted))
    return tuple(found)


def up(device: Device) -> Step:
    """Set the device up."""
    return Step(f"ip link set {device.name} up", lambda ip: changes.bring_up(ip, device))


def _address(device: Device, address: IPInterface) -> Step:
    nodad = " nodad" if address.version == 6 else ""
    command = f"ip addr add {address} dev {device.name} noprefixroute{nodad}"
    return Step(command, lambda _: changes.add_address(device.index, address), address.version)


def _route(link: Link, device: Device, family: Family) -> Step:
    """A default route: by a gateway only where the kernel must find a hardware address for each packet."""
    own = {a.ip for a in link.addresses}
    gateway = next((g for g in link.gateways if g.version == family and g not in own), None)
    if not device.resolves_neighbours:
        gateway = None
    # The device's own MTU stays: what it was could not be told after a SIGKILL.
    mtu = link.mtu if link.mtu and _LEAST_MTU[family] <= link.mtu < (device.mtu or 1 << 16) else None
    way = f"dev {device.name}" if gateway is None else f"via {gateway} dev {device.name} onlink"
    limit = f" mtu {mtu}" if mtu else ""
    return Step(
        f"ip -{family} route add default {way} table {changes.table_of(device.index)}{limit}",
        lambda ip: changes.add_route(ip, device.index, family, gateway=gateway, mtu=mtu),
        family,
    )


def _rule(address: IPInterface, table: int, others: Sequence[Rule]) -> Rule:
    """The rule for an address: before every other one but the local table's, which is 0, if there is room for it."""
    theirs = (r.priority - 1 for r in others if r.priority > 0 and r.protocol != changes.PROTOCOL)
    priority = max(1, min([_PRIORITY, *theirs]))
    return Rule(address.version, priority, table, changes.PROTOCOL, ip_network(address.ip))


def _add_rule(rule: Rule) -> Step:
    source = rule.source.network_address if rule.source else "all"
    command = f"ip -{rule.family} rule add from {source} lookup {rule.table} priority {rule.priority}"
    return Step(command, lambda ip: changes.add_rule(ip, rule), rule.family)
