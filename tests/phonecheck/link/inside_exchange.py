"""What runs inside a test's network namespace while its link goes: one exchange, or the peers that are silent or late.

Run as a script by test_link_loss.py and test_two_families.py; it speaks as inside.py does, and knows its calls too.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from inside import call, main

from phonecheck.chain.connection import Connection
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, LinkError
from phonecheck.link import bind, netlink, watch
from phonecheck.link.closing import Closing
from phonecheck.link.dial import Dialer
from phonecheck.link.resolve import Resolver

SECONDS = 30.0
"""Every time-out: whoever ends earlier was woken."""


class Exchange:
    """One at a time, in a thread, with the real parts."""

    def __init__(self, sources: list[str]) -> None:
        self.closing = Closing()
        self.loss = watch.Loss()
        self.told: list[str] = []
        self.loss.on(lambda error: self.told.append(error.message))
        self.loss.on(self.closing.abort)
        self.sources = [ip_address(s) for s in sources]
        self.watch: watch.LinkWatch | None = None
        self.thread: threading.Thread | None = None
        self.outcome: dict[str, Any] = {}
        self.dialer = Dialer(self._start, self.closing.wait)

    def _start(self, address: Any, port: int) -> bind.Connecting:
        return bind.start_tcp("wwan0", address, port, sources=self.sources, hold=self.closing.hold)

    def resolver(self, servers: list[str]) -> Resolver:
        return Resolver(
            "wwan0",
            [ip_address(s) for s in servers],
            families=sorted({s.version for s in self.sources}),
            sources=self.sources,
            udp_socket=lambda *a, **k: bind.udp_socket(*a, **k, hold=self.closing.hold),
            connect_tcp=lambda *a, **k: bind.connect_tcp(*a, **k, hold=self.closing.hold, wait=self.closing.wait),
            wait=self.closing.wait,
        )

    def run(self, work: Callable[[], object]) -> None:
        def body() -> None:
            try:
                result = work()
            except AgentError as error:
                self.outcome = {"code": error.code, "message": error.message}
            except OSError as error:
                self.outcome = {"code": type(error).__name__, "message": str(error)}
            else:
                self.outcome = {"code": "", "message": str(result)}
            self.outcome["at"] = time.monotonic()

        self.thread = threading.Thread(target=body)
        self.thread.start()

    # What an exchange may wait in.

    def connecting(self, peer: str) -> None:
        self.dialer.connect([ip_address(peer)], 81, SECONDS)

    def receiving(self, peer: str) -> None:
        sock, _ = self.dialer.connect([ip_address(peer)], 81, SECONDS)
        with sock:
            Connection(sock, self.closing.wait).receive(100, Deadline(SECONDS))

    def shaking_hands(self, peer: str) -> None:
        sock, _ = self.dialer.connect([ip_address(peer)], 81, SECONDS)
        connection = Connection(sock, self.closing.wait)
        try:
            connection.handshake(ssl.create_default_context(), "mno.example", Deadline(SECONDS))
        finally:
            connection.close()

    def resolving(self, peer: str) -> None:
        self.resolver([peer]).resolve("mno.example", Deadline(SECONDS))

    def asking_by_tcp(self, peer: str) -> None:
        sock, _ = bind.connect_tcp(
            "wwan0", ip_address(peer), 82, timeout=SECONDS, hold=self.closing.hold, wait=self.closing.wait
        )
        sock.close()


CURRENT: list[Exchange] = []
SERVERS: list[socket.socket] = []


@call
def begin(sources: list[str], *, watched: bool = True, deaf: bool = False) -> list[str]:
    """A new exchange. ``deaf``: the kernel's news get lost (ENOBUFS), all of them."""
    exchange = Exchange(sources)
    CURRENT[:] = [exchange]
    if watched:
        exchange.watch = watch.LinkWatch(
            "wwan0", exchange.sources, exchange.loss.tell, subscribe=_deaf if deaf else watch.subscribe
        )
    return exchange.told


class Deaf(socket.socket):
    def recvfrom(self, *args: Any) -> Any:
        super().recvfrom(*args)
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


def _deaf() -> socket.socket:
    with watch.subscribe() as sock:
        return Deaf(fileno=sock.detach())


@call
def enter(what: str, peer: str) -> None:
    """Begin to wait, and return when the wait is certain: its packet is out, and a little later."""
    exchange = CURRENT[0]
    exchange.run(lambda: getattr(exchange, what)(peer))
    time.sleep(0.15)
    assert exchange.thread is not None
    assert exchange.thread.is_alive(), exchange.outcome


@call
def outcome() -> dict[str, Any]:
    exchange = CURRENT[0]
    assert exchange.thread is not None
    exchange.thread.join(SECONDS + 5)
    return exchange.outcome


@call
def attempt_now(what: str, peer: str) -> None:
    getattr(CURRENT[0], what)(peer)


@call
def abort() -> float:
    """As ModemManager's watch would: the link itself is as it was."""
    at = time.monotonic()
    CURRENT[0].loss.tell(LinkError("interface-gone", "ModemManager went away."))
    return at


@call
def told() -> list[str]:
    return CURRENT[0].told


@call
def settle() -> float:
    """Close all as at a command's end; the seconds it took."""
    started = time.monotonic()
    CURRENT[0].closing.finish()
    if CURRENT[0].watch is not None:
        CURRENT[0].watch.close()
    return time.monotonic() - started


@call
def left_over() -> dict[str, int]:
    """Threads and sockets of this process."""
    CURRENT.clear()
    gc.collect()
    descriptors = [str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
    return {
        "threads": threading.active_count() - 1,
        "descriptors": len([d for d in descriptors if d.startswith(("socket:", "anon_inode:"))]),
    }


@call
def shut_down_the_obvious_way(peer: str) -> str:
    """What waking a connect by shutdown() does."""
    connecting = bind.start_tcp("wwan0", ip_address(peer), 81)
    with connecting.sock:
        connecting.sock.shutdown(socket.SHUT_RDWR)
        try:
            connecting.finish()
        except OSError as error:
            return type(error).__name__
    return ""


@call
def race(addresses: list[str], seconds: float = 2.0, port: int = 80) -> dict[str, Any]:
    started = time.monotonic()
    sock, proof = CURRENT[0].dialer.connect([ip_address(a) for a in addresses], port, seconds)
    sock.close()
    return {"peer": str(proof.peer), "family": proof.family, "ms": (time.monotonic() - started) * 1000}


@call
def hop(servers: list[str], hosts: list[str]) -> list[dict[str, Any]]:
    """Name to connection, one host after the other, as a chain does."""
    resolver = CURRENT[0].resolver(servers)
    hops = []
    for host in hosts:
        started = time.monotonic()
        found = resolver.resolve(host, Deadline(5))
        sock, proof = CURRENT[0].dialer.connect(found.addresses, 80, 5)
        sock.close()
        hops.append({"family": proof.family, "ms": (time.monotonic() - started) * 1000, "server": str(found.server)})
    return hops


@call
def find(name: str) -> int:
    found = netlink.device(name)
    return found.index if found else 0


# The peers.


@call
def listen() -> None:
    """Port 81 takes connections and says nothing: nobody accepts them."""
    SERVERS.extend(socket.create_server(("", 81), family=family) for family in (socket.AF_INET, socket.AF_INET6))


@call
def answer_names(addresses: list[str], late: float = 0.0) -> None:
    """Port 53 answers with an address of each family, so many seconds late."""
    for address in addresses:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 53))
        SERVERS.append(sock)
        threading.Thread(target=_answer, args=(sock, late), daemon=True).start()


def _answer(sock: socket.socket, late: float) -> None:
    import dns.message
    import dns.rdatatype
    import dns.rrset

    known = {"A": "203.0.113.1", "AAAA": "2001:db8:cafe::1"}
    while True:
        wire, client = sock.recvfrom(2000)
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        name, kind = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        if not (name.to_text().startswith("six.") and kind == "A"):
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, known[kind]))
        time.sleep(late)
        with contextlib.suppress(OSError):
            sock.sendto(reply.to_wire(), client)


if __name__ == "__main__":
    main()
