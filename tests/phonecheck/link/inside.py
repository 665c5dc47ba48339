"""What runs inside a test's network namespace: reads one call a line on stdin, answers one JSON line each.

Run as a script by conftest.py; a call is a JSON list of a function's name below and its keyword arguments.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.link import bind, claims, netlink, path, routes
from phonecheck.link.dhcp import lease
from phonecheck.link.prepare import Prepared, examine, prepare
from phonecheck.link.resolve import Resolver
from phonecheck.model import Link

DNS = "203.0.113.1"
CALLS: dict[str, Callable[..., Any]] = {}
PREPARED: list[Prepared] = []
HELD = contextlib.ExitStack()


def call(function: Callable[..., Any]) -> Callable[..., Any]:
    CALLS[function.__name__] = function
    return function


@call
def commands(lines: list[str]) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # an ordinary user's has no sysctl
    for line in lines:
        subprocess.run(["sh", "-ec", line], check=True, stdout=sys.stderr, env={**os.environ, "PATH": path})


@call
def connect(
    peer: str, interface: str = "wwan0", port: int = 80, timeout: float = 2.0, sources: list[str] | None = None
) -> dict[str, Any]:
    known = [ip_address(s) for s in sources or []]
    sock, proof = bind.connect_tcp(interface, ip_address(peer), port, timeout=timeout, sources=known)
    with sock:
        return {**dataclasses.asdict(proof), "seen": sock.recv(200).decode()}


@call
def attempt(peer: str, source: str = "", *, bound_late: bool = False) -> None:
    """The obvious recipes: bind() to the link's address only; or SO_BINDTODEVICE after connect(), as httpcore does."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((peer, 80), timeout=0.5, source_address=(source, 0)) as sock,
    ):
        if bound_late:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wwan0\0")
        sock.recv(200)


@call
def check(
    peers: list[str],
    addresses: list[str],
    interface: str = "wwan0",
    gateways: list[str] | None = None,
    mtu: int | None = None,
) -> None:
    path.check_path(_link(interface, addresses, gateways, mtu), [ip_address(p) for p in peers])


@call
def usable(addresses: list[str], interface: str = "wwan0") -> list[str]:
    return [str(a) for a in path.usable(_link(interface, addresses)).addresses]


@call
def from_kernel(interface: str, dns: list[str], *, strict: bool = False, sys: str = "/sys") -> dict[str, Any]:
    servers = [ip_address(d) for d in dns]
    return dataclasses.asdict(path.link_from_kernel(interface, servers, strict=strict, sys=Path(sys)))


@call
def elsewhere(interface: str = "wwan0") -> list[str]:
    return [str(n) for n in path.networks_elsewhere(interface)]


@call
def route(peer: str, interface: str | None = None, source: str | None = None) -> dict[str, Any] | None:
    device = netlink.device(interface).index if interface else None  # type: ignore[union-attr]
    found = netlink.route(ip_address(peer), device=device, source=ip_address(source) if source else None)
    return dataclasses.asdict(found) if found else None


@call
def device(name: str) -> dict[str, Any] | None:
    found = netlink.device(name)
    return dataclasses.asdict(found) if found else None


@call
def filters(name: str) -> int:
    return netlink.reverse_path_filter(netlink.device(name).index)  # type: ignore[union-attr]


@call
def resolve(host: str, servers: list[str], addresses: list[str], seconds: float = 3.0) -> dict[str, Any]:
    sources = [ip_address(a) for a in addresses]
    families = sorted({s.version for s in sources})
    resolver = Resolver("wwan0", [ip_address(s) for s in servers], families=families, sources=sources)
    return dataclasses.asdict(resolver.resolve(host, Deadline(seconds)))


@call
def make_ready(
    addresses: list[str],
    interface: str = "wwan0",
    *,
    gateways: list[str] | None = None,
    dns: list[str] | None = None,
    mtu: int | None = None,
    family: str = "auto",
    change: bool = True,
    dhcp: bool = False,
    seconds: float = 10.0,
) -> dict[str, Any]:
    """As a command does it: in a thread. What is to be removed is kept for take_back."""
    servers = tuple(ip_address(d) for d in ([DNS] if dns is None else dns))
    link = dataclasses.replace(_link(interface, addresses, gateways, mtu), dns=servers)
    with ThreadPoolExecutor() as thread:
        done = thread.submit(
            prepare, link, family=family, change=change, deadline=Deadline(seconds), dhcp=dhcp
        ).result()
    PREPARED.append(done)
    return {
        **dataclasses.asdict(done.link),
        "configured": done.configured is not None,
        "pyroute2": "pyroute2" in sys.modules,
    }


@call
def examined(
    addresses: list[str], *, dns: list[str] | None = None, change: bool = True, dhcp: bool = False
) -> tuple[str, ...]:
    """What `link show` says that the link lacks."""
    servers = tuple(ip_address(d) for d in ([DNS] if dns is None else dns))
    link = dataclasses.replace(_link("wwan0", addresses, None, None), dns=servers)
    return examine(link, family="auto", change=change, dhcp=dhcp)[1]


@call
def rounds(count: int, peer: str, **link: Any) -> int:
    """Make ready, connect and take back, so often; how often it connected."""
    done = 0
    for _ in range(count):
        sources = [str(a.ip) for a in make_ready(**link)["addresses"]]
        done += connect(peer, sources=sources)["seen"] in sources
        take_back()
        PREPARED.clear()
    return done


@call
def hold(index: int) -> None:
    """Take the turn at a link and keep it."""
    HELD.enter_context(claims.alone(index, 1.0))


@call
def take_back() -> None:
    for done in PREPARED:
        if done.configured is not None:
            done.configured.remove()


@call
def cleanup() -> list[str]:
    return list(routes.cleanup())


@call
def ours() -> list[str]:
    return list(routes.ours())


@call
def take_lease(interface: str = "wwan0", seconds: float = 5.0) -> dict[str, Any]:
    return dataclasses.asdict(lease(interface, Deadline(seconds)))


@call
def children() -> list[str]:
    """What this process has started that has not ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append((process / "cmdline").read_text())
    return found


@call
def search_only(directory: str) -> None:
    """Find programs there, and in no other place but for the shell's own."""
    tools = Path(directory) / "tools"
    tools.mkdir()
    for name in ("sh", "grep", "sleep"):
        (tools / name).symlink_to(shutil.which(name) or name)
    os.environ["PATH"] = f"{directory}:{tools}"


@call
def run(command: list[str]) -> None:
    """Start a program that ends with this process."""
    started = subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr)
    HELD.callback(started.wait)
    HELD.callback(started.kill)


@call
def dhcp_server(kind: str = "good", *, dns: bool = True) -> None:
    """One that answers at once; or offers and then refuses; or answers with noise."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"p0")
    sock.bind(("", 67))
    threading.Thread(target=_lease, args=(sock, kind, dns), daemon=True).start()


def _lease(sock: socket.socket, kind: str, dns: bool) -> None:
    """RFC 2131: an OFFER (2) to each DISCOVER (1), an ACK (5) or a NAK (6) to each REQUEST (3)."""
    own, given = bytes([10, 64, 0, 1]), bytes([10, 64, 0, 2])
    facts = bytes([1, 4, 255, 255, 255, 252, 3, 4]) + own + bytes([26, 2, 1400 >> 8, 1400 & 255])
    facts += bytes([6, 8, 203, 0, 113, 1]) + own if dns else b""
    while True:
        asked = sock.recv(2000)
        message = 2 if b"\x35\x01\x01" in asked else 5 if kind == "good" else 6
        head = b"\x02" + asked[1:12] + bytes(4) + (bytes(4) if message == 6 else given) + own + asked[24:236]
        options = bytes([53, 1, message, 54, 4]) + own + bytes([51, 4, 0, 0, 14, 16]) + facts
        reply = head + b"\x63\x82\x53\x63" + options + b"\xff"
        sock.sendto(os.urandom(300) if kind == "garbage" else reply, ("255.255.255.255", 68))


@call
def advertise(prefix: str) -> None:
    """Send a router advertisement (RFC 4861, 4.2 and 4.6.2) to all nodes on p0."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"p0")
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
        option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + ip_address(prefix).packed
        sock.sendto(head + option, ("ff02::1", 0, 0, netlink.device("p0").index))  # type: ignore[union-attr]


@call
def state() -> dict[str, Any]:
    """Links, addresses, rules and routes of all tables, as `ip` shows them, and what IPv6 does of itself."""
    shown: dict[str, Any] = {}
    for name, arguments in {
        "address": ["-d", "addr"],
        "rule4": ["-4", "rule"],
        "rule6": ["-6", "rule"],
        "route4": ["-d", "-4", "route", "show", "table", "all"],
        "route6": ["-d", "-6", "route", "show", "table", "all"],
    }.items():
        text = subprocess.run(["ip", "-j", *arguments], check=True, capture_output=True, text=True).stdout
        items = json.loads(text or "[]")
        for item in items:
            item.pop("qdisc", None)  # is chosen when a device is set up for the first time, and stays
        shown[name] = sorted(items, key=str) if "route" in name else items
    shown["accept_ra"] = {p.parent.name: p.read_text() for p in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra")}
    return shown


@call
def sent() -> dict[str, int]:
    """Packets that left, by interface."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return {name.strip(): int(fields.split()[9]) for name, fields in (line.split(":") for line in lines)}


@call
def serve() -> None:
    """On port 80 say where the client seems to be; on port 53 answer 203.0.113.7 to everything."""
    for family in (socket.AF_INET, socket.AF_INET6):
        server = socket.create_server(("", 80), family=family)
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
    # Bound before the answer of this call, so that no question comes too early.
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("203.0.113.1", 53))
    threading.Thread(target=_name, args=(names,), daemon=True).start()


def _greet(server: socket.socket) -> None:
    while True:
        client, address = server.accept()
        with client, contextlib.suppress(OSError):
            client.sendall(address[0].encode())


def _name(sock: socket.socket) -> None:
    import dns.message
    import dns.rrset

    while True:
        wire, client = sock.recvfrom(2000)
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "203.0.113.7"))
        sock.sendto(reply.to_wire(), client)


@call
def drop_rights() -> dict[str, int]:
    """Become nobody where that user exists (an ordinary user's namespace has root only), and lose every capability."""
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setuid(65534)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None, use_errno=True).capset(header, data)
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {"capabilities": int(status["CapEff"], 16)}


def _link(interface: str, addresses: list[str], gateways: list[str] | None = None, mtu: int | None = None) -> Link:
    return Link(
        interface,
        tuple(ip_interface(a) for a in addresses),
        tuple(ip_address(g) for g in gateways or []),
        mtu=mtu,
    )


def main() -> None:
    answer({"pid": os.getpid()})
    with HELD:
        serve_calls()


def serve_calls() -> None:
    for line in sys.stdin:
        name, arguments = json.loads(line)
        started = time.monotonic()
        try:
            answer({"result": CALLS[name](**arguments)})
        except AgentError as error:
            fail(started, error.code, error.message, error.hint)
        except (OSError, subprocess.CalledProcessError) as error:
            fail(started, type(error).__name__, str(error))


def fail(started: float, code: str, message: str, hint: str = "") -> None:
    answer({"code": code, "message": message, "hint": hint, "seconds": time.monotonic() - started})


def answer(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply, default=str) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
