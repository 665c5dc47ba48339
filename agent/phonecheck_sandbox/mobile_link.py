"""The mobile link: a modem's interface on the device, the P-GW's on the carrier, and the radio's descriptors between.

A session configures the device's end, as a connection manager does after Simple.Connect. All functions block, see
netlink.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.netlink import FAMILIES, add_address, add_default, index_of, make_tun, namespace, speak
from phonecheck_sandbox.plan import IpMethod, IpType, LinkKind

_MAIN = 254
_ROUTE_METRIC = 700
"""Worse than the LAN's, as NetworkManager ranks a modem: nothing leaves by it but what is bound to it."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a session, an address of each family that the session has."""

    interface: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """What a modem's data session is made of at both ends."""

    modem: int
    kind: LinkKind
    method: IpMethod
    device: End
    gateway: End

    @property
    def interface(self) -> str:
        """Its interface on the device."""
        return self.device.interface

    @property
    def leased(self) -> bool:
        """Whether its IPv4 address comes by DHCP, as that of a HAT does always."""
        return self.kind == "hat" or self.method == "dhcp"

    @property
    def ethernet(self) -> bool:
        """Whether frames go over it, or bare packets."""
        return self.kind != "raw-ip"


def session_of(
    modem: int,
    *,
    kind: LinkKind = "raw-ip",
    ip: IpType = "4",
    method: IpMethod = "static",
    subscriber: world.Subscriber | None = None,
) -> Session:
    """The session of a modem, each in a /30 and a /64 of its own as a P-GW hands them out.

    ``subscriber`` is whose SIM is in it; None for the SIM that it came with.
    """
    subscriber = subscriber or world.SIMS[modem]
    device, gateway = [], []
    for version, own, prefix in (("4", subscriber.address, world.WWAN0), ("6", subscriber.address6, world.WWAN0_6)):
        if version in ip:
            length = prefix.network.prefixlen
            device.append(ip_interface(f"{own}/{length}"))
            gateway.append(ip_interface(f"{own - 1}/{length}"))
    interface = "usb0" if kind == "hat" else f"wwan{modem}"
    return Session(modem, kind, method, End(interface, tuple(device)), End(f"pgw{modem}", tuple(gateway)))


def handed_over(session: Session, subscriber: world.Subscriber) -> Session:
    """The same session, of another subscriber.

    Raises:
        SandboxError: its address is leased, and the lease is the first subscriber's.
    """
    if session.leased:
        raise SandboxError("The P-GW here leases one subscriber's address.", hint="Start a sandbox without --dhcp.")
    ip: dict[tuple[int, ...], IpType] = {(4,): "4", (6,): "6", (4, 6): "4v6"}
    families = ip[tuple(address.version for address in session.device.addresses)]
    return session_of(session.modem, kind=session.kind, ip=families, method=session.method, subscriber=subscriber)


def build(session: Session) -> tuple[int, int]:
    """Make both ends, TUN or TAP devices; return their descriptors, the device's first.

    The device's end stays down and bare until ``session_up``; the P-GW's end is always ready.

    Raises:
        OSError: refused by the kernel.
    """
    modem = make_tun("device", session.interface, ethernet=session.ethernet)
    gateway = make_tun("carrier", session.gateway.interface, ethernet=session.ethernet)
    serve(session)
    return modem, gateway


def adopt(session: Session, interface: str) -> None:
    """Take an interface from the device and make it the P-GW's end; the device's end is another's work.

    Raises:
        OSError, NetlinkError: refused by the kernel.
    """
    with speak("device") as ip, namespace("carrier") as fd:
        index = index_of(ip, interface)
        ip.link("set", index=index, state="down")  # an interface that is up cannot be renamed
        ip.link("set", index=index, net_ns_fd=fd, ifname=session.gateway.interface)
    serve(session)


def serve(session: Session) -> None:
    """Have the P-GW's end serve a session, beside those that it served before.

    Raises:
        OSError, NetlinkError: refused by the kernel.
    """
    with speak("carrier") as ip:
        ip.link("set", index=index_of(ip, session.gateway.interface), mtu=world.WWAN0_MTU)
        for address in session.gateway.addresses:
            add_address(ip, session.gateway.interface, address)


def session_up(session: Session) -> None:
    """Configure the modem's interface from the session."""
    with speak("device") as ip:
        for index in _there(ip, session):
            ip.link("set", index=index, mtu=world.WWAN0_MTU)
            for address, gateway in zip(session.device.addresses, session.gateway.addresses, strict=True):
                add_address(ip, session.interface, address)
                add_default(ip, session.interface, gateway.ip, metric=_ROUTE_METRIC + session.modem)


def session_down(session: Session) -> None:
    """Make the modem's interface bare again and set it down. Its routes go with it."""
    address_lost(session)
    link_down(session)


def address_lost(session: Session) -> None:
    """Take the addresses off the interface, and with them the routes that need them."""
    with speak("device") as ip:
        for index in _there(ip, session):
            for address in session.device.addresses:
                ip.flush_addr(index=index, family=FAMILIES[address.version])


def route_lost(session: Session) -> None:
    """Take the interface's default routes and leave its addresses."""
    with speak("device") as ip:
        for index in _there(ip, session):
            for address in session.device.addresses:
                ip.flush_routes(oif=index, family=FAMILIES[address.version], dst_len=0, table=_MAIN)


def link_down(session: Session) -> None:
    """Set the interface down and leave its address."""
    with speak("device") as ip:
        for index in _there(ip, session):
            ip.link("set", index=index, state="down")


def pull(session: Session) -> None:
    """Take the interface off the device, as a pulled modem does.

    It is parked in the supervisor's own network namespace. To the device that is the removal of a network interface in
    every respect (RTM_DELLINK, addresses and routes gone), while the radio keeps its descriptor for the way back.
    """
    _move(session, "device", None)


def put_back(session: Session) -> None:
    """Give the device its interface back, down and bare."""
    _move(session, None, "device")


def _there(ip: Any, session: Session) -> Iterator[int]:
    """Its interface's index, or nothing where the modem has been pulled meanwhile."""
    yield from ip.link_lookup(ifname=session.interface)


def _move(session: Session, here: str | None, there: str | None) -> None:
    with speak(here) as ip, namespace(there) as fd:
        for index in _there(ip, session):
            ip.link("set", index=index, state="down")
            ip.link("set", index=index, net_ns_fd=fd)
