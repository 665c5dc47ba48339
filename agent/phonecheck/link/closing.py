"""The end of an exchange's sockets: closed when their peers have closed, so that nothing answers for them by another route.

When a packet comes in for a connection that is no longer there, the kernel answers with a reset, and for a datagram with
"port unreachable". A reset that belongs to a socket leaves by the socket's device; one for a socket that is gone has no
device to keep to, and is routed like any packet of the host (``tcp_v4_send_reset``: "When socket is gone, all binding
information is lost"): out of ``lan0``, from the modem's address, to the operator. A FIN that crosses our close is enough,
and an answer that was cut off gave 52 of them at 60 ms.

So each socket is held open here by a second descriptor from before its first packet, whoever closes the first. At the end
of the exchange our side of every connection is closed (FIN), and what still comes is taken in, until the peers have
closed theirs. A peer that sends without end is not read: its window fills, it falls silent, and only then is it reset,
by the socket, out of the right device.

What is left: a peer that is silent for longer than we wait and then speaks, and a process that is killed. A policy rule
for the link's address covers those as well, where the agent may set one.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time

WAIT_SECONDS = 1.0
"""How long peers have to close; on a link with 60 ms round trips they take 60 to 120 ms."""
_TAKEN_IN = 64 * 1024


class Closing:
    """Holds every socket of an exchange, and closes them together. Threads: hold from any, the rest from one."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def hold(self, sock: socket.socket) -> None:
        """Keep the connection open, whoever else closes it."""
        self._held.append(socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno())))

    def begin(self) -> None:
        """Take leave of the peers of all that is held, without waiting for them."""
        held, self._held = self._held, []
        if held:
            thread = threading.Thread(target=_close, args=(held, time.monotonic() + WAIT_SECONDS), daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Wait until all is closed: at most :data:`WAIT_SECONDS`, mostly one round trip from :meth:`begin`."""
        self.begin()
        for thread in self._threads:
            thread.join(WAIT_SECONDS + 0.5)
        self._threads.clear()


def _close(sockets: list[socket.socket], until: float) -> None:
    speaking: dict[int, tuple[socket.socket, int]] = {}
    poll = select.poll()
    for sock in sockets:
        if sock.type == socket.SOCK_STREAM and _said_goodbye(sock):
            sock.setblocking(False)
            speaking[sock.fileno()] = (sock, 0)
            poll.register(sock, select.POLLIN)
    while speaking:
        left = until - time.monotonic()
        if left <= 0:
            break
        for descriptor, _ in poll.poll(left * 1000):
            sock, taken = speaking[descriptor]
            size = _take_in(sock)
            taken += size
            if not size or taken > _TAKEN_IN:
                poll.unregister(sock)
                if size:
                    # Silent soon, when its window is full; it keeps its place among those that are waited for.
                    continue
                del speaking[descriptor]
                continue
            speaking[descriptor] = (sock, taken)
    for sock in sockets:
        sock.close()


def _said_goodbye(sock: socket.socket) -> bool:
    try:
        sock.getpeername()  # a connection that never came about is not waited for: it had its time
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return False
    return True


def _take_in(sock: socket.socket) -> int:
    """Bytes read and dropped; 0 when the peer has closed, by FIN or reset."""
    with contextlib.suppress(BlockingIOError):
        try:
            return len(sock.recv(16384))
        except BlockingIOError:
            raise
        except OSError:
            return 0
    return 1
