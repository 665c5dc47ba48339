"""The end of an exchange's sockets: closed when their peers have closed, so that nothing answers for them by another route.

When a packet comes in for a connection that is no longer there, the kernel answers with a reset, and for a datagram with
"port unreachable". A reset that belongs to a socket leaves by the socket's device; one for a socket that is gone has no
device to keep to, and is routed like any packet of the host (``tcp_v4_send_reset``: "When socket is gone, all binding
information is lost"): out of ``lan0``, from the modem's address, to the operator. A FIN that crosses our close is enough,
and an answer that was cut off gave 52 of them at 60 ms.

So each socket is held open here by a second descriptor from before its first packet, whoever closes the first. At the end
of the exchange our side of every connection is closed (FIN), and what still comes is taken in, until the peers have
closed theirs. A peer that sends without end is not read: its window fills and it falls silent, but for a probe every now
and then, 0.2 s and more apart; just after one, it is reset, by the socket, out of the right device.

A signal ends the process at once; a child that it forks off then does the same (cli/leaving.py).

What is left: a peer that is silent for longer than we wait and then speaks, and a process that is killed by SIGKILL. A
policy rule for the link's address covers those as well, where the agent may set one.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time

WAIT_SECONDS = 1.5
"""How long peers have to close; on a link with 60 ms round trips they take 60 to 120 ms."""
_TAKEN_IN = 64 * 1024
_QUIET_SECONDS = 0.1
_LOOK_SECONDS = 0.005
_SEGMENTS_IN = 140
"""Where struct tcp_info (linux/tcp.h) has tcpi_segs_in: every segment that came, zero-window probes among them."""


class Closing:
    """Holds every socket of an exchange, and closes them together. Threads: hold from any, the rest from one.

    Args:
        wait: seconds that peers have to close.
    """

    def __init__(self, wait: float = WAIT_SECONDS) -> None:
        self._wait = wait
        self._held: list[socket.socket] = []
        self._leaving: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def hold(self, sock: socket.socket) -> None:
        """Keep the connection open, whoever else closes it."""
        self._held.append(socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno())))

    def begin(self) -> None:
        """Take leave of the peers of all that is held, without waiting for them."""
        held, self._held = self._held, []
        if held:
            self._leaving += held
            thread = threading.Thread(target=_close, args=(held, time.monotonic() + self._wait), daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Wait until all is closed: at most as long as peers have, mostly one round trip from :meth:`begin`."""
        self.begin()
        for thread in self._threads:
            thread.join(self._wait + 0.5)
        self._threads.clear()

    def linger(self) -> None:
        """Close all in a process that was forked off from one that ends at once; takes all the time that peers have.

        What is under way has no thread here that would still close it: the answer to a question and to a SYN come in too.
        """
        held = [sock for sock in (*self._leaving, *self._held) if sock.fileno() != -1]
        if held:
            until = time.monotonic() + self._wait
            _close([sock for sock in held if sock.type == socket.SOCK_STREAM], until)
            time.sleep(max(0.0, until - time.monotonic()))


def _close(sockets: list[socket.socket], until: float) -> None:
    poll = select.poll()
    speaking = {sock.fileno(): _Peer(sock) for sock in sockets if _said_goodbye(sock)}
    for descriptor in speaking:
        poll.register(descriptor, select.POLLIN)
    while speaking and (left := until - time.monotonic()) > 0:
        flooding = {descriptor: peer for descriptor, peer in speaking.items() if peer.floods}
        for descriptor, _ in poll.poll((min(left, _LOOK_SECONDS) if flooding else left) * 1000):
            peer = speaking[descriptor]
            if not peer.take_in():
                del speaking[descriptor]
                poll.unregister(descriptor)
            elif peer.floods:
                poll.unregister(descriptor)
        for descriptor, peer in flooding.items():
            if peer.has_just_probed():
                peer.sock.close()
                del speaking[descriptor]
    for sock in sockets:
        sock.close()


def _said_goodbye(sock: socket.socket) -> bool:
    """Close our side; whether there is another one to wait for."""
    try:
        if sock.type != socket.SOCK_STREAM:
            return False
        sock.getpeername()  # a connection that never came about is not waited for: it had its time
        sock.shutdown(socket.SHUT_WR)
        sock.setblocking(False)
    except OSError:
        return False
    return True


class _Peer:
    """A connection whose other side has not closed yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._taken_in = 0
        self._segments = self._unread = 0
        self._last_segment = time.monotonic()

    @property
    def floods(self) -> bool:
        """Whether it has said so much that it is not read any more."""
        return self._taken_in > _TAKEN_IN

    def take_in(self) -> bool:
        """Read and drop; false when the peer has closed, by FIN or reset."""
        try:
            size = len(self.sock.recv(16384))
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._taken_in += size
        return size > 0

    def has_just_probed(self) -> bool:
        """Whether a segment without data came in right now, after a silence: nothing else of it is on its way then."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS_IN + 4)
        (segments,) = struct.unpack_from("=I", info, _SEGMENTS_IN)
        if segments == self._segments:
            return False
        now, unread = time.monotonic(), self._count_unread()
        probed = unread == self._unread and now - self._last_segment > _QUIET_SECONDS
        self._segments, self._unread, self._last_segment = segments, unread, now
        return probed

    def _count_unread(self) -> int:
        size = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.FIONREAD, size)
        return size[0]
