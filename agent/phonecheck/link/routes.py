"""What a link lacks in the kernel, set up for the time of an exchange and removed after it; nothing else is touched.

**A table of its own and a rule for its address.** The private table of the link (its number is the device's index after
112000) holds one default route; a rule sends what comes from the link's address there, ahead of whatever else the device
has: a VPN's `not from all fwmark`, a kill switch, a better default. It is the one way that strict reverse path filtering
lets answers through as well (measured; a rule for the device, `oif`, is not looked at for answers). No other traffic has
that source address, so no other traffic moves.

**Marked.** Rules, routes and addresses carry protocol number 112, by which a later run finds what one that was killed
left behind (claims.py tells that nobody uses it any more). The device itself is changed only where nobody had configured
it: it is set up, and its alias (`ip link`) says so. The MTU is the route's, not the device's, which could not be told from
another's choice afterwards.

**No router advertisements.** A device that is set up with the kernel's defaults takes the operator's advertisement for a
default route of the whole device (accept_ra, kernel networking/ip-sysctl); so that is off before it is up.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from phonecheck.errors import LinkError
from phonecheck.link import claims, netlink
from phonecheck.link.path import gone
from phonecheck.link.rtmessage import Address, Device, Route, Rule
from phonecheck.model import Family, IPAddress, IPInterface, Link

PROTOCOL = 112
_TABLES = 112_000
_PRIORITY = 90
_NET_ADMIN = 12  # linux/capability.h
_ONLINK = 4  # RTNH_F_ONLINK
_SCOPE_LINK = 253
# No prefix route, as that would be one in the main table; and no search for twins of an address that the network gave
# to this device alone (3GPP TS 23.401, 5.3.1.2.2), during which it could not be used.
_ADDRESS_FLAGS = 0x200 | 0x02  # IFA_F_NOPREFIXROUTE, IFA_F_NODAD
_NOTE = re.compile(r" ?\[phonecheck: set up, accept_ra was (\d)\]$")
_TURN_SECONDS = 5.0
_ABSENT = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.ENXIO, errno.EADDRNOTAVAIL})

_Marked = Device | Address | Rule | Route
_log = logging.getLogger(__name__)


class Configured:
    """One run's use of what was set up on a link, be it by itself or by another run."""

    def __init__(self, device: Device) -> None:
        """Start the use, before anything is changed.

        Raises:
            LinkError: bind-refused.
        """
        self._claim: claims.Claim | None = claims.claim(device.index)
        self._index = device.index

    def remove(self) -> None:
        """End the use; if no other run uses the link, remove what was set up. May be called again; raises nothing.

        To be called when the exchange's sockets are closed: what comes in for one that was closed too early is answered
        by the default route when the rule is gone.
        """
        used, self._claim = self._claim, None
        if used is None:
            return
        try:
            with claims.alone(self._index, _TURN_SECONDS):
                if not used.shared:
                    _remove(_marked(self._index))
        except Exception:  # noqa: BLE001  another error may be on its way, and this one must not take its place
            _log.warning("what was set up on the link stays until the next run", exc_info=True)
        finally:
            used.release()


def join(device: Device) -> Configured | None:
    """Use what a run set up on the device, if one did; to be called in turn (claims.alone).

    Raises:
        LinkError: bind-refused.
    """
    return Configured(device) if _marked(device.index) else None


def set_up(link: Link) -> None:
    """Give the link what it lacks; to be called in turn and in use.

    A family that the kernel refuses (IPv6 switched off) is left out as long as the other one is set up.

    Raises:
        LinkError: interface-gone; wrong-path, where another interface has the link's address; no-route, where the kernel
            refuses. What was set up until then is there, for ``remove``.
    """
    device = netlink.device(link.interface)
    if device is None:
        raise gone(link.interface, "went away")
    _refuse_twins(link, device)
    refused: dict[Family, LinkError] = {}
    with _changing() as ip:
        for step in _missing(link, device):
            if step.family in refused:
                continue
            try:
                step.do(ip)
            except OSError as error:
                if error.errno == errno.EEXIST:
                    continue
                problem = _refusal(link, step, error)
                if step.family is None:
                    raise problem from None
                refused[step.family] = problem
            else:
                _log.info("done as if by: %s", step.command)
    if len(refused) == len(link.families):
        raise next(iter(refused.values()))


def bring_up(device: Device) -> None:
    """Set a device up that nobody has configured, with a note of it, and without taking router advertisements.

    Raises:
        LinkError: interface-gone, no-route.
    """
    step = _bring_up_step(device)
    try:
        with _changing() as ip:
            step.do(ip)
    except OSError as error:
        raise _refusal(Link(device.name), step, error) from None


def commands(link: Link) -> tuple[str, ...]:
    """What a person would type to give the link what it lacks; nothing of it is marked as ours."""
    device = netlink.device(link.interface)
    return tuple(step.command for step in _missing(link, device)) if device else ()


def ours() -> tuple[str, ...]:
    """What runs have set up, in words: those under way, and those that were killed."""
    names = {d.index: d.name for d in netlink.devices()}
    return tuple(_words(item, names) for item in _marked())


def cleanup() -> tuple[str, ...]:
    """Remove what runs that are gone have left behind, and nothing else; the words of what was removed.

    Raises:
        LinkError: bind-refused; there is something, and it takes CAP_NET_ADMIN to remove it.
    """
    names = {d.index: d.name for d in netlink.devices()}
    removed: list[str] = []
    for index in sorted({_index(item) for item in _marked()}):
        with claims.alone(index, _TURN_SECONDS):
            if claims.in_use(index):
                continue
            stale = _marked(index)
            if stale and not permitted():
                message = "What a run left behind on the link stays: removing it takes CAP_NET_ADMIN."
                raise LinkError("bind-refused", message, hint="Run it as root: phonecheck link cleanup.")
            removed += [_words(item, names) for item in _remove(stale)]
    return tuple(removed)


def permitted() -> bool:
    """Whether this process may change links; whoever cannot be told is found out by the kernel."""
    return has_capability(_NET_ADMIN)


def has_capability(number: int) -> bool:
    """Whether a capability (linux/capability.h) is in force in this process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is None or bool(int(found[1], 16) >> number & 1)


@dataclass(frozen=True, slots=True)
class _Step:
    """One change. ``do`` takes pyroute2's IPRoute and raises OSError; ``family`` is None for the device's own."""

    command: str
    do: Callable[[Any], None]
    family: Family | None = None


def _missing(link: Link, device: Device) -> list[_Step]:
    """The changes that the link lacks, in the order in which the kernel takes them."""
    table, all_rules = _TABLES + device.index, netlink.rules()
    own = {a.interface.ip for a in netlink.addresses() if a.device == device.index}
    routed = {r.family for r in netlink.routes() if r.table == table and r.default and device.index in r.devices}
    steps = [_address_step(device, a) for a in link.addresses if a.ip not in own]
    if not device.up:
        steps.append(_bring_up_step(device))
    steps += [_route_step(link, device, family) for family in link.families if family not in routed]
    for family in link.families:
        priority = _ahead_of([r for r in all_rules if r.family == family])
        for a in link.addresses:
            there = any(r.source == ip_network(a.ip) and r.table == table and r.priority <= priority for r in all_rules)
            if a.version == family and not there:
                steps.append(_rule_step(a.ip, table, priority))
    return steps


def _address_step(device: Device, address: IPInterface) -> _Step:
    def add(_: Any) -> None:
        netlink.add_address(device.index, address, flags=_ADDRESS_FLAGS, protocol=PROTOCOL)

    nodad = " nodad" if address.version == 6 else ""
    return _Step(f"ip addr add {address} dev {device.name} noprefixroute{nodad}", add, address.version)


def _bring_up_step(device: Device) -> _Step:
    return _Step(f"ip link set {device.name} up", lambda ip: _bring_up(ip, device))


def _route_step(link: Link, device: Device, family: Family) -> _Step:
    """A default route by the device: by a gateway only where the kernel must find a hardware address for each packet."""
    own = {a.ip for a in link.addresses}
    gateway = next((g for g in link.gateways if g.version == family and g not in own), None)
    via: dict[str, Any] = {"scope": _SCOPE_LINK} if family == 4 else {}
    words = ""
    if device.resolves_neighbours and gateway is not None:
        via, words = {"gateway": str(gateway), "flags": _ONLINK}, f" via {gateway}"
    mtu = _route_mtu(link, device, family)
    metrics = {"metrics": {"mtu": mtu}} if mtu else {}
    table = _TABLES + device.index

    def add(ip: Any) -> None:
        target = {"dst": "default", "oif": device.index, "table": table, "proto": PROTOCOL}
        _ask(ip.route, "add", family=_socket_family(family), **target, **via, **metrics)

    onlink, limit = " onlink" if words else "", f" mtu {mtu}" if mtu else ""
    return _Step(f"ip -{family} route add default{words} dev {device.name}{onlink} table {table}{limit}", add, family)


def _route_mtu(link: Link, device: Device, family: Family) -> int | None:
    """What the network allows, where the device would send more. 68 and 1280 are the least (RFC 791, RFC 8200)."""
    least = 68 if family == 4 else 1280
    return link.mtu if link.mtu and least <= link.mtu < (device.mtu or 1 << 16) else None


def _rule_step(source: IPAddress, table: int, priority: int) -> _Step:
    def add(ip: Any) -> None:
        _ask(ip.rule, "add", **_rule_key(source.version, str(source), source.max_prefixlen, table, priority))

    command = f"ip -{source.version} rule add from {source} lookup {table} priority {priority}"
    return _Step(command, add, source.version)


def _ahead_of(rules: Sequence[Rule]) -> int:
    """A priority before every rule but that of the local table (which is 0), where there is room for one."""
    others = [r.priority for r in rules if r.priority > 0 and r.protocol != PROTOCOL]
    return max(1, min([_PRIORITY, *(priority - 1 for priority in others)]))


def _refuse_twins(link: Link, device: Device) -> None:
    wanted = {a.ip for a in link.addresses}
    twin = next((a for a in netlink.addresses() if a.interface.ip in wanted and a.device != device.index), None)
    if twin is not None:
        other = next((d.name for d in netlink.devices() if d.index == twin.device), "another interface")
        raise LinkError(
            "wrong-path",
            f"{other} has {twin.interface.ip} too, the address of {link.interface}: no rule could tell them apart.",
            hint=f"Take it from {other}, or give the two interfaces networks of their own.",
        )


def _bring_up(ip: Any, device: Device) -> None:
    before = _accept_ra(device.name)
    note = f"{device.alias} [phonecheck: set up, accept_ra was {before or '0'}]".lstrip()
    if len(os.fsencode(note)) < 256:  # IFALIASZ (linux/if.h)
        _ask(ip.link, "set", index=device.index, ifalias=note)
    if before not in (None, "0"):
        _accept_ra(device.name, "0")
    _ask(ip.link, "set", index=device.index, state="up")


def _take_down(ip: Any, device: Device, accept_ra: str, *, foreign: bool) -> None:
    """Undo _bring_up; whoever gave the device an address in the meantime keeps it up."""
    if not foreign:
        _ask(ip.link, "set", index=device.index, state="down")
        if accept_ra != "0":
            _accept_ra(device.name, accept_ra)
    _ask(ip.link, "set", index=device.index, ifalias=_NOTE.sub("", device.alias))


def _accept_ra(name: str, value: str | None = None) -> str | None:
    """Read the switch, or write it where that is allowed; None where the kernel has no IPv6 or hides it."""
    switch = Path("/proc/sys/net/ipv6/conf") / name / "accept_ra"
    with contextlib.suppress(OSError):
        if value is None:
            return switch.read_text(encoding="ascii").strip()
        switch.write_text(value, encoding="ascii")
    return None


def _marked(index: int | None = None) -> list[_Marked]:
    """What is ours, of one device or of all, in the order in which it is removed.

    The device goes down first, and the address before its rule: what still comes in is then nobody's, and is not
    answered by the default route.
    """
    found: list[_Marked] = [d for d in netlink.devices() if _NOTE.search(d.alias)]
    found += [a for a in netlink.addresses() if a.protocol == PROTOCOL]
    found += [r for r in netlink.rules() if r.protocol == PROTOCOL and r.table > _TABLES and r.source is not None]
    found += [r for r in netlink.routes() if r.protocol == PROTOCOL and r.table > _TABLES and r.default]
    return [item for item in found if index in (None, _index(item))]


def _index(item: _Marked) -> int:
    match item:
        case Device():
            return item.index
        case Address():
            return item.device
        case Rule() | Route():
            return item.table - _TABLES


def _words(item: _Marked, names: dict[int, str]) -> str:
    name = names.get(_index(item), "a device that is gone")
    match item:
        case Device():
            return f"{name} was set up"
        case Address():
            return f"address {item.interface} on {name}"
        case Rule():
            return f"rule from {item.source} to table {item.table}"
        case Route():
            return f"IPv{item.family} default route over {name} in table {item.table}"


def _remove(items: Sequence[_Marked]) -> list[_Marked]:
    """Remove what is still there; those that were removed."""
    if not items:
        return []
    removed = []
    with _changing() as ip:
        for item in items:
            try:
                _delete(ip, item)
            except OSError as error:
                if error.errno not in _ABSENT:
                    _log.warning("cannot remove %s: %s", _words(item, {}), error.strerror)
                    continue
            removed.append(item)
    return removed


def _delete(ip: Any, item: _Marked) -> None:
    match item:
        case Device():
            others = (a for a in netlink.addresses() if a.device == item.index and a.protocol != PROTOCOL)
            note = _NOTE.search(item.alias)
            accept_ra = note[1] if note else "0"
            _take_down(ip, item, accept_ra, foreign=any(not a.interface.ip.is_link_local for a in others))
        case Address():
            address, bits = str(item.interface.ip), item.interface.network.prefixlen
            family = _socket_family(item.interface.version)
            _ask(ip.addr, "del", index=item.device, address=address, prefixlen=bits, family=family)
        case Rule(source=source) if source is not None:
            key = _rule_key(item.family, str(source.network_address), source.prefixlen, item.table, item.priority)
            _ask(ip.rule, "del", **key)
        case Route():
            target = {"dst": "default", "oif": item.devices[0], "table": item.table, "proto": PROTOCOL}
            _ask(ip.route, "del", family=_socket_family(item.family), **target)


def _rule_key(family: int, source: str, bits: int, table: int, priority: int) -> dict[str, Any]:
    key = {"src": source, "src_len": bits, "table": table, "priority": priority, "protocol": PROTOCOL}
    return {"family": _socket_family(family), **key}


def _socket_family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


@contextlib.contextmanager
def _changing() -> Iterator[Any]:
    """pyroute2's IPRoute, for these changes only: one that stays open grows with every dump (measured with 0.9.7)."""
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        yield ip


def _ask(call: Callable[..., Any], command: str, **arguments: Any) -> None:
    """Have one change made.

    Raises:
        OSError: the kernel's answer, which pyroute2 puts into an exception of its own.
    """
    from pyroute2 import NetlinkError

    try:
        call(command, **arguments)
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from None


def _refusal(link: Link, step: _Step, error: OSError) -> LinkError:
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return gone(link.interface, "went away")
    hint = None
    if error.errno == errno.EPERM:
        hint = "CAP_NET_ADMIN of another network namespace does not count: run it where the interface belongs."
    return LinkError(
        "no-route", f"The kernel refuses to set {link.interface} up ({step.command}): {error.strerror}.", hint=hint
    )
