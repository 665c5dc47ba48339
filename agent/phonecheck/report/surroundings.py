"""What the report must not tell: the names of the device and of its users, and the networks it is in besides the modem's."""

from __future__ import annotations

import os
import pwd
import socket
from collections import defaultdict
from ipaddress import IPv4Address, IPv6Network, ip_network
from pathlib import Path

from phonecheck.report.scrub import Network, Surroundings

_PEOPLE = range(1000, 60000)  # Debian Policy, 9.2.2


def surroundings(root: Path = Path("/")) -> Surroundings:
    """As they are now; ``root`` is where the files are."""
    return Surroundings(_names(), _networks(root / "proc/net"))


def _names() -> frozenset[str]:
    host = socket.gethostname()
    names = {host, host.partition(".")[0]}
    # One entry, and not all: a directory of a company's people may be behind this.
    for user in (os.getuid(), _number(os.environ.get("SUDO_UID", ""))):
        try:
            names.add(pwd.getpwuid(user).pw_name)
        except (KeyError, OverflowError):
            continue
    return frozenset(filter(None, names | set(_people(Path("/etc/passwd")))))


def _people(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = [line.split(":") for line in lines]
    return [entry[0] for entry in entries if len(entry) > 2 and _number(entry[2]) in _PEOPLE]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _networks(directory: Path) -> dict[str, tuple[Network, ...]]:
    """The networks that are on the other end of each interface's own wire, from the kernel's text tables."""
    found: dict[str, list[Network]] = defaultdict(list)
    for line in _lines(directory / "route")[1:]:
        # proc(5): interface, destination and gateway in the machine's own byte order, …, mask in the eighth column.
        fields = line.split()
        if len(fields) > 7 and fields[2] == "00000000" and fields[7] != "00000000":
            address, mask = (IPv4Address(bytes.fromhex(fields[n])[::-1]) for n in (1, 7))
            found[fields[0]].append(ip_network(f"{address}/{mask}", strict=False))
    for line in _lines(directory / "if_inet6"):
        # The address in 32 hexadecimal digits, index, prefix length, scope, flags, interface.
        fields = line.split()
        if len(fields) > 5:
            found[fields[5]].append(IPv6Network((bytes.fromhex(fields[0]), int(fields[2], 16)), strict=False))
    return {interface: tuple(networks) for interface, networks in found.items() if interface != "lo"}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
