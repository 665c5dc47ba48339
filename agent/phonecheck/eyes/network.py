"""What is behind the link, asked over it: on the sockets, and by the code, that a check has."""

from __future__ import annotations

import json
import math
import queue
import socket
import ssl
import struct
import time
from contextlib import closing
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from phonecheck import exchange
from phonecheck.aside import Aside
from phonecheck.chain import tls
from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.link import Links
from phonecheck.doctor.ports.network import Answer, Connected, Hello, Plain, Said, Secure
from phonecheck.errors import AgentError, CheckError, DeadlineExceeded
from phonecheck.eyes import request
from phonecheck.eyes.once import Once
from phonecheck.model import IPAddress
from phonecheck.redact import Secret

if TYPE_CHECKING:
    from phonecheck.chain.backend import Stream
    from phonecheck.link.resolve import Resolver
    from phonecheck.session import Session

CAP_SECONDS = 4.0
"""What one question may take: the ladder's other rungs are to have their time as well."""
_DNS_SECONDS = 3.0
_LATECOMERS_SECONDS = 1.0
"""What a DNS server has after another one has answered; whoever takes longer costs a check its wait, or is never asked."""
_OTHER_SECONDS = 2.0
_HTTPS, _HTTP = 443, 80
_UNACKNOWLEDGED = 24
"""Where struct tcp_info (linux/tcp.h) has tcpi_unacked: segments that were sent, and nobody said they had come."""
_OF_A_NAME = frozenset({"name-not-found", "resolver-silent", "no-route"})


class RealNetwork:
    """The platform's host, and what the app server names, over the session's link.

    Args:
        session: holds the sockets.
        settings: which platform.
        links: prepares the link.
    """

    def __init__(self, session: Session, settings: Settings, links: Links) -> None:
        self._session = session
        self._links = links
        platform = urlsplit(settings.chain.platform)
        self._host, self._port = platform.hostname or "", platform.port or _HTTPS
        self._other = settings.server.url or ""
        self._names: Resolver | None = None
        self._said, self._plain, self._connected = Once[tuple[Said, ...]](), Once[Plain | None](), Once[Connected]()
        self._secured, self._dated, self._context = Once[Secure](), Once[float | None](), Once[ssl.SSLContext]()

    @property
    def host(self) -> str:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        return self._host

    def ask_servers(self, deadline: Deadline) -> tuple[Said, ...]:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        return self._said(lambda: self._ask_servers(deadline.within(_DNS_SECONDS)))

    def plain(self, deadline: Deadline) -> Plain | None:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        # Where port 80 is silent, the other port often is as well: one wait for both.
        Aside(lambda: self.connect(deadline), "connect")
        return self._plain(lambda: self._ask_plainly(deadline.within(CAP_SECONDS)))

    def connect(self, deadline: Deadline) -> Connected:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        return self._connected(lambda: self._connect(deadline.within(CAP_SECONDS)))

    def secure(self, deadline: Deadline) -> Secure:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        return self._secured(lambda: self._secure(deadline.within(CAP_SECONDS)))

    def date(self, deadline: Deadline) -> float | None:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        return self._dated(lambda: self._date(deadline.within(CAP_SECONDS)))

    def lets_others(self, deadline: Deadline) -> bool | None:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        other = urlsplit(self._other)
        if other.scheme != "https" or other.hostname in (None, self._host):
            return None
        try:
            with closing(self._dial(str(other.hostname), other.port or _HTTPS, deadline.within(_OTHER_SECONDS))):
                return True
        except AgentError as error:
            # A name that only other networks know, or an address of the device's own LAN, tells nothing of the APN.
            return False if error.code == "hop-timeout" else None

    def full_size(self, deadline: Deadline, segment: int | None = None) -> Hello:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        from phonecheck.chain.connection import Connection
        from phonecheck.link import bind

        link = self._links.prepared(deadline)
        peer, holder = self.connect(deadline).path.peer, self._session.of_chain
        started = time.monotonic()
        try:
            sock, _ = bind.connect_tcp(
                link.interface,
                peer,
                self._port,
                timeout=deadline.remaining(),
                sources=tuple(a.ip for a in link.addresses),
                hold=holder.hold,
                wait=holder.wait,
                segment=segment,
            )
        except OSError as error:
            raise CheckError("hop-timeout", f"{self._host} did not answer a second connection.") from error
        size = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        connection = Connection(sock, holder.wait)
        stuck: Literal["", "sent", "received"] = ""
        answered = True
        try:
            connection.handshake(tls.large_context(), self._host, deadline)
        except TimeoutError:
            answered, stuck = False, "sent" if _unacknowledged(connection.sock) else "received"
        except OSError:  # an alert or a reset: whoever sends it has read the hello
            pass
        finally:
            connection.close()
        return Hello(answered, stuck, size, (time.monotonic() - started) * 1000)

    def get(self, url: str, token: Secret, deadline: Deadline) -> Answer:
        """See :class:`phonecheck.doctor.ports.network.Network`."""
        to = urlsplit(url)
        if to.scheme != "https" or not to.hostname or to.username is not None:
            raise CheckError("bad-check-url", "The token is for a URL that is not https, or has no host.")
        target = (to.path or "/") + (f"?{to.query}" if to.query else "")
        headers = {"Authorization": f"Bearer {token.value}"}
        within = deadline.within(CAP_SECONDS)
        with closing(self._dial(to.hostname, to.port or _HTTPS, within)) as stream:
            stream.start_tls(self._verifying(), to.hostname)
            answer = request.get(stream.connection, to.netloc, target, headers, within)
        return Answer(answer.status, _object(answer.body), answer.date)

    def _ask_servers(self, deadline: Deadline) -> tuple[Said, ...]:
        link = self._links.prepared(deadline)
        resolvers = {s: exchange.resolver(link, self._session.of_chain, [s]) for s in link.dns}
        told: queue.SimpleQueue[Said | BaseException] = queue.SimpleQueue()

        def ask(server: IPAddress, resolver: Resolver) -> None:
            try:
                told.put(self._ask(server, resolver, deadline))
            except BaseException as error:  # noqa: BLE001  raised again where the answers are awaited
                told.put(error)

        for server, resolver in resolvers.items():
            Aside(lambda server=server, resolver=resolver: ask(server, resolver), "dns")  # type: ignore[misc]
        said: dict[IPAddress, Said] = {}
        until = deadline
        while len(said) < len(resolvers):
            try:
                answer = told.get(timeout=until.remaining())
            except queue.Empty:
                break
            if isinstance(answer, BaseException):
                raise answer
            said[answer.server] = answer
            if answer.kind in ("addresses", "unknown") and until is deadline:
                until = deadline.within(_LATECOMERS_SECONDS)
        in_order = tuple(said.get(server) or Said(server, "silent") for server in link.dns)
        known = next((s.server for s in in_order if s.kind == "addresses"), None)
        self._names = None if known is None else resolvers[known]
        return in_order

    def _ask(self, server: IPAddress, resolver: Resolver, deadline: Deadline) -> Said:
        try:
            found = resolver.resolve(self._host, deadline)
        except DeadlineExceeded:
            return Said(server, "silent")
        except AgentError as error:
            if error.code not in _OF_A_NAME:
                raise
            if error.code == "name-not-found":
                return Said(server, "unknown", error=error)
            return Said(server, "silent") if deadline.expired else Said(server, "failed", error=error)
        return Said(server, "addresses", found.addresses, found.ms)

    def _ask_plainly(self, deadline: Deadline) -> Plain | None:
        try:
            answer = self._head(_HTTP, None, deadline)
        except CheckError:
            return None
        elsewhere = ""
        if 300 <= answer.status < 400 and answer.location:
            try:
                elsewhere = urlsplit(answer.location).hostname or ""
            except ValueError:
                elsewhere = "an unreadable address"
        return Plain(answer.status, elsewhere, answer.date)

    def _connect(self, deadline: Deadline) -> Connected:
        started = time.monotonic()
        with closing(self._dial(self._host, self._port, deadline)) as stream:
            return Connected(stream.path, (time.monotonic() - started) * 1000)

    def _secure(self, deadline: Deadline) -> Secure:
        started = time.monotonic()
        try:
            stream = self._dial(self._host, self._port, deadline)
            with closing(stream):
                stream.start_tls(self._verifying(), self._host)
                sock = stream.connection.sock
                version = (sock.version() or "") if isinstance(sock, ssl.SSLSocket) else ""
        except CheckError as error:
            return Secure(fault=error, of_dates=tls.hinges_on_date(error))
        return Secure(version, (time.monotonic() - started) * 1000)

    def _date(self, deadline: Deadline) -> float | None:
        plain = self.plain(deadline)
        if plain is not None and plain.date is not None:
            return plain.date
        try:
            return self._head(self._port, tls.unverified_context(), deadline).date
        except CheckError:
            return None

    def _head(self, port: int, context: ssl.SSLContext | None, deadline: Deadline) -> request.Response:
        """The head of the answer to a request that says nothing of this device."""
        with closing(self._dial(self._host, port, deadline)) as stream:
            if context is not None:
                stream.start_tls(context, self._host)
            return request.get(stream.connection, self._host, "/", {}, deadline, cap=0)

    def _dial(self, host: str, port: int, deadline: Deadline) -> Stream:
        link = self._links.prepared(deadline)
        if host == self._host:
            self.ask_servers(deadline)
        network = exchange.backend(link, self._session.of_chain, self._names if host == self._host else None)
        # Of two deadlines that pass at once, the whole command's would be the error, and say nothing of the host.
        network.begin(deadline, Deadline(math.inf))
        return network.connect_tcp(host, port)

    def _verifying(self) -> ssl.SSLContext:
        """As a chain's own; made once, for the certificates take 16 ms to read."""

        def make() -> ssl.SSLContext:
            context = tls.first_context()
            context.set_alpn_protocols(["http/1.1"])
            return context

        return self._context(make)


def _unacknowledged(sock: socket.socket) -> int:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKNOWLEDGED + 4)
    (segments,) = struct.unpack_from("=I", info, _UNACKNOWLEDGED)
    return int(segments)


def _object(body: bytes) -> dict[str, object]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
