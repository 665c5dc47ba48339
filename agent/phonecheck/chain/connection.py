"""One connection whose every wait ends with its deadline, or with the link."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from phonecheck.deadline import Deadline

Wait = Callable[[Sequence[socket.socket], int, float], list[socket.socket]]
"""Sockets, poll(2) events, seconds → those that are ready, none when the time is up. Raises LinkError at a loss."""

T = TypeVar("T")


class Connection:
    """A connected socket, from here on one that does not block.

    Every method raises TimeoutError when its deadline passes, OSError when the peer breaks off, and what ``wait`` raises.

    Args:
        sock: becomes this object's own.
        wait: the only thing that ever waits. A socket's own time-outs would not notice that the link went.
    """

    def __init__(self, sock: socket.socket, wait: Wait) -> None:
        self.sock = sock
        self._wait = wait
        sock.setblocking(False)

    def receive(self, most: int, until: Deadline) -> bytes:
        """At most so many bytes; none when the peer has closed."""
        return self._complete(partial(self.sock.recv, most), select.POLLIN, until)

    def send(self, data: bytes, until: Deadline) -> None:
        """All of it."""
        sent = 0
        while sent < len(data):
            sent += self._complete(partial(self.sock.send, memoryview(data)[sent:]), select.POLLOUT, until)

    def handshake(self, context: ssl.SSLContext, server_hostname: str, until: Deadline) -> ssl.SSLSocket:
        """Begin TLS."""
        secure = context.wrap_socket(self.sock, server_hostname=server_hostname, do_handshake_on_connect=False)
        self.sock = secure
        try:
            self._complete(secure.do_handshake, select.POLLIN, until)
        except TimeoutError:
            # Its packets may be lost for their size, and come when we are gone and nothing here is bound to the link any
            # more. When the last descriptor is closed, it is told by a reset, out of the right device, to send no others.
            secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
        return secure

    def close(self) -> None:
        """Close, without waiting for the peer's own close_notify."""
        self.sock.close()

    def _complete(self, operation: Callable[[], T], events: int, until: Deadline) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                events = select.POLLIN
            except ssl.SSLWantWriteError:
                events = select.POLLOUT
            except BlockingIOError:
                pass
            if not self._wait([self.sock], events, until.remaining()) and until.expired:
                raise TimeoutError
