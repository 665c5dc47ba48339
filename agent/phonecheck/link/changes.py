"""The changes that the agent makes to the kernel's configuration: each marked, each with its counterpart.

Addresses, routes and rules carry the protocol number 112. A device that is set up gets a note at the end of its alias,
which is the one text that the kernel keeps with a device. pyroute2 makes the changes and is imported here alone, when
there is one to make.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phonecheck.link import netlink
from phonecheck.link.rtmessage import Address, Device, Route, Rule
from phonecheck.model import IPAddress, IPInterface

_log = logging.getLogger(__name__)
PROTOCOL = 112
_TABLES = 112_000
_ONLINK = 4  # RTNH_F_ONLINK
_SCOPE_LINK, _SCOPE_ANY = 253, 255  # the second is RT_SCOPE_NOWHERE, with which every scope is searched
# No prefix route, as that would be one in the main table; and no search for twins of an address that the network gave
# to this device alone (3GPP TS 23.401, 5.3.1.2.2), during which it could not be used.
_ADDRESS_FLAGS = 0x200 | 0x02  # IFA_F_NOPREFIXROUTE, IFA_F_NODAD
_ALIAS_MAX = 255  # IFALIASZ (linux/if.h) less the NUL
_NOTE = re.compile(r" ?\[phonecheck: set up, accept_ra was (-?\d+)\]$")


def table_of(index: int) -> int:
    """The number of the private table of the device with that index."""
    return _TABLES + index


def index_of(table: int) -> int | None:
    """The index of the device whose private table it is, or None where it is nobody's."""
    return table - _TABLES if table > _TABLES else None


def load() -> None:
    """Import pyroute2 ahead of its use: 70 ms and 11 MiB (on a PC)."""
    import pyroute2  # noqa: F401  imported for the time it takes


@contextlib.contextmanager
def session() -> Iterator[Any]:
    """pyroute2's IPRoute, for a few changes: one that stays open grows with every dump (measured with 0.9.7)."""
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        yield ip


def add_address(index: int, address: IPInterface) -> None:
    """Give a device an address.

    Raises:
        OSError: the kernel's answer. So of all that follow.
    """
    netlink.add_address(index, address, flags=_ADDRESS_FLAGS, protocol=PROTOCOL)


def delete_address(ip: Any, address: Address) -> None:
    """Take an address from its device."""
    own = address.interface
    key = {"family": _family(own.version), "address": str(own.ip), "prefixlen": own.network.prefixlen}
    _ask(ip.addr, "del", index=address.device, **key)


def add_route(ip: Any, index: int, version: int, *, gateway: IPAddress | None, mtu: int | None) -> None:
    """Add a default route over a device to its private table; a gateway need not be in a network of the device's."""
    more: dict[str, Any] = {"metrics": {"mtu": mtu}} if mtu else {}
    if gateway is not None:
        more |= {"gateway": str(gateway), "flags": _ONLINK}
    elif version == 4:
        more |= {"scope": _SCOPE_LINK}
    _ask(ip.route, "add", **_route_key(index, version, table_of(index)), **more)


def delete_route(ip: Any, route: Route) -> None:
    """Remove a default route that is marked."""
    _ask(ip.route, "del", **_route_key(route.devices[0], route.family, route.table), scope=_SCOPE_ANY)


def add_rule(ip: Any, rule: Rule) -> None:
    """Add a rule."""
    _ask(ip.rule, "add", **_rule_key(rule))


def delete_rule(ip: Any, rule: Rule) -> None:
    """Remove a rule that is marked."""
    _ask(ip.rule, "del", **_rule_key(rule))


def bring_up(ip: Any, device: Device) -> None:
    """Set a device up, noting it first, so that a kill in between leaves nothing unnoted.

    A device with the kernel's defaults takes the operator's router advertisement for a default route of the whole host
    (accept_ra in the kernel's networking/ip-sysctl); so that is off before it is up.
    """
    before = _accept_ra(device.name) or "0"
    note = f"{device.alias} [phonecheck: set up, accept_ra was {before}]".lstrip()
    if len(os.fsencode(note)) <= _ALIAS_MAX:
        _ask(ip.link, "set", index=device.index, ifalias=note)
    if before != "0" and not _refuses_ra(device.name):
        _log.warning(
            "net.ipv6.conf.%s.accept_ra cannot be switched off (in a unit, for ProtectKernelTunables=):"
            " while the exchange lasts, the operator may give this device an IPv6 default route.",
            device.name,
        )
    _ask(ip.link, "set", index=device.index, state="up")


def brought_up(device: Device) -> bool:
    """Whether the device bears the note."""
    return _NOTE.search(device.alias) is not None


def take_down(ip: Any, device: Device) -> None:
    """Set a device down that bears the note; whoever gave it an address in the meantime has it stay as it is."""
    note = _NOTE.search(device.alias)
    theirs = (a for a in netlink.addresses() if a.device == device.index and a.protocol != PROTOCOL)
    if note and all(a.interface.ip.is_link_local for a in theirs):
        _ask(ip.link, "set", index=device.index, state="down")
        if note[1] != "0":
            _accept_ra(device.name, note[1])
    _ask(ip.link, "set", index=device.index, ifalias=_NOTE.sub("", device.alias))


def _refuses_ra(name: str) -> bool:
    """Switch router advertisements off; false where /proc/sys may not be written to."""
    _accept_ra(name, "0")
    return _accept_ra(name) == "0"


def _accept_ra(name: str, value: str | None = None) -> str | None:
    """Read the switch, or write it where that is allowed; None where the kernel has no IPv6 or hides it."""
    switch = Path("/proc/sys/net/ipv6/conf") / name / "accept_ra"
    with contextlib.suppress(OSError):
        if value is None:
            return switch.read_text(encoding="ascii").strip()
        switch.write_text(value, encoding="ascii")
    return None


def _route_key(index: int, version: int, table: int) -> dict[str, Any]:
    return {"family": _family(version), "dst": "default", "oif": index, "table": table, "proto": PROTOCOL}


def _rule_key(rule: Rule) -> dict[str, Any]:
    key: dict[str, Any] = {"family": _family(rule.family), "table": rule.table, "priority": rule.priority}
    if rule.source is not None:
        key |= {"src": str(rule.source.network_address), "src_len": rule.source.prefixlen}
    return {**key, "protocol": PROTOCOL}


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _ask(call: Callable[..., Any], command: str, **arguments: Any) -> None:
    from pyroute2 import NetlinkError

    try:
        call(command, **arguments)
    except NetlinkError as error:  # which is no OSError
        raise OSError(error.code, os.strerror(error.code)) from None
