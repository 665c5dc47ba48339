"""Whether the kernel would take an exchange over the link and let the answers in, asked before anything is sent.

A missing route shows as three seconds of ARP and a filtered answer as a time-out; both look like a bad radio. The
kernel knows better beforehand, so it is asked first, and what it says comes with the command that mends it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network
from pathlib import Path

from phonecheck.errors import ConfigError, LinkError
from phonecheck.link import netlink
from phonecheck.link.rtmessage import Device, IPNetwork, Route
from phonecheck.model import Family, IPAddress, IPInterface, Link

# Linux' network drivers of USB modems and of telephones that share their connection (drivers/net/usb).
_MODEM_DRIVERS = frozenset(
    {
        *("cdc_ether", "cdc_ncm", "cdc_mbim", "cdc_eem", "huawei_cdc_ncm", "qmi_wwan", "rndis_host", "sierra_net"),
        *("hso", "ipheth"),
    }
)
# Documentation addresses (RFC 5737, RFC 3849): only a default route leads there, and nothing is sent to them.
SOMEWHERE: tuple[IPAddress, ...] = (IPv4Address("198.51.100.1"), IPv6Address("2001:db8::1"))


def usable(link: Link) -> Link:
    """The link with those of its addresses that the interface really has, now.

    A family without a way out is left out as long as the other one has one: a name with addresses of both would cost
    the chain a hop's time otherwise. Where the link's addresses are not known, the interface's own are taken.

    Raises:
        LinkError: interface-gone, if the interface is missing or down; no-route, if nobody gave it the addresses.
    """
    device = _device(link)
    kept = _present(link, device)
    routed = [a for a in kept if _obstacle(link, device, SOMEWHERE[a.version == 6], a.ip) is None]
    return dataclasses.replace(link, addresses=tuple(routed or kept))


def check_path(link: Link, peers: Iterable[IPAddress]) -> None:
    """Check that packets to each peer would leave by the link, and that the answers would be let in.

    Raises:
        LinkError: interface-gone, no-route, wrong-path, reply-filtered.
    """
    device = _device(link)
    sources = _present(link, device)
    for peer in peers:
        source = next((a.ip for a in sources if a.version == peer.version), None)
        if source is None:
            raise no_address(link.interface, peer)
        obstacle = _obstacle(link, device, peer, source)
        if obstacle is not None:
            raise obstacle


def reachable(link: Link, peers: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
    """Those of some peers that :func:`check_path` finds nothing against: one DNS server of two is enough.

    Raises:
        LinkError: as check_path, of the first, where none is left.
    """
    kept: list[IPAddress] = []
    obstacles: list[LinkError] = []
    for peer in peers:
        try:
            check_path(link, [peer])
            kept.append(peer)
        except LinkError as error:
            obstacles.append(error)
    if obstacles and not kept:
        raise obstacles[0]
    return tuple(kept)


def route_exists(device: Device, peer: IPAddress, source: IPAddress) -> bool:
    """Whether a socket bound to the device and the source address has a way to the peer.

    IPv4 sends without a route as well, as if the peer were on-link; that works where there is no neighbour to look for
    (raw IP, as QMI and MBIM give it), and is three seconds of ARP where there is.
    """
    if peer.version == 4:
        return not device.resolves_neighbours or _route(device, peer, source) is not None
    # The kernel holds a question with a source less strictly to the device than it holds a bound socket; one without
    # finds the tables as the socket will, but not those behind a `from` rule.
    return any(_route(device, peer, s) is not None for s in (source, None))


def ways_out(link: Link, device: Device) -> tuple[Family, ...]:
    """The families by which a socket that is bound to the link gets out, whatever would become of the answers."""
    own = {a.interface.ip for a in netlink.addresses() if a.device == device.index}
    return tuple(
        family
        for family in link.families
        if any(
            a.version == family and a.ip in own and route_exists(device, SOMEWHERE[family == 6], a.ip)
            for a in link.addresses
        )
    )


def networks_elsewhere(interface: str) -> tuple[IPNetwork, ...]:
    """Where no hop may lead: the networks of the device's other interfaces, and every address of its own.

    The link's own are in as well: what is sent there is delivered on the device and never leaves it.
    """
    device = netlink.device(interface)
    found: set[IPNetwork] = set()
    for address in netlink.addresses():
        found.add(ip_network(address.interface.ip))
        if device is None or address.device != device.index:
            found |= {address.network, address.interface.network}
    return tuple(sorted(found, key=lambda n: (n.version, n.network_address.packed, n.prefixlen)))


def link_from_kernel(
    interface: str, dns: Sequence[IPAddress], *, strict: bool = False, sys: Path = Path("/sys")
) -> Link:
    """The link of an interface that ModemManager does not manage: addresses, gateways and MTU as the kernel has them.

    Args:
        interface: its name.
        dns: the servers to ask over it.
        strict: refuse an interface that the device's other traffic takes and that is not known to be a modem's.
        sys: where sysfs is.

    Raises:
        ConfigError: bad-setting; no DNS servers were given, and the kernel knows none; or it is the loopback interface.
        LinkError: interface-gone, no-route; wrong-path, if it is refused.
    """
    device = netlink.device(interface)
    if device is not None and device.loopback:
        raise ConfigError(
            "bad-setting",
            f"{interface} is the loopback interface: nothing that is sent there leaves the device.",
            hint="Name the modem's interface with --interface or link.interface; ip link lists them.",
        )
    if device is not None and strict:
        _refuse_main_way(device, sys)
    device = _device(Link(interface))
    own = _present(Link(device.name), device)
    if not dns:
        raise no_servers(interface)
    gateways = (r.gateway for r in netlink.default_routes(device.index) if r.gateway is not None)
    return Link(device.name, tuple(own), tuple(dict.fromkeys(gateways)), tuple(dns), device.mtu)


def _refuse_main_way(device: Device, sys: Path) -> None:
    ways = (netlink.route(somewhere) for somewhere in SOMEWHERE)
    if any(way is not None and device.index in way.devices for way in ways) and not cellular(device.name, sys):
        raise LinkError(
            "wrong-path",
            f"{device.name} carries the device's default route and is not known to be a modem's interface.",
            hint="Name the modem's interface with --interface or link.interface, or set link.strict to false.",
        )


def cellular(interface: str, sys: Path = Path("/sys")) -> bool:
    """Whether an interface is known to be a modem's: the kernel calls it wwan, or its driver is one of USB modems'."""
    place = sys / "class/net" / interface
    try:
        if "DEVTYPE=wwan" in (place / "uevent").read_text(encoding="utf-8", errors="replace").split():
            return True
        return (place / "device/driver").resolve(strict=True).name in _MODEM_DRIVERS
    except OSError:
        return False


def no_servers(interface: str) -> ConfigError:
    """The error of a link whose DNS servers nobody named; the system's own resolver is no substitute."""
    return ConfigError(
        "bad-setting",
        f"No DNS servers are known for {interface}.",
        hint="Name them with --dns ADDRESS or link.dns; the system's own resolver would ask over another interface.",
    )


def gone(interface: str, what: str) -> LinkError:
    """The error of an interface that cannot be used any more; ``what`` completes the sentence."""
    name = interface if interface and interface.isprintable() else repr(interface)
    return LinkError("interface-gone", f"The network interface {name} {what}.")


def no_address(interface: str, peer: IPAddress) -> LinkError:
    """The error of an interface without an address of the peer's family."""
    return LinkError(
        "no-route",
        f"{interface} has no IPv{peer.version} address to reach {peer} from.",
        hint="Ask for a bearer of the other IP type (APN, ip-type), or let the interface take its addresses.",
    )


def _device(link: Link) -> Device:
    device = netlink.device(link.interface)
    if device is None:
        raise gone(link.interface, "does not exist")
    if not device.up:
        own = [a for a in netlink.addresses() if a.device == device.index]
        if not own:  # nobody has touched it yet: addresses are missing as well, and one cure mends both
            raise _unconfigured(link, device, link.addresses)
        raise gone(link.interface, "is down")
    if not device.carrier:
        raise gone(link.interface, "has no carrier")
    return device


def _present(link: Link, device: Device) -> list[IPInterface]:
    own = [a.interface for a in netlink.addresses() if a.device == device.index and not a.interface.ip.is_link_local]
    present = [a for a in link.addresses if a.ip in {o.ip for o in own}] if link.addresses else own
    if not present:
        raise _unconfigured(link, device, link.addresses)
    return present


def _unconfigured(link: Link, device: Device, wanted: Collection[IPInterface]) -> LinkError:
    if not wanted:
        return LinkError(
            "no-route",
            f"{link.interface} has no address: nobody configured the interface.",
            hint=f"Let NetworkManager or a DHCP client configure it: ip addr show dev {link.interface} must name one.",
        )
    missing = " and ".join(str(a.ip) for a in wanted)
    mtu = f" mtu {link.mtu}" if link.mtu else ""
    commands = [f"ip addr add {a} dev {link.interface}" for a in wanted]
    commands.append(f"ip link set {link.interface}{mtu} up")
    commands += [_route_command(link, device, a) for a in wanted]
    return LinkError(
        "no-route",
        f"{link.interface} does not have the link's address {missing}: nobody configured the interface.",
        hint=f"Let NetworkManager configure it, or do it by hand: {'; '.join(commands)}",
    )


def _obstacle(link: Link, device: Device, peer: IPAddress, source: IPAddress) -> LinkError | None:
    route = _route(device, peer, source)
    # The table of local addresses is passed over by a question that names a device.
    if peer.is_loopback or peer.is_unspecified or (route is not None and route.local):
        return LinkError(
            "wrong-path",
            f"{peer} is an address of this device: nothing sent there would leave by {link.interface}.",
            hint="Correct the address at its source: the exchange must end outside the device.",
        )
    interface = next((a for a in link.addresses if a.ip == source), None)
    cure = _route_command(link, device, interface or ip_interface(source))
    if not route_exists(device, peer, source):
        message = f"The kernel has no route to {peer} over {link.interface}."
        return LinkError("no-route", message, hint=f"Give the link a route of its own: {cure}")
    return _reply_filtered(link, device, peer, source, cure) if peer.version == 4 else None


def _reply_filtered(link: Link, device: Device, peer: IPAddress, source: IPAddress, cure: str) -> LinkError | None:
    """What the reverse path filter would do with an answer (RFC 3704; fib_validate_source in net/ipv4/fib_frontend.c).

    It looks up the way back from our address to the peer as any socket without a device would. Strict: the way must
    be by the device on which the answer came. Loose: there must be one at all, which a raw-IP link without routes on
    a device without a default route has not. IPv6 has no such switch.
    """
    mode = netlink.reverse_path_filter(device.index)
    if mode == 0:
        return None
    back = netlink.route(peer, source=source)
    if back is None:
        message = f"The kernel would drop the answers of {peer}: no route leads there, which rp_filter={mode} demands."
        return LinkError("reply-filtered", message, hint=f"Give the link a route of its own: {cure}")
    if mode == 1 and device.index not in back.devices:
        name = link.interface.replace(".", "/")  # sysctl reads a dot in a name as its own separator
        return LinkError(
            "reply-filtered",
            f"The kernel would drop the answers of {peer} on {link.interface}: its strict reverse path filter is on,"
            " and the route back leads over another interface.",
            hint=f"Loosen the filter: sysctl -w net.ipv4.conf.{name}.rp_filter=2",
        )
    return None


def _route(device: Device, peer: IPAddress, source: IPAddress | None) -> Route | None:
    route = netlink.route(peer, device=device.index, source=source)
    return route if route is not None and (route.local or device.index in route.devices) else None


def _route_command(link: Link, device: Device, address: IPInterface) -> str:
    """A default route that loses against the ones the device has: metric 700 is NetworkManager's for modems."""
    gateway = next((g for g in link.gateways if g.version == address.version), None)
    via = ""
    if device.resolves_neighbours and gateway is not None:
        via = f" via {gateway}{'' if gateway in address.network else ' onlink'}"
    return f"ip -{address.version} route add default{via} dev {link.interface} metric 700"
