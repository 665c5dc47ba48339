"""The link made ready for an exchange: looked at first, set up only where that does not do, and looked at again."""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ExitStatus, LinkError
from phonecheck.link import capability, claims, marks, netlink, path, routes
from phonecheck.link.dhcp import lease
from phonecheck.link.routes import Configured
from phonecheck.link.rtmessage import Device
from phonecheck.model import Link

_TURN_SECONDS = 10.0
_LEASE_SECONDS = 8.0
_CARRIER_SECONDS = 2.0
_log = logging.getLogger(__name__)
# The last is that no DNS servers are known, which a lease mends.
_MENDABLE = ("no-route", "reply-filtered", "bad-setting")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A link over which the kernel takes the exchange; ``configured`` is what is to be removed after it."""

    link: Link
    configured: Configured | None


def prepare(link: Link, *, family: str, change: bool, deadline: Deadline, dhcp: bool) -> Prepared:
    """Make sure that the kernel takes an exchange over the link and lets the answers in.

    Nothing is touched where it does already. What another run set up is shared with it. Whatever raises here has left
    the device as it was.

    Args:
        link: as the modem or the kernel tells; without addresses, the interface's own are taken.
        family: ``auto``, ``4`` or ``6``.
        change: whether what is missing may be set up; else it is an error that says what to type.
        deadline: of the command.
        dhcp: whether a lease may be taken where nobody gave the link an address; that takes ``change`` as well.

    Raises:
        LinkError: interface-gone, no-route, wrong-path, reply-filtered, bind-refused.
        BearerError: no-ip-config, where no DHCP server gives an address.
        ConfigError: bad-setting, where no DNS servers are known.
        DeadlineExceeded: before anything was done.
    """
    left = deadline.require("the link was ready", ExitStatus.LINK)
    index = _device(link).index
    if change and capability.holds(capability.NET_ADMIN):
        _clean()
    configured: Configured | None = None
    try:
        with claims.alone(index, min(left, _TURN_SECONDS)):
            device = _device(link)  # what was cleared away, or what others did in their turn, may have changed it
            configured = routes.join(device)
            wanted = as_wanted(link, device, family)
            try:
                return Prepared(_usable(wanted), configured)
            except AgentError as obstacle:
                leased = dhcp and family != "6" and _needs_lease(wanted, shared=configured is not None)
                if not (change and _mendable(obstacle, wanted, leased=leased)):
                    raise
                if not capability.holds(capability.NET_ADMIN):
                    raise _without_capability(obstacle, wanted) from None
            configured = configured or Configured(device)
            if leased:
                wanted = _leased(wanted, device, deadline)
            routes.set_up(wanted)
            _await_carrier(wanted.interface, deadline)
            return Prepared(_usable(wanted), configured)
    except BaseException:
        if configured is not None:
            configured.remove()
        raise


def examine(link: Link, *, family: str, change: bool, dhcp: bool) -> tuple[Link, tuple[str, ...]]:
    """The link as :func:`prepare` would find it, and what that would set up. Nothing is changed here.

    What is set up is told as commands; a lease, of which only its server knows what it gives, in words.

    Raises:
        LinkError, ConfigError: as prepare, where it could not mend what the link lacks.
    """
    device = _device(link)
    wanted = as_wanted(link, device, family)
    try:
        return _usable(wanted), ()
    except AgentError as obstacle:
        leased = dhcp and family != "6" and _needs_lease(wanted, shared=bool(marks.marked(device.index)))
        if not (change and _mendable(obstacle, wanted, leased=leased)):
            raise
        if not capability.holds(capability.NET_ADMIN):
            raise _without_capability(obstacle, wanted) from None
        return wanted, (f"a DHCP lease on {device.name}",) if leased else routes.commands(wanted)


def _device(link: Link) -> Device:
    device = netlink.device(link.interface)
    if device is None:
        raise path.gone(link.interface, "does not exist")
    return device


def _clean() -> None:
    """Remove what is left of earlier runs. What cannot be removed may be in nobody's way."""
    try:
        for words in routes.cleanup():
            _log.info("removed what an earlier run left behind: %s", words)
    except LinkError as error:
        _log.warning("%s", error.message)


def _usable(link: Link) -> Link:
    """The link with those of its addresses and servers that the exchange can use.

    Raises:
        LinkError: interface-gone, no-route, wrong-path, reply-filtered.
        ConfigError: bad-setting.
    """
    if link.addresses and not link.dns:
        raise path.no_servers(link.interface)
    usable = path.usable(link)
    return dataclasses.replace(usable, dns=path.reachable(usable, link.dns))


def as_wanted(link: Link, device: Device, family: str) -> Link:
    """The link with its addresses of the wanted family and the servers that can be asked from them.

    Where the link's own addresses and gateways are not known, the kernel's are taken. What raises here, no change mends.

    Raises:
        LinkError: no-route.
    """
    own = (a.interface for a in netlink.addresses() if a.device == device.index)
    addresses = link.addresses or tuple(a for a in own if not a.ip.is_link_local)
    if not addresses:
        return link
    addresses = tuple(a for a in addresses if family in ("auto", str(a.version)))
    if not addresses:
        hint = "Ask for a bearer of that IP type (APN, ip-type), or correct link.family."
        raise LinkError("no-route", f"{link.interface} has no IPv{family} address.", hint=hint)
    dns = tuple(server for server in link.dns if any(server.version == a.version for a in addresses))
    if link.dns and not dns:
        versions = " and ".join(sorted({f"IPv{a.version}" for a in addresses}))
        message = f"{link.interface} is to be used with {versions}, and none of its DNS servers is."
        raise LinkError("no-route", message, hint=f"Name {versions} servers with --dns ADDRESS or link.dns.")
    via = (r.gateway for r in netlink.default_routes(device.index) if r.gateway is not None)
    gateways = link.gateways or tuple(dict.fromkeys(via))
    return dataclasses.replace(link, addresses=addresses, gateways=gateways, dns=dns)


def _needs_lease(link: Link, *, shared: bool) -> bool:
    """Whether nobody gave the link an address; or a run did by a lease, of whose servers only that run knows."""
    return not link.addresses or (shared and not link.dns)


def _mendable(obstacle: AgentError, link: Link, *, leased: bool) -> bool:
    return obstacle.code in _MENDABLE and (leased or bool(link.addresses and link.dns))


def _leased(link: Link, device: Device, deadline: Deadline) -> Link:
    """The link with what a DHCP server gives it."""
    if not device.up:
        routes.bring_up(device)
        _await_carrier(device.name, deadline)
    given = lease(device.name, deadline.within(_LEASE_SECONDS))
    return dataclasses.replace(
        link,
        addresses=(given.address,),
        gateways=() if given.gateway is None else (given.gateway,),
        dns=link.dns or given.dns,
        mtu=link.mtu or given.mtu,
    )


def _await_carrier(interface: str, deadline: Deadline) -> None:
    """Give a device that was set up just now the time that a USB modem takes to report its carrier."""
    short = deadline.within(_CARRIER_SECONDS)
    while (device := netlink.device(interface)) and not device.carrier and not short.expired:
        time.sleep(0.02)


def _without_capability(obstacle: AgentError, link: Link) -> LinkError:
    """The obstacle, with what mends it: rights, or the very commands."""
    rights = "Run it as root or with CAP_NET_ADMIN, and it is set up for the time of the exchange"
    typed = "; ".join(routes.commands(link)) if link.addresses else ""
    hint = f"{rights}; or by hand: {typed}" if typed else f"{rights}, by a lease; or let NetworkManager configure it."
    return LinkError(obstacle.code, obstacle.message, hint=hint)
