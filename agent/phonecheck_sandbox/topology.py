"""The sandbox's network after the map in world.py, but for the mobile links: interfaces, addresses, routes, NAT.

All functions block, see netlink.py.
"""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import NETNS, inside, make_node
from phonecheck_sandbox.netlink import (
    FAMILIES,
    add_address,
    add_default,
    index_of,
    make_tun,
    namespace,
    speak,
    versions,
)

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
    (
        *("carrier", "lo"),
        (world.MNO_START, world.MNO_ENRICH, world.MNO_IDENTITY, world.LAB, world.PORTAL, *world.CARRIER_DNS),
    ),
    ("carrier", "up0", (world.MNO_PARTNER,)),
)
_NAT = {
    "lan": f'oifname "wan0" snat ip to {world.LAN_PUBLIC.ip}',
    "carrier": f'oifname "up0" ip saddr 10.0.0.0/8 snat ip to {world.CARRIER_PUBLIC.ip}',
}
_ADDRESSES_6 = (("device", "lan0", world.LAN0_6), ("lan", "home0", world.LAN_ROUTER_6))
_DEFAULT_ROUTE_6 = ("device", "lan0", world.LAN_ROUTER_6.ip, 100)
_SERVICES_6: tuple[IPv6Address, ...] = (
    *(world.MNO_START_6, world.MNO_ENRICH_6, world.MNO_IDENTITY_6, world.LAB_6, world.PORTAL_6),
    *world.CARRIER_DNS_6,
)


def build_nodes() -> None:
    """Make the network namespaces, empty, but for one that is there already: where the machine itself is the device.

    Raises:
        OSError: refused by the kernel.
    """
    for node in world.NODES:
        if not (NETNS / node).exists():
            make_node(node)


def build() -> None:
    """Lay links, addresses, routes and NAT between the nodes, all IPv4.

    Raises:
        SandboxError: nft failed.
        OSError: refused by the kernel.
    """
    for node in world.NODES:
        with inside(node):
            _sysctl("net/ipv4/ip_forward", "0" if node == "device" else "1")
            # The routers' job is to forward, not to judge; and the device is to be as Debian has it, not as this host is.
            _set_rp_filter(2 if node == "device" else 0)
            # Else the P-GW would be found by ARP at each of its services' addresses, and a missing route be no loss.
            _sysctl("net/ipv4/conf/all/arp_ignore", "0" if node == "device" else "1")
    for (near, near_name, near_address), (far, far_name, far_address) in _LINKS:
        with speak(near) as ip, namespace(far) as far_fd:
            ip.link("add", ifname=near_name, kind="veth", peer={"ifname": far_name, "net_ns_fd": far_fd})
            add_address(ip, near_name, near_address)
        with speak(far) as ip:
            add_address(ip, far_name, far_address)
    for node in world.NODES:
        with speak(node) as ip:
            ip.link("set", index=index_of(ip, "lo"), state="up")
            for where, name, addresses in _SERVICES:
                for address in addresses if where == node else ():
                    add_address(ip, name, ip_interface(address))
            for where, name, gateway, metric in _DEFAULT_ROUTES:
                if where == node:
                    add_default(ip, name, gateway, metric=metric)
    for node, rule in _NAT.items():
        nft(node, script=f"table ip nat {{ chain out {{ type nat hook postrouting priority srcnat; {rule};\n}}\n}}\n")
    _show_device_in_sys()


def build_6() -> int:
    """Lay the same for IPv6, which the LAN and the carrier have and the Internet has not.

    Returns:
        The descriptor of the NAT64's packets: it stands on the carrier between its prefix and its pool.

    Raises:
        SandboxError: this kernel has no IPv6.
        OSError: refused by the kernel.
    """
    if 6 not in versions():
        raise SandboxError("This kernel has no IPv6.", hint="Boot it without ipv6.disable=1, or choose IPv4.")
    for node in ("lan", "carrier"):
        with inside(node):
            _sysctl("net/ipv6/conf/all/forwarding", "1")
    for node, name, address in _ADDRESSES_6:
        with speak(node) as ip:
            add_address(ip, name, address)
    node, name, gateway, metric = _DEFAULT_ROUTE_6
    with speak(node) as ip:
        add_default(ip, name, gateway, metric=metric)
    fd = make_tun("carrier", "nat64")
    with speak("carrier") as ip:
        for service in _SERVICES_6:
            add_address(ip, "lo", ip_interface(service))
        index = index_of(ip, "nat64")
        ip.link("set", index=index, state="up")
        for network in (world.NAT64, world.NAT64_POOL):
            ip.route("replace", family=FAMILIES[network.version], dst=str(network), oif=index)
    return fd


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
