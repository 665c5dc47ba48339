"""The interface of a modem as NetworkManager configures it and leaves it; for its stand-in, on the stand-in's own node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

_STATIC = 2  # MMBearerIpMethod
_METRIC = 700


def configure(interface: str, configurations: Sequence[dict[str, tuple[str, Any]]], rank: int) -> None:
    """Give it the addresses of a bearer's IP configurations, each with a default route.

    Args:
        interface: its name.
        configurations: ``Ip4Config`` and ``Ip6Config`` as ModemManager has them on the bus.
        rank: 0 for the first modem; each further one's routes are worse.

    Raises:
        OSError: the kernel refused, or nothing in them is static.
    """
    # As NetworkManager leaves it: no link-local address of the kernel's making.
    Path("/proc/sys/net/ipv6/conf", interface, "addr_gen_mode").write_text("1")
    with _netlink() as ip:
        index = _index(ip, interface)
        values_of_each = [{key: value for key, (_, value) in each.items()} for each in configurations]
        static = [values for values in values_of_each if values.get("method") == _STATIC]
        if not static:
            raise OSError(f"{interface} has no static configuration, and the stand-in takes no leases")
        for values in static:
            address = ip_interface(f"{values['address']}/{values['prefix']}")
            if mtu := values.get("mtu"):
                ip.link("set", index=index, mtu=mtu)
            ip.link("set", index=index, state="up")
            ip.addr("replace", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
            everywhere = "0.0.0.0/0" if address.version == 4 else "::/0"
            ip.route("replace", dst=everywhere, gateway=values["gateway"], oif=index, priority=_METRIC + rank)


def mtu_of(interface: str) -> int:
    """Its MTU.

    Raises:
        OSError: it is gone.
    """
    with _netlink() as ip:
        mtu: int = ip.get_links(_index(ip, interface))[0].get_attr("IFLA_MTU")
        return mtu


def bare(interface: str, mtu: int) -> None:
    """Take all addresses and routes off it, and set it down, with the MTU that it had before; nothing where it is gone."""
    with suppress(OSError), _netlink() as ip:  # it may go in this very moment
        for index in ip.link_lookup(ifname=interface) if interface else ():
            ip.flush_addr(index=index)
            ip.link("set", index=index, state="down", mtu=mtu)


@contextmanager
def _netlink() -> Iterator[Any]:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from None


def _index(ip: Any, interface: str) -> int:
    for index in ip.link_lookup(ifname=interface):
        return int(index)
    raise OSError(f"there is no {interface}")
