"""httpcore's network, rebuilt on sockets and a resolver that the caller hands in, with evidence of every step.

Nothing here can reach another interface: it opens no socket and resolves no name of its own. httpx's and httpcore's own
interface options set SO_BINDTODEVICE after connect(), so that the first packet leaves by the default route.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, Protocol

import httpcore

from phonecheck import redact
from phonecheck.chain import tls
from phonecheck.chain.connection import Connection, Wait
from phonecheck.chain.record import Record
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, CheckError, LinkError
from phonecheck.model import Family, IPAddress, Path


class Resolution(Protocol):
    """What a name resolved to, by which server, in how many milliseconds."""

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """In the resolver's order of preference."""

    @property
    def server(self) -> IPAddress | None:
        """None where no server was asked."""

    @property
    def ms(self) -> float | None:
        """None where no server was asked."""


Resolve = Callable[[str, Deadline], Resolution]
"""Raises LinkError."""
Connect = Callable[[Sequence[IPAddress], int, float], tuple[socket.socket, Path]]
"""Addresses, port, seconds → a socket that is connected to one of them, bound, proven: of two families, to whichever answers
first, the first address's having a head start. Raises LinkError, and OSError where the peers are to blame."""

_LINK_IS_GONE = {errno.ENETDOWN, errno.ENODEV, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENONET}


class Backend(httpcore.NetworkBackend):
    """One chain's network.

    Args:
        resolve: names to addresses, over the link.
        connect: connections over the link.
        refuse: says in words why an address must not be a hop, or None.
        wait: waits for a connection, and for the end of the link.
    """

    def __init__(
        self, resolve: Resolve, connect: Connect, refuse: Callable[[IPAddress], str | None], wait: Wait
    ) -> None:
        self._resolve = resolve
        self._connect = connect
        self._refuse = refuse
        self._wait = wait
        self._family: Family | None = None
        self.record: Record | None = None

    def begin(self, hop: Deadline, chain: Deadline) -> Record:
        """Start the record of the next hop; every wait from here on is bounded by its deadlines."""
        self.record = Record(hop, chain)
        return self.record

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the hop's deadline rules
        local_address: str | None = None,  # noqa: ARG002  binding to an address is not binding to a device
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002  set too late, after connect
    ) -> Stream:
        """Resolve, refuse, connect.

        Raises:
            LinkError: from resolver or socket. CheckError: hop-refused, hop-timeout, operator-error.
        """
        record = self._current()
        started = time.monotonic()
        try:
            resolution = self._resolve(host, record.hop)
        except AgentError:
            record.dns = (time.monotonic() - started) * 1000
            raise
        record.dns, record.dns_server = resolution.ms, resolution.server
        addresses = self._allowed(host, resolution.addresses)
        sock, path = self._dial(host, addresses, port, record)
        # What serves one family only is reached by it, and its record says so; the rest of the chain keeps to the first.
        self._family = self._family or path.family
        return Stream(
            Connection(sock, self._wait),
            path,
            self,
            redial=lambda: self._redial(host, path.peer, port, record),
        )

    def _redial(self, host: str, peer: IPAddress, port: int, record: Record) -> tuple[Connection, Path]:
        sock, path = self._dial(host, [peer], port, record)
        return Connection(sock, self._wait), path

    def _current(self) -> Record:
        if self.record is None:
            raise RuntimeError("begin() was not called")
        return self.record

    def _allowed(self, host: str, addresses: Sequence[IPAddress]) -> list[IPAddress]:
        reasons = {address: self._refuse(address) for address in addresses}
        allowed = [address for address, reason in reasons.items() if reason is None]
        if not allowed:
            reason = next(iter(reasons.values()), "it has no address")
            raise CheckError(
                "hop-refused",
                f"The hop {redact.text(host)} leads to an address that no hop may have: {reason}.",
                hint="Report the hop: a chain stays on the Internet and in the operator's own network.",
            )
        return allowed

    def _dial(self, host: str, addresses: Sequence[IPAddress], port: int, record: Record) -> tuple[socket.socket, Path]:
        record.reused = False
        started = time.monotonic()
        # The chain's family is tried alone first: a hop that comes from another address may be one too many (ip_mismatch).
        pinned = [address for address in addresses if address.version == self._family]
        others = [address for address in addresses if address not in pinned]
        rounds = [tried for tried in (pinned, others) if tried]
        for n, tried in enumerate(rounds):
            seconds = record.left(f"connecting to {redact.text(host)}") / (len(rounds) - n)
            try:
                sock, record.path = self._connect(tried, port, seconds)
            except OSError as error:
                failure = error
                continue
            finally:
                record.connect = (time.monotonic() - started) * 1000
            return sock, record.path
        if isinstance(failure, TimeoutError):
            record.left(f"connecting to {redact.text(host)}")
            raise CheckError("hop-timeout", f"The hop {redact.text(host)} did not answer the connection.")
        raise CheckError(
            "operator-error", f"The hop {redact.text(host)} refused the connection: {failure.strerror or failure}."
        )


class Stream(httpcore.NetworkStream):
    """One connection. Waits are bounded by the hop under way, not by httpcore's timeouts, which are per operation."""

    def __init__(
        self,
        connection: Connection,
        path: Path,
        backend: Backend,
        redial: Callable[[], tuple[Connection, Path]],
    ) -> None:
        self._connection = connection
        self._path = path
        self._backend = backend
        self._redial = redial
        self._tls_version: str | None = None

    @property
    def path(self) -> Path:
        """Its path, as read back from the kernel."""
        return self._path

    @property
    def connection(self) -> Connection:
        """The connection itself, for whoever speaks without httpcore; its errors are then not httpcore's either."""
        return self._connection

    @property
    def _record(self) -> Record:
        record = self._backend._current()  # noqa: SLF001  the other half of this module
        record.path, record.tls_version = self._path, self._tls_version
        return record

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  see the class
        """Receive.

        Raises:
            httpcore.ReadError: the peer broke off. CheckError: hop-timeout. LinkError: interface-gone.
        """
        record = self._record
        record.left("waiting for the answer")
        try:
            data = self._connection.receive(max_bytes, record.hop)
        except TimeoutError:
            raise record.too_late("waiting for the answer") from None
        except OSError as error:
            raise self._broken(error, httpcore.ReadError) from None
        if record.first_byte is None and record.request_sent is not None and data:
            record.first_byte = (time.monotonic() - record.request_sent) * 1000
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  see the class
        """Send all of it.

        Raises:
            httpcore.WriteError: the peer broke off. CheckError: hop-timeout. LinkError: interface-gone.
        """
        if not buffer:
            return
        record = self._record
        record.left("sending the request")
        try:
            self._connection.send(buffer, record.hop)
        except TimeoutError:
            raise record.too_late("sending the request") from None
        except OSError as error:
            raise self._broken(error, httpcore.WriteError) from None
        record.request_sent = time.monotonic()

    @staticmethod
    def _broken(error: OSError, kind: type[Exception]) -> Exception:
        if error.errno in _LINK_IS_GONE:
            return LinkError("interface-gone", "The link went away in the middle of the exchange.")
        return kind(type(error).__name__)

    def close(self) -> None:
        """Close, without waiting for the peer's own close_notify."""
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002  see the class
    ) -> Stream:
        """Handshake; once more with TLS 1.2, on a new connection, where the first hello was reset or not answered.

        Raises:
            CheckError: tls-failed, hop-timeout. LinkError: from the second connection.
        """
        record = self._record
        host = server_hostname or ""
        started = time.monotonic()
        try:
            # Half of what is left: the second try must fit into the same hop.
            secure = self._handshake(ssl_context, host, record, 2)
        except OSError as first:
            self.close()
            if not tls.worth_a_second_try(first):
                raise self._tls_failed(first, host, record) from None
            record.left("the TLS handshake")
            self._connection, self._path = self._redial()
            started = time.monotonic()
            try:
                secure = self._handshake(tls.second_context(), host, record, 1)
            except OSError as second:
                self.close()
                raise self._tls_failed(second, host, record) from None
        record.tls = (time.monotonic() - started) * 1000
        record.tls_version = self._tls_version = secure.version()
        return self

    def _handshake(self, context: ssl.SSLContext, host: str, record: Record, tries: int) -> ssl.SSLSocket:
        until = record.hop.within(record.left("the TLS handshake") / tries)
        # An IP literal is verified against the certificate's addresses, in the form that ipaddress writes.
        return self._connection.handshake(context, _tls_name(host), until)

    def _tls_failed(self, error: OSError, host: str, record: Record) -> Exception:
        if isinstance(error, TimeoutError):
            return record.too_late(f"the TLS handshake with {redact.text(host)}")
        if error.errno in _LINK_IS_GONE:
            return self._broken(error, httpcore.ReadError)
        words = tls.reason(error) if isinstance(error, ssl.SSLError) else error.strerror or type(error).__name__
        return CheckError("tls-failed", f"The TLS handshake with {redact.text(host)} failed: {words}.")

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for: the TLS object, the socket, and whether an idle connection has been closed."""
        sock = self._connection.sock
        if info == "ssl_object":
            return sock if isinstance(sock, ssl.SSLSocket) else None
        if info == "socket":
            return sock
        if info == "is_readable":
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            return bool(poll.poll(0))
        return None


def _tls_name(host: str) -> str:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return host
