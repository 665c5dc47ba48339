"""Which policy rule keeps packets from the link: the kernel's walk over rules and tables, done again to name it.

The kernel says that a packet would go nowhere, and not by which rule. So the walk is only for the name; whether there is
an obstacle at all, :mod:`phonecheck.link.path` asks the kernel. The walk is fib_rules_lookup (net/core/fib_rules.c): rules
by priority; one that matches ends it by itself, or by an entry of its table, and else the next one is asked.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from phonecheck.link import netlink
from phonecheck.link.rtmessage import RTMSG, IPNetwork, attributes, number, read_route
from phonecheck.model import Family, IPAddress

_TO_TABLE, _GOTO = 1, 2
# FR_ACT_* (linux/fib_rules.h) and RTN_* (linux/rtnetlink.h) have these numbers in common.
_REFUSALS = {6: "blackhole", 7: "unreachable", 8: "prohibit"}
_THROW = 9
_INVERT = 0x2
_TABLES = {253: "default", 254: "main", 255: "local"}
_TCP, _HTTPS = 6, 443


@dataclass(frozen=True, slots=True)
class Flow:
    """A packet of the exchange: of a socket that is bound to ``device``, or with None the way back of an answer."""

    source: IPAddress
    peer: IPAddress
    device: int | None
    name: str = ""
    uid: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a table. ``refusal`` is what it does in place of leading anywhere."""

    table: int
    network: IPNetwork
    metric: int
    devices: tuple[int, ...]
    refusal: str = ""
    throws: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with all that it asks of a packet; what it does not ask is None, empty or 0."""

    family: Family
    priority: int
    action: int
    table: int
    inverted: bool = False
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    iif: str = ""
    oif: str = ""
    mark: int = 0
    mask: int = 0
    tos: int = 0
    uids: tuple[int, int] | None = None
    protocol: int = 0
    ports: tuple[int, int] | None = None
    other: bool = False
    goto: int = 0
    suppressed: int = -1

    def matches(self, flow: Flow) -> bool:
        """Whether it holds for a packet without a mark, which ours have none of (fib_rule_match)."""
        holds = (
            (self.source is None or flow.source in self.source)
            and (self.destination is None or flow.peer in self.destination)
            and self.iif in ("", "lo")  # what this device itself sends, and the way back, come in by lo
            and (not self.oif or (flow.device is not None and self.oif == flow.name))
            and (self.mark & self.mask) == 0
            and not self.tos
            and (self.uids is None or self.uids[0] <= flow.uid <= self.uids[1])
            and self.protocol in (0, _TCP)
            and (self.ports is None or self.ports[0] <= _HTTPS <= self.ports[1])
            and not self.other
        )
        return holds != self.inverted

    def __str__(self) -> str:
        """As ``ip rule`` writes it."""
        mask = "" if self.mask in (0, 0xFFFFFFFF) else f"/{self.mask:#x}"
        said = {
            "from": _shown(self.source) or "all",
            "to": _shown(self.destination),
            "tos": f"{self.tos:#x}" if self.tos else "",
            "fwmark": f"{self.mark:#x}{mask}" if self.mark or self.mask else "",
            "iif": self.iif,
            "oif": self.oif,
            "uidrange": f"{self.uids[0]}-{self.uids[1]}" if self.uids else "",
            "ipproto": str(self.protocol) if self.protocol else "",
            "dport": f"{self.ports[0]}-{self.ports[1]}" if self.ports else "",
            "lookup": str(_TABLES.get(self.table, self.table)) if self.action == _TO_TABLE else "",
            "suppress_prefixlength": str(self.suppressed) if self.suppressed >= 0 else "",
            "goto": str(self.goto) if self.action == _GOTO else "",
        }
        words = " ".join(f"{word} {value}" for word, value in said.items() if value)
        what = _REFUSALS.get(self.action)
        return f"{self.priority}: {'not ' if self.inverted else ''}{words}{f' {what}' if what else ''}"


@dataclass(frozen=True, slots=True)
class Barrier:
    """A rule that ends the way of a packet, and what it or its table does with it."""

    rule: Rule
    refusal: str


def barrier(flow: Flow) -> Barrier | None:
    """The rule by which a packet of a flow would go nowhere; None where it would get somewhere, or where no rule says so.

    Raises:
        LinkError: bind-refused; this process may not ask.
    """
    rules = [rule for body in netlink.raw_rules() if (rule := read_rule(body))]
    entries = [entry for body in netlink.raw_routes() if (entry := read_entry(body))]
    return walk(flow, rules, entries)


def walk(flow: Flow, rules: Sequence[Rule], entries: Iterable[Entry]) -> Barrier | None:
    """The same of given rules and entries."""
    ways = [entry for entry in entries if flow.peer in entry.network]
    ahead = 0
    for rule in sorted((r for r in rules if r.family == flow.peer.version), key=lambda r: r.priority):
        if rule.priority < ahead or not rule.matches(flow):
            continue
        if rule.action in _REFUSALS:
            return Barrier(rule, _REFUSALS[rule.action])
        if rule.action == _GOTO:
            ahead = rule.goto
        elif rule.action == _TO_TABLE:
            way = _way(flow, [entry for entry in ways if entry.table == rule.table])
            if way is not None and way.refusal:
                return Barrier(rule, way.refusal)
            if way is not None and way.network.prefixlen > rule.suppressed:
                return None
    return None


def _way(flow: Flow, entries: Sequence[Entry]) -> Entry | None:
    """What a table says: the longest prefix first, then the least metric; entries of other devices are passed over."""
    for entry in sorted(entries, key=lambda e: (-e.network.prefixlen, e.metric)):
        if entry.throws:
            return None
        # IPv6 passes a refusal over as well: it belongs to lo, and a bound socket asks strictly (rt6_score_route).
        if entry.refusal and (flow.device is None or flow.peer.version == 4):
            return entry
        if not entry.refusal and (flow.device is None or flow.device in entry.devices):
            return entry
    return None


def read_rule(body: bytes) -> Rule | None:
    """Read an RTM_NEWRULE (linux/fib_rules.h); None if it is not whole."""
    if len(body) < RTMSG.size:
        return None
    family, to_bits, from_bits, tos, table, _, _, action, flags = RTMSG.unpack_from(body)
    if family not in _LENGTHS:
        return None
    found = attributes(body[RTMSG.size :])
    mark = number(found.get(10)) or 0  # FRA_FWMARK
    suppressed = number(found.get(14))  # FRA_SUPPRESS_PREFIXLEN
    return Rule(
        family=4 if family == socket.AF_INET else 6,
        priority=number(found.get(6)) or 0,
        action=action,
        table=number(found.get(15)) or table,
        inverted=bool(flags & _INVERT),
        source=_network(family, found.get(2), from_bits),
        destination=_network(family, found.get(1), to_bits),
        iif=_name(found.get(3)),
        oif=_name(found.get(17)),
        mark=mark,
        mask=number(found.get(16)) or (0xFFFFFFFF if mark else 0),
        tos=tos,
        uids=_pair("=II", found.get(20)),
        protocol=(found.get(22) or b"\0")[0],
        ports=_pair("=HH", found.get(24)),
        # FRA_TUN_ID, FRA_L3MDEV, FRA_SPORT_RANGE: the exchange has no tunnel, no VRF, and no port that anybody foresees.
        other=any(any(found.get(kind, b"")) for kind in (12, 19, 23)),
        goto=number(found.get(4)) or 0,
        suppressed=-1 if suppressed is None or suppressed > 128 else suppressed,
    )


def read_entry(body: bytes) -> Entry | None:
    """Read an RTM_NEWROUTE; None if it is not whole, or of a kind that no packet of ours meets."""
    if len(body) < RTMSG.size:
        return None
    family, bits, _, _, table, _, _, kind, _ = RTMSG.unpack_from(body)
    if family not in _LENGTHS:
        return None
    found = attributes(body[RTMSG.size :])
    network = _network(family, found.get(1), bits) or ip_network((bytes(_LENGTHS[family]), 0))
    table, metric = number(found.get(15)) or table, number(found.get(6)) or 0
    if kind in _REFUSALS or kind == _THROW:
        return Entry(table, network, metric, (), _REFUSALS.get(kind, ""), throws=kind == _THROW)
    way = read_route(body)
    return None if way is None else Entry(table, network, metric, way.devices)


_LENGTHS = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}


def _network(family: int, packed: bytes | None, bits: int) -> IPNetwork | None:
    if packed is None or len(packed) != _LENGTHS[family] or bits > len(packed) * 8:
        return None
    return ip_network((packed, bits), strict=False)


def _pair(form: str, value: bytes | None) -> tuple[int, int] | None:
    if value is None or len(value) != struct.calcsize(form):
        return None
    first, last = struct.unpack(form, value)
    return first, last


def _name(value: bytes | None) -> str:
    return os.fsdecode((value or b"").split(b"\0")[0])


def _shown(network: IPNetwork | None) -> str:
    if network is None:
        return ""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
