"""Changes of a node's interfaces, addresses and routes by netlink.

All functions block, for they speak in another namespace (see kernel.inside); an asyncio program calls them in a thread,
where pyroute2 0.9 can also run the event loop that its synchronous calls need.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

from phonecheck_sandbox.kernel import NETNS, inside

FAMILIES = {4: AF_INET, 6: AF_INET6}
"""The socket family of an IP version."""

EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
_NO_DAD = 0x02  # IFA_F_NODAD, linux/if_addr.h
_TUNSETIFF, _IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0001, 0x0002, 0x1000  # linux/if_tun.h


def versions() -> tuple[int, ...]:
    """The IP versions that this kernel has; ipv6.disable=1 on its command line takes one away."""
    return (4, 6) if Path("/proc/sys/net/ipv6").exists() else (4,)


@contextmanager
def speak(node: str | None) -> Iterator[Any]:
    """A netlink connection of a node; of the caller's own namespace where it is None."""
    from pyroute2 import IPRoute

    if node is None:
        with IPRoute() as ip:
            yield ip
        return
    # 0.9 opens its socket late, from an event loop of its own: the whole use of it stays inside.
    with inside(node), IPRoute() as ip:
        yield ip


@contextmanager
def namespace(node: str | None) -> Iterator[int]:
    """A descriptor of a node's namespace; of the caller's own where it is None."""
    fd = os.open(NETNS / node if node else "/proc/self/ns/net", os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def index_of(ip: Any, name: str) -> int:
    """The index of an interface that is there."""
    index: int = ip.link_lookup(ifname=name)[0]
    return index


def add_address(ip: Any, name: str, address: IPv4Interface | IPv6Interface) -> None:
    """Give an interface an address, usable at once, and set it up."""
    index, family = index_of(ip, name), FAMILIES[address.version]
    # The sandbox gives every address once; to look for a duplicate would take a second (RFC 4862, 5.4).
    flags = {"flags": _NO_DAD} if address.version == 6 else {}
    ip.addr(
        "replace", index=index, family=family, address=str(address.ip), prefixlen=address.network.prefixlen, **flags
    )
    ip.link("set", index=index, state="up")


def add_default(ip: Any, name: str, gateway: IPv4Address | IPv6Address, *, metric: int = 0) -> None:
    """Add a default route through a gateway."""
    ip.route(
        "replace",
        family=FAMILIES[gateway.version],
        dst=EVERYTHING[gateway.version],
        gateway=str(gateway),
        oif=index_of(ip, name),
        **({"priority": metric} if metric else {}),
    )


def make_tun(node: str, name: str, *, ethernet: bool = False) -> int:
    """Make an interface whose packets, or Ethernet frames, are read and written at the descriptor returned."""
    kind = _IFF_TAP if ethernet else _IFF_TUN
    with inside(node):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | _IFF_NO_PI))
    return fd
