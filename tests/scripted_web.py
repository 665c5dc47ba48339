"""A web of scripted hosts on loopback, over real TLS, and a backend whose sockets lead there."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import trustme

from phonecheck.chain.backend import Backend
from phonecheck.chain.run import Chain
from phonecheck.chain.url import parse_check_url
from phonecheck.config import Chain as Limits
from phonecheck.deadline import Deadline
from phonecheck.errors import LinkError
from phonecheck.model import ChainEnd, Hop, IPAddress, Path

PLATFORM, MNO, ENRICH = "api.platform.example", "id.mno.example", "he.mno.example"


@dataclass(frozen=True)
class Seen:
    """One request as it came: head decoded, names of headers in lower case."""

    host: str
    target: str
    headers: dict[str, str]
    tls: bool
    connection: int


Reply = bytes | list[bytes] | None
"""The bytes of an answer, in pieces where the pieces matter; None closes without one."""


def answer(status: int, body: bytes = b"", *headers: str, length: bool = True) -> bytes:
    """An HTTP/1.1 answer to the letter."""
    lines = [f"HTTP/1.1 {status} X", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(location: str, *headers: str, status: int = 302) -> bytes:
    """A redirect with an empty body."""
    return answer(status, b"", f"Location: {location}", *headers)


@dataclass
class Web:
    """Every host of the chain, on one TLS and one plain port of loopback."""

    ca: trustme.CA
    handler: Callable[[Seen], Reply] = lambda seen: answer(404)
    requests: list[Seen] = field(default_factory=list)
    keep: bool = True
    certificates: dict[str, ssl.SSLContext] = field(default_factory=dict)
    _listeners: list[socket.socket] = field(default_factory=list)
    connections: int = 0

    def start(self) -> None:
        for tls in (False, True):
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, tls), daemon=True).start()

    def stop(self) -> None:
        for listener in self._listeners:
            listener.close()

    def port(self, port: int) -> int:
        return self._listeners[port == 443].getsockname()[1]

    def context(self, host: str) -> ssl.SSLContext:
        if host not in self.certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ca.issue_cert(host).configure_cert(context)
            self.certificates[host] = context
        return self.certificates[host]

    def _accept(self, listener: socket.socket, tls: bool) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            # Else Nagle's algorithm and the delayed ACK hold each handshake up for 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, tls, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, tls: bool, number: int) -> None:
        try:
            if tls:
                base = self.context(PLATFORM)
                base.sni_callback = lambda s, name, _: setattr(s, "context", self.context(name or PLATFORM))
                sock = base.wrap_socket(sock, server_side=True)
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = sock.recv(65536)
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
                seen = Seen(headers.get("host", ""), lines[0].split(" ")[1], headers, tls, number)
                self.requests.append(seen)
                reply = self.handler(seen)
                if reply is None:
                    return
                for piece in [reply] if isinstance(reply, bytes) else reply:
                    sock.sendall(piece)
                if not self.keep:
                    return
        except OSError:
            pass
        finally:
            sock.close()


@dataclass(frozen=True)
class Found:
    addresses: tuple[IPAddress, ...]
    server: IPAddress | None
    ms: float | None = 1.0


@dataclass
class Opener:
    """Opens a chain in the web, and keeps its hops."""

    web: Web
    hops: list[Hop] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    refuse: Callable[[IPAddress], str | None] = lambda address: None
    addresses: dict[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    dial: Callable[[int, float], socket.socket] | None = None
    """Port and seconds to a socket; the web's own ports where nothing else is said."""
    sources: dict[int, IPAddress] = field(
        default_factory=lambda: {4: IPv4Address("10.64.0.2"), 6: IPv6Address("2001:db8:64::2")}
    )
    connects: list[tuple[IPAddress, ...]] = field(default_factory=list)
    unanswered: set[int] = field(default_factory=set)
    """The address families by which nothing answers."""
    lost: LinkError | None = None
    """What the waits raise from now on; :meth:`lose` also wakes those that are under way."""
    _alarm: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def __call__(self, url: str, seconds: float = 5, redirect_url: str | None = None, **limits: object) -> ChainEnd:
        deadline = Deadline(seconds)
        chain = Chain(
            Backend(self._resolve, self._connect, self.refuse, self.wait),
            self._client_context(),
            limits=Limits(**limits),  # type: ignore[arg-type]
            platform_headers={"x-tru-sdk-request": "id-of-request"},
            deadline=deadline,
            on_hop=self.hops.append,
            redirect_url=redirect_url,
        )
        return chain.open(parse_check_url(url))

    def _client_context(self) -> ssl.SSLContext:
        # Not create_default_context: the system's roots take 16 ms to read, and none of them signed anything here.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.web.ca.configure_trust(context)
        return context

    def _resolve(self, host: str, deadline: Deadline) -> Found:
        self.resolved.append(host)
        return Found(self.addresses.get(host, (IPv4Address("203.0.113.1"),)), IPv4Address("10.0.0.53"))

    def _connect(self, addresses: Sequence[IPAddress], port: int, seconds: float) -> tuple[socket.socket, Path]:
        self.connects.append(tuple(addresses))
        answering = [address for address in addresses if address.version not in self.unanswered]
        if not answering:
            raise TimeoutError
        dial = self.dial or (
            lambda port, seconds: socket.create_connection(("127.0.0.1", self.web.port(port)), seconds)
        )
        sock = dial(port, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, Path("wwan0", self.sources[answering[0].version], answering[0], port)

    def lose(self, error: LinkError) -> None:
        self.lost = error
        self._alarm[1].send(b"x")

    def wait(self, sockets: Sequence[socket.socket], events: int, seconds: float) -> list[socket.socket]:
        poll = select.poll()
        poll.register(self._alarm[0], select.POLLIN)
        for sock in sockets:
            poll.register(sock, events)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if self.lost is not None:
            raise self.lost
        return [sock for sock in sockets if sock.fileno() in ready]

    def close(self) -> None:
        for sock in self._alarm:
            sock.close()
