"""Asking a link's DNS servers: every question out at once, each to one server after the other until it is answered."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from phonecheck.deadline import Deadline
from phonecheck.errors import LinkError
from phonecheck.link.path import gone
from phonecheck.link.question import Answer, Question
from phonecheck.link.waiting import Wait
from phonecheck.model import Family, IPAddress, Path

if TYPE_CHECKING:
    import dns.name

PORT = 53
HEAD_START_SECONDS = 0.25
"""What a server has before one of the other family is asked as well: a network may not carry the first one's at all."""


class UdpSocket(Protocol):
    """:func:`phonecheck.link.bind.udp_socket`, or a test's own."""

    def __call__(
        self, interface: str, peer: IPAddress, port: int, *, sources: Collection[IPAddress]
    ) -> tuple[socket.socket, Path]:
        """A connected socket that does not block."""


class ConnectTcp(Protocol):
    """:func:`phonecheck.link.bind.connect_tcp`, or a test's own."""

    def __call__(
        self, interface: str, peer: IPAddress, port: int, *, timeout: float, sources: Collection[IPAddress]
    ) -> tuple[socket.socket, Path]:
        """A connected socket."""


@dataclass(slots=True)
class Inquiry:
    """The search for a name's addresses of one family: whom it went to, what they said.

    ``answer`` is the one that settled it, from ``server``; None where no server would or could. ``failures`` are words, or
    what the socket raised.
    """

    name: dns.name.Name
    family: Family
    asked: list[IPAddress] = field(default_factory=list)
    failures: dict[IPAddress, str | LinkError] = field(default_factory=dict)
    answer: Answer | None = None
    server: IPAddress | None = None
    due: float = 0.0

    def failed(self, server: IPAddress, why: str | LinkError) -> None:
        """Take a server out; the next one is due at once."""
        self.failures[server] = why
        self.due = 0.0


@dataclass(slots=True)
class Servers:
    """A link's DNS servers, the preferred one first, and the way to them.

    Attributes:
        patience: seconds that a server has before the next one is asked as well; its late answer is still taken.
        grace: seconds that the other family's answer has once one is there: some servers never answer for AAAA.
        wait: waits for answers, and for the end of the link.
    """

    interface: str
    addresses: list[IPAddress]
    sources: Collection[IPAddress]
    udp_socket: UdpSocket
    connect_tcp: ConnectTcp
    patience: float
    grace: float
    wait: Wait
    without_edns: set[IPAddress] = field(default_factory=set)

    def ask(self, names: Mapping[Family, dns.name.Name], deadline: Deadline) -> list[Inquiry]:
        """Ask for the addresses of a name of each family; an inquiry without an answer ran out of time or of servers.

        Raises:
            LinkError: interface-gone, bind-refused, wrong-path.
        """
        inquiries = [Inquiry(name, family) for family, name in names.items()]
        with _Round(self, inquiries, deadline) as round_:
            round_.run()
        return inquiries

    def prefer(self, server: IPAddress) -> None:
        """Ask this server first from now on: a dead one before it then costs a chain its wait once, not at each hop."""
        self.addresses.remove(server)
        self.addresses.insert(0, server)


class _Round:
    """The sockets of the inquiries under way. A socket stays open when the next server is asked, for late answers."""

    def __init__(self, servers: Servers, inquiries: list[Inquiry], deadline: Deadline) -> None:
        self._servers = servers
        self._inquiries = inquiries
        self._deadline = deadline
        self._grace: float | None = None
        self._sockets = ExitStack()
        self._asked: dict[socket.socket, tuple[Question, IPAddress, Inquiry]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sockets.close()

    def run(self) -> None:
        while True:
            for inquiry in self._pending():
                if time.monotonic() >= inquiry.due:
                    self._ask_next(inquiry)
            wait = self._wait()
            if wait <= 0:
                return
            for sock in self._servers.wait(list(self._asked), select.POLLIN, wait):
                self._receive(sock, *self._asked[sock])

    def _pending(self) -> list[Inquiry]:
        """What a further question or answer can still settle."""
        alive = set(self._servers.addresses)
        return [i for i in self._inquiries if i.answer is None and alive - set(i.failures)]

    def _wait(self) -> float:
        """Seconds until something is to be done, at most; 0 if nothing is."""
        pending, now = self._pending(), time.monotonic()
        answers = [i.answer for i in self._inquiries if i.answer is not None]
        if not pending or any(a.kind == "no-name" for a in answers):
            return 0.0
        if self._grace is None and any(a.kind in ("addresses", "alias") for a in answers):
            self._grace = now + self._servers.grace
        left = self._deadline.remaining() if self._grace is None else min(self._deadline.remaining(), self._grace - now)
        # What is due now is sent in the next turn of the loop, so the wait must not be the 0 that ends it.
        return min(left, max(0.0001, min(i.due for i in pending) - now))

    def _ask_next(self, inquiry: Inquiry) -> None:
        families = {server.version for server in inquiry.asked}
        # One of the family that is not silent yet before one that may be as deaf as the first.
        ours = sorted(self._servers.addresses, key=lambda s: (inquiry.asked.count(s), s.version in families))
        for server in ours:
            if server not in inquiry.failures and self._send(inquiry, server):
                return

    def _send(self, inquiry: Inquiry, server: IPAddress) -> bool:
        ours = self._servers
        question = Question(inquiry.name, inquiry.family, edns=server not in ours.without_edns)
        inquiry.asked.append(server)
        try:
            sock, _ = ours.udp_socket(ours.interface, server, PORT, sources=ours.sources)
            self._sockets.callback(sock.close)
            sock.send(question.wire)
        except LinkError as error:
            if error.code != "no-route":
                raise
            inquiry.failed(server, error)
            return False
        except OSError as error:
            inquiry.failed(server, self._words(error))
            return False
        untried = {s.version for s in ours.addresses} - {s.version for s in inquiry.asked}
        inquiry.due = time.monotonic() + (min(HEAD_START_SECONDS, ours.patience) if untried else ours.patience)
        self._asked[sock] = (question, server, inquiry)
        return True

    def _receive(self, sock: socket.socket, question: Question, server: IPAddress, inquiry: Inquiry) -> None:
        try:
            wire = sock.recv(65535)
        except BlockingIOError:  # a datagram with a bad checksum wakes poll and is gone
            return
        except OSError as error:
            self._answered(sock)
            inquiry.failed(server, self._words(error))
            return
        answer = question.read(wire)
        if answer is None:  # noise or forgery: the true answer may still come
            return
        self._answered(sock)
        if inquiry.answer is not None:
            return
        if answer.kind == "no-edns":
            self._servers.without_edns.add(server)
            self._send(inquiry, server)
            return
        if answer.kind == "truncated":
            answer = self._over_tcp(question, server)
        self._settle(inquiry, server, answer)

    def _answered(self, sock: socket.socket) -> None:
        """Take note that nothing more is to come, in a way that closing.py sees: it sends nothing."""
        del self._asked[sock]
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def _settle(self, inquiry: Inquiry, server: IPAddress, answer: Answer | None) -> None:
        if answer is None or answer.kind in ("failed", "truncated", "no-edns"):
            inquiry.failed(server, f"said {answer.rcode}" if answer and answer.rcode else "broke off")
            return
        inquiry.answer, inquiry.server = answer, server
        self._servers.prefer(server)

    def _over_tcp(self, question: Question, server: IPAddress) -> Answer | None:
        """The same question by TCP (RFC 7766), as the datagram could not hold the answer; it is rare, so others wait."""
        ours = self._servers
        limit = self._deadline.within(2 * ours.patience)
        try:
            sock, _ = ours.connect_tcp(
                ours.interface, server, PORT, timeout=max(0.001, limit.remaining()), sources=ours.sources
            )
            with sock:
                sock.settimeout(max(0.001, limit.remaining()))
                sock.sendall(struct.pack("!H", len(question.wire)) + question.wire)
                (length,) = struct.unpack("!H", self._exactly(sock, 2, limit))
                return question.read(self._exactly(sock, length, limit))
        except (OSError, EOFError):
            return None

    def _exactly(self, sock: socket.socket, count: int, limit: Deadline) -> bytes:
        data = b""
        while len(data) < count:
            # Not the socket's own time-out, which would be renewed by each byte, and blind to the end of the link.
            if not self._servers.wait([sock], select.POLLIN, limit.remaining()):
                raise TimeoutError
            more = sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _words(self, error: OSError) -> str:
        # Of a UDP socket these are the kernel's own words: what routers far away say of a host or net is not passed on.
        if error.errno in (errno.ENODEV, errno.ENETDOWN, errno.ENETUNREACH):
            raise gone(self._servers.interface, "went away") from None
        return "refused" if error.errno == errno.ECONNREFUSED else "cannot be reached"
