"""A lease for a link that is configured by DHCP where nobody has configured it: facts only, nothing is applied.

The client is one that the device has (busybox, udhcpc, dhclient, dhcpcd). Its usual script would write the addresses,
the default route and resolv.conf; it is given one that prints what the server said, and it ends when that is read. The
lease is neither renewed nor released: the exchange is over long before it is, and servers find a client again by its
hardware address (RFC 2131, 4.3.1).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import IO, cast

from phonecheck.deadline import Deadline
from phonecheck.errors import BearerError, LinkError
from phonecheck.link import capability, netlink, path

_LARGEST = 64 * 1024
# udhcpc gives the event as an argument and the facts as ip, subnet, router …; dhclient gives both as variables. Only
# what the client itself has formatted as addresses and numbers is printed, never a text of the server.
_SCRIPT = b"""#!/bin/sh
case "$1$reason" in bound | BOUND) ;; *) exit 0 ;; esac
echo "address=${ip:-$new_ip_address}"
echo "mask=${subnet:-$new_subnet_mask}"
echo "routers=${router:-$new_routers}"
echo "dns=${dns:-$new_domain_name_servers}"
echo "mtu=${mtu:-$new_interface_mtu}"
echo "end=yes"
"""
_DHCPCD = {
    "new_ip_address": "address",
    "new_subnet_mask": "mask",
    "new_routers": "routers",
    "new_domain_name_servers": "dns",
    "new_interface_mtu": "mtu",
}
_FIRST_FREE = 64
_MFD_EXEC = 0x10  # linux/memfd.h, since 6.3


@dataclass(frozen=True, slots=True)
class Lease:
    """What a DHCP server offered and granted."""

    address: IPv4Interface
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    mtu: int | None = None


def lease(interface: str, deadline: Deadline) -> Lease:
    """Take a lease on the interface, which must be up. The client has ended when this returns.

    Raises:
        LinkError: interface-gone; bind-refused, where CAP_NET_RAW is missing.
        BearerError: no-ip-config; there is no client, or no server grants a lease in time.
    """
    device = netlink.device(interface)
    if device is None or not device.up:
        raise path.gone(interface, "is down" if device else "went away")
    if not capability.holds(capability.NET_RAW):
        raise LinkError(
            "bind-refused",
            f"{interface} has no address, and asking for a lease takes CAP_NET_RAW.",
            hint="Run it as root, or let NetworkManager or a DHCP client configure the interface.",
        )
    client = next((c for c in _CLIENTS if shutil.which(c[0], path=_search_path())), None)
    if client is None:
        raise BearerError(
            "no-ip-config",
            f"{interface} has no address, and there is no DHCP client to ask for one.",
            hint="Install one: apt install busybox; or let NetworkManager configure the interface.",
        )
    seconds = deadline.remaining()
    try:
        with _script() as script:
            said = _run([client[0], *client[1](interface, script.path, int(seconds) + 1)], script.descriptor, deadline)
    except OSError as error:
        raise BearerError(
            "no-ip-config",
            f"{interface} has no address, and {client[0]} cannot be run to ask for one: {error.strerror}.",
            hint="Let NetworkManager configure the interface; or see what the unit or a sysctl forbids.",
        ) from None
    found = read(said)
    if found is None:
        early = deadline.remaining() > 1
        what = "The DHCP client gave up:" if early else f"Within {seconds:.0f} s,"
        raise BearerError(
            "no-ip-config",
            f"{what} no DHCP server granted an address on {interface}.",
            hint="Check that the modem is connected; a reset of the modem restarts its DHCP server.",
        )
    return found


def read(text: str) -> Lease | None:
    """Read what a client printed, None where it holds no lease; a part that cannot be is left out."""
    facts = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            facts[_DHCPCD.get(name, name)] = value.strip("'\" \t")
    return _lease(facts)


def _lease(facts: Mapping[str, str]) -> Lease | None:
    try:
        address = IPv4Interface(f"{facts['address']}/{facts.get('mask') or 32}")
    except (KeyError, ValueError):
        return None
    if not _of_a_host(address.ip):
        return None
    routers, mtu = _addresses(facts.get("routers", "")), facts.get("mtu", "")
    return Lease(
        address,
        gateway=next((router for router in routers if router != address.ip), None),
        dns=_addresses(facts.get("dns", "")),
        mtu=int(mtu) if re.fullmatch(r"[0-9]{2,5}", mtu) else None,
    )


def _addresses(text: str) -> tuple[IPv4Address, ...]:
    found = []
    for word in re.split(r"[\s,]+", text):
        with contextlib.suppress(ValueError):
            found.append(IPv4Address(word))
    return tuple(address for address in found if _of_a_host(address))


def _of_a_host(address: IPv4Address) -> bool:
    nobody = address.is_unspecified or address.is_multicast or address.is_loopback or address.is_link_local
    return not nobody and address != IPv4Address("255.255.255.255")


def _udhcpc(interface: str, script: str, seconds: int) -> list[str]:
    # In the foreground, one lease and no more, an attempt each second; the pid file and its default script are not used.
    return ["-f", "-q", "-n", "-T", "1", "-t", str(seconds), "-O", "mtu", "-s", script, "-i", interface]


def _busybox(interface: str, script: str, seconds: int) -> list[str]:
    return ["udhcpc", *_udhcpc(interface, script, seconds)]


def _dhclient(interface: str, script: str, seconds: int) -> list[str]:  # noqa: ARG001  it has no such option
    nothing = ("-lf", "/dev/null", "-pf", "/dev/null", "-cf", "/dev/null")
    return ["-4", "-d", "-1", *nothing, "-sf", script, interface]


def _dhcpcd(interface: str, script: str, seconds: int) -> list[str]:  # noqa: ARG001  its test mode has its own script
    return ["-4", "-T", "-t", str(seconds), interface]


_CLIENTS: Sequence[tuple[str, Callable[[str, str, int], list[str]]]] = (
    ("busybox", _busybox),
    ("udhcpc", _udhcpc),
    ("dhclient", _dhclient),
    ("dhcpcd", _dhcpcd),
)


def _search_path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # an ordinary user's has no sbin


@dataclass(frozen=True, slots=True)
class _Script:
    path: str
    descriptor: int


@contextlib.contextmanager
def _script() -> Iterator[_Script]:
    """The script as a file that no directory holds: /tmp may forbid to execute, and a crash leaves none behind."""
    try:
        written = os.memfd_create("phonecheck-lease", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError:
        written = os.memfd_create("phonecheck-lease", os.MFD_CLOEXEC)
    try:
        os.write(written, _SCRIPT)
        # What is open for writing cannot be executed (ETXTBSY).
        opened = os.open(f"/proc/self/fd/{written}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(written)
    try:
        # udhcpc takes 3 and 4 for itself, whatever they were (udhcp/signalpipe.c).
        read_only = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    finally:
        os.close(opened)
    try:
        if not os.fstat(read_only).st_mode & stat.S_IXUSR:
            raise PermissionError(errno.EACCES, "the sysctl vm.memfd_noexec is 2")
        yield _Script(f"/proc/self/fd/{read_only}", read_only)
    finally:
        os.close(read_only)


def _run(command: list[str], script: int, deadline: Deadline) -> str:
    """What the client prints until it has ended, has a lease, or has had its time; it has ended then."""
    said = b""
    with subprocess.Popen(
        [*_leash(), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[script],
        env={"PATH": _search_path()},
        process_group=0,
    ) as client:
        output = cast("IO[bytes]", client.stdout)
        try:
            while b"end=yes" not in said and len(said) < _LARGEST:
                ready, _, _ = select.select([output], [], [], deadline.remaining())
                piece = os.read(output.fileno(), 4096) if ready else b""
                if not piece:
                    break
                said += piece
        finally:
            # With what it has started. Nobody has waited for it yet, so the number is still its own.
            os.killpg(client.pid, signal.SIGKILL)
    return said.decode("ascii", "replace")


def _leash() -> list[str]:
    """What has the kernel end the client if this process is killed: util-linux's setpriv (busybox's cannot)."""
    found = shutil.which("setpriv", path=_search_path())
    return [found, "--pdeathsig", "KILL"] if found and Path(found).resolve().name == "setpriv" else []
