"""The sandbox's network after the map in world.py: links, addresses, routes, NAT, and the modem's interface.

All functions block, for they speak netlink in another namespace (see kernel.inside); an asyncio program calls them in a
thread, where pyroute2 0.9 can also run the event loop that its synchronous calls need.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from socket import AF_INET
from typing import Any

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import NETNS, inside, make_node

_LINKS = (
    (("device", "lan0", world.LAN0), ("lan", "home0", world.LAN_ROUTER)),
    (("lan", "wan0", world.LAN_PUBLIC), ("internet", "isp0", world.INTERNET_TO_LAN)),
    (("carrier", "up0", world.CARRIER_PUBLIC), ("internet", "core0", world.INTERNET_TO_CARRIER)),
)
_DEFAULT_ROUTES = (
    ("device", "lan0", world.LAN_ROUTER.ip, 100),
    ("lan", "wan0", world.INTERNET_TO_LAN.ip, 0),
    ("carrier", "up0", world.INTERNET_TO_CARRIER.ip, 0),
)
_SERVICES: tuple[tuple[str, str, tuple[IPv4Address, ...]], ...] = (
    ("internet", "lo", (world.PLATFORM, world.APP_SERVER, world.PUBLIC_DNS)),
    ("carrier", "lo", (world.MNO_START, world.MNO_ENRICH, world.MNO_IDENTITY, world.LAB, *world.CARRIER_DNS)),
    ("carrier", "up0", (world.MNO_PARTNER,)),
)
_NAT = {
    "lan": f'oifname "wan0" snat ip to {world.LAN_PUBLIC.ip}',
    "carrier": f'oifname "up0" ip saddr 10.0.0.0/8 snat ip to {world.CARRIER_PUBLIC.ip}',
}
_MODEM_ROUTE_METRIC = 700
"""Worse than the LAN's, as NetworkManager ranks a modem: nothing leaves by it but what is bound to it."""

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h


@dataclass(frozen=True, slots=True)
class Session:
    """What a modem's data session is made of at both ends."""

    modem: int
    device: IPv4Interface
    gateway: IPv4Interface

    @property
    def interface(self) -> str:
        """Its interface on the device."""
        return f"wwan{self.modem}"


def session_of(modem: int) -> Session:
    """The session of a modem, each in a /30 of its own as a P-GW hands them out."""
    if modem == 0:
        return Session(0, world.WWAN0, world.PGW)
    device = IPv4Interface(f"{world.OTHER_SUBSCRIBER.address}/{world.WWAN0.network.prefixlen}")
    return Session(modem, device, IPv4Interface((device.ip - 1, device.network.prefixlen)))


def build_nodes() -> None:
    """Make the empty network namespaces.

    Raises:
        OSError: refused by the kernel.
    """
    for node in world.NODES:
        make_node(node)


def build() -> None:
    """Lay links, addresses, routes and NAT between the nodes. The modems' interfaces come with ``build_radio``.

    Raises:
        SandboxError: nft failed.
        OSError: refused by the kernel.
    """
    for node in world.NODES:
        with inside(node):
            _sysctl("net/ipv4/ip_forward", "0" if node == "device" else "1")
            # The routers' job is to forward, not to judge; and the device is to be as Debian has it, not as this host is.
            _set_rp_filter(2 if node == "device" else 0)
    for (near, near_name, near_address), (far, far_name, far_address) in _LINKS:
        with _netlink(near) as ip, _node_fd(far) as far_fd:
            ip.link("add", ifname=near_name, kind="veth", peer={"ifname": far_name, "net_ns_fd": far_fd})
            _add_address(ip, near_name, near_address)
        with _netlink(far) as ip:
            _add_address(ip, far_name, far_address)
    for node in world.NODES:
        with _netlink(node) as ip:
            ip.link("set", index=_index(ip, "lo"), state="up")
            for where, name, addresses in _SERVICES:
                for address in addresses if where == node else ():
                    _add_address(ip, name, IPv4Interface(address))
            for where, name, gateway, metric in _DEFAULT_ROUTES:
                if where == node:
                    _add_default(ip, name, gateway, metric)
    for node, rule in _NAT.items():
        nft(node, script=f"table ip nat {{ chain out {{ type nat hook postrouting priority srcnat; {rule};\n}}\n}}\n")
    _show_device_in_sys()


def build_radio(session: Session) -> tuple[int, int]:
    """Make both ends of a modem's radio, TUN devices; return their descriptors, the device's first.

    The device's end stays down and bare until ``session_up``; the P-GW's end is always ready.

    Raises:
        OSError: refused by the kernel.
    """
    modem, gateway = _tun("device", session.interface), _tun("carrier", f"pgw{session.modem}")
    with _netlink("carrier") as ip:
        ip.link("set", index=_index(ip, f"pgw{session.modem}"), mtu=world.WWAN0_MTU)
        _add_address(ip, f"pgw{session.modem}", session.gateway)
    return modem, gateway


def session_up(session: Session) -> None:
    """Configure the modem's interface from the session, as a connection manager does after Simple.Connect."""
    with _netlink("device") as ip:
        if not ip.link_lookup(ifname=session.interface):
            return  # pulled meanwhile
        ip.link("set", index=_index(ip, session.interface), mtu=world.WWAN0_MTU)
        _add_address(ip, session.interface, session.device)
        _add_default(ip, session.interface, session.gateway.ip, _MODEM_ROUTE_METRIC + session.modem)


def session_down(session: Session) -> None:
    """Make the modem's interface bare again and set it down. Its routes go with it."""
    with _netlink("device") as ip:
        for index in ip.link_lookup(ifname=session.interface):
            ip.flush_addr(family=AF_INET, index=index)
            ip.link("set", index=index, state="down")


def link_down(session: Session) -> None:
    """Set the interface down and leave its address."""
    with _netlink("device") as ip:
        for index in ip.link_lookup(ifname=session.interface):
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


def set_rp_filter(value: int) -> None:
    """Set the device's reverse path filter: 0 off, 1 strict, 2 loose."""
    with inside("device"):
        _set_rp_filter(value)


def nft(node: str, *words: str, script: str | None = None) -> str:
    """Run nft on a node, with a command's words or a script, and return what it prints.

    Raises:
        SandboxError: nft's own complaint.
    """
    argv = ["nsenter", f"--net={NETNS / node}", "nft", *(words or ("-f", "-"))]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(
            f"nft failed on {node}: {done.stderr.strip().partition(chr(10))[0]}",
            hint="The kernel may lack its modules: sudo modprobe -a nf_tables nft_chain_nat",
        )
    return done.stdout


@contextmanager
def _netlink(node: str | None) -> Iterator[Any]:
    from pyroute2 import IPRoute

    if node is None:
        with IPRoute() as ip:
            yield ip
        return
    # 0.9 opens its socket late, from an event loop of its own: the whole use of it stays inside.
    with inside(node), IPRoute() as ip:
        yield ip


@contextmanager
def _node_fd(node: str) -> Iterator[int]:
    fd = os.open(NETNS / node, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def _index(ip: Any, name: str) -> int:
    index: int = ip.link_lookup(ifname=name)[0]
    return index


def _add_address(ip: Any, name: str, address: IPv4Interface) -> None:
    index = _index(ip, name)
    ip.addr("replace", index=index, family=AF_INET, address=str(address.ip), prefixlen=address.network.prefixlen)
    ip.link("set", index=index, state="up")


def _add_default(ip: Any, name: str, gateway: IPv4Address, metric: int) -> None:
    ip.route(
        "replace",
        family=AF_INET,
        dst="0.0.0.0/0",
        gateway=str(gateway),
        oif=_index(ip, name),
        **({"priority": metric} if metric else {}),
    )


def _move(session: Session, here: str | None, there: str | None) -> None:
    place = NETNS / there if there else Path("/proc/self/ns/net")
    with _netlink(here) as ip:
        for index in ip.link_lookup(ifname=session.interface):
            fd = os.open(place, os.O_RDONLY)
            try:
                ip.link("set", index=index, state="down")
                ip.link("set", index=index, net_ns_fd=fd)
            finally:
                os.close(fd)


def _tun(node: str, name: str) -> int:
    with inside(node):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return fd


def _set_rp_filter(value: int) -> None:
    # A new namespace copies the host's IPv4 settings; the larger of "all" and the interface's own counts, and an
    # interface takes "default" only when it is made (Documentation/networking/ip-sysctl.rst).
    for directory in Path("/proc/sys/net/ipv4/conf").iterdir():
        (directory / "rp_filter").write_text(str(value))


def _sysctl(name: str, value: str) -> None:
    Path("/proc/sys", name).write_text(value)


def _show_device_in_sys() -> None:
    """Let /sys/class/net list the device's interfaces: a sysfs shows the network namespace that it was mounted in."""
    argv = ["nsenter", f"--net={NETNS / 'device'}", "mount", "-t", "sysfs", "sysfs", "/sys"]
    # A container that hides parts of /sys may not mount another one; only a look into /sys is poorer then.
    subprocess.run(argv, capture_output=True, check=False)
