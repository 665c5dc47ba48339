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

A connection that is still being made, because another one came first, is held until it has come about or had its time, and
so is a question that nobody has answered.

When the link goes, whoever waits is woken, and no socket is touched: what went may have been ModemManager alone, and
packets still come in. shutdown() would wake them too, but for a socket that is still connecting it makes the kernel
forget the connection (measured: ECONNRESET at once, and for the late SYN-ACK three packets out of lan0), and for one that
has SHUT_RDWR done to it makes it reset what still comes.

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
import weakref
from collections.abc import Collection, Sequence
from ipaddress import ip_address

from phonecheck.errors import LinkError
from phonecheck.link import netlink, waiting

WAIT_SECONDS = 1.5
"""How long peers have to close; on a link with 60 ms round trips they take 60 to 120 ms."""
_TAKEN_IN = 64 * 1024
_QUIET_SECONDS = 0.1
_LOOK_SECONDS = 0.005
_SEGMENTS_IN = 140
"""Where struct tcp_info (linux/tcp.h) has tcpi_segs_in: every segment that came, zero-window probes among them."""
_SYN_SENT = 2
"""Of tcpi_state, the first octet of struct tcp_info (net/tcp_states.h)."""


class Closing:
    """Holds every socket of an exchange, wakes whoever waits for one when the link goes, and closes them together.

    Threads: hold, wait and abort from any, the rest from one.

    Args:
        wait: seconds that peers have to close.
    """

    def __init__(self, wait: float = WAIT_SECONDS) -> None:
        self._seconds = wait
        self._lost: LinkError | None = None
        self._lock = threading.Lock()
        self._held: list[_Peer] = []
        self._leaving: list[_Peer] = []
        self._threads: list[threading.Thread] = []
        self._alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._alarm)

    def hold(self, sock: socket.socket) -> None:
        """Keep the connection open, whoever else closes it.

        Raises:
            LinkError: the link has gone, and nothing more is to be sent.
        """
        with self._lock:
            if self._lost is not None:
                raise self._lost
            held = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
            self._held.append(_Peer(held, time.monotonic() + self._seconds))

    def wait(self, sockets: Sequence[socket.socket], events: int, seconds: float) -> list[socket.socket]:
        """Wait until one of the sockets is ready, as :func:`phonecheck.link.waiting.wait` does.

        Raises:
            LinkError: the link has gone, before or by now.
        """
        ready = waiting.wait(sockets, events, seconds, alarm=self._alarm)
        if self._lost is not None:
            raise self._lost
        return ready

    def sleep(self, seconds: float) -> None:
        """Wait for nothing but the time, or the end of the link.

        Raises:
            LinkError: the link has gone, before or by now.
        """
        self.wait((), 0, seconds)

    def abort(self, error: LinkError) -> None:
        """Let everybody who waits, or would, have ``error`` now: the link has gone. Only the first one counts."""
        with self._lock:
            if self._lost is None:
                self._lost = error
                os.eventfd_write(self._alarm, 1)

    def begin(self) -> None:
        """Take leave of the peers of all that is held, without waiting for them."""
        with self._lock:
            held, self._held = self._held, []
        if self._lost is not None:
            held = _without_unreachable(held)
        if held:
            self._leaving += held
            thread = threading.Thread(target=_close, args=(held, time.monotonic() + self._seconds), daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Wait until all is closed: at most as long as peers have, mostly one round trip from :meth:`begin`."""
        self.begin()
        for thread in self._threads:
            thread.join(self._seconds + 0.5)
        self._threads.clear()

    def linger(self) -> None:
        """Close all in a process that was forked off from one that ends at once; takes all the time that peers have.

        What is under way has no thread here that would still close it: the answer to a question and to a SYN come in too.
        """
        held = [peer for peer in (*self._leaving, *self._held) if peer.sock.fileno() != -1]
        if held:
            until = time.monotonic() + self._seconds
            _close([peer for peer in held if peer.sock.type == socket.SOCK_STREAM], until)
            time.sleep(max(0.0, until - time.monotonic()))


def _without_unreachable(held: Sequence[_Peer]) -> list[_Peer]:
    """Close those to whose device or address nothing can come in any more; the others are left."""
    try:
        own = {a.interface.ip for a in netlink.addresses()}
    except LinkError:
        return list(held)
    left = []
    for peer in held:
        if _reachable(peer.sock, own):
            left.append(peer)
        else:
            peer.sock.close()
    return left


def _reachable(sock: socket.socket, own: Collection[object]) -> bool:
    try:
        name = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).split(b"\0")[0]
        source = ip_address(sock.getsockname()[0].partition("%")[0])
    except OSError:  # the device was deleted
        return False
    device = netlink.device(os.fsdecode(name)) if name else None
    return not name or (device is not None and device.up and device.carrier and source in own)


def _close(peers: Sequence[_Peer], until: float) -> None:
    staying = {peer.sock.fileno(): peer for peer in peers if peer.take_leave(until)}
    while staying := {descriptor: peer for descriptor, peer in staying.items() if peer.until > time.monotonic()}:
        flooding = {descriptor: peer for descriptor, peer in staying.items() if peer.floods}
        poll = select.poll()
        for descriptor, peer in staying.items():
            if descriptor not in flooding:
                poll.register(descriptor, peer.events)
        left = max(0.0, min(peer.until for peer in staying.values()) - time.monotonic())
        for descriptor, _ in poll.poll((min(left, _LOOK_SECONDS) if flooding else left) * 1000):
            if not staying[descriptor].advance():
                del staying[descriptor]
        for descriptor, peer in flooding.items():
            if peer.has_just_probed():
                peer.sock.close()
                del staying[descriptor]
    for peer in peers:
        peer.sock.close()


class _Peer:
    """A socket whose other side has not said its last word yet.

    Attributes:
        until: when it is closed all the same; until it takes leave, when what is still under way has had its time.
        events: of poll(2), what to wait for.
    """

    def __init__(self, sock: socket.socket, until: float) -> None:
        self.sock = sock
        self.until = until
        self.events = select.POLLIN
        self._connecting = False
        self._taken_in = 0
        self._segments = self._unread = 0
        self._last_segment = time.monotonic()

    def take_leave(self, until: float) -> bool:
        """Close our side; whether there is something to wait for, at most until then."""
        try:
            if self.sock.type != socket.SOCK_STREAM:
                self.sock.getpeername()  # of a question that was never asked
                self.until = min(until, self.until)
                return True
            if self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _SYN_SENT:
                self._connecting, self.events = True, select.POLLOUT
                # What was given up after a time-out has had its time.
                self.until = min(until, self.until)
                return True
            self.until = until
            self._say_goodbye()
        except OSError:
            return False
        return True

    def advance(self) -> bool:
        """Do what the socket is ready for; whether there is still something to wait for."""
        if self.sock.type != socket.SOCK_STREAM:
            return False  # answered
        if not self._connecting:
            return self._take_in()
        self._connecting, self.events = False, select.POLLIN
        try:
            self._say_goodbye()
        except OSError:
            return False
        return True

    def _say_goodbye(self) -> None:
        self.sock.getpeername()
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.setblocking(False)

    @property
    def floods(self) -> bool:
        """Whether it has said so much that it is not read any more."""
        return self._taken_in > _TAKEN_IN

    def _take_in(self) -> bool:
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
