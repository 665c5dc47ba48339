"""Knowing at once that the link went: no socket says so.

Measured: a bound socket in recv hears nothing of an interface that is set down or loses its address, until its time-out
(8 s tried). The kernel tells everybody who asks, though, by rtnetlink; a watch turns the first such word into a loss, and
:mod:`phonecheck.link.closing` lets everybody know who waits.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable, Collection
from ipaddress import ip_address

from phonecheck.errors import LinkError
from phonecheck.link import netlink
from phonecheck.link.path import gone
from phonecheck.link.rtmessage import IFADDRMSG, IFINFOMSG, Device, Message, messages, read_device
from phonecheck.model import IPAddress

# linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR.
_GROUPS = 0x1 | 0x10 | 0x100
_NEWLINK, _DELLINK, _DELADDR = 16, 17, 21


class Loss:
    """The end of a link: told once, by whoever sees it first, from any thread."""

    def __init__(self) -> None:
        self.error: LinkError | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[LinkError], None]] = []

    def tell(self, error: LinkError) -> None:
        """The link has gone. Whoever comes second is not heard."""
        with self._lock:
            if self.error is not None:
                return
            self.error = error
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(error)

    def on(self, callback: Callable[[LinkError], None]) -> None:
        """Call back when the link goes, in the thread that tells of it; at once where it has gone."""
        with self._lock:
            if self.error is None:
                self._callbacks.append(callback)
                return
        callback(self.error)


def subscribe() -> socket.socket:
    """A socket on which the kernel tells of changed devices and addresses."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        sock.bind((0, _GROUPS))
    except BaseException:
        sock.close()
        raise
    return sock


class LinkWatch:
    """Watches an interface from now on, in a thread of its own, and looks once that it is there.

    A loss is an interface that is gone, renamed, moved to another namespace, down or without carrier, and an address that
    was taken away. An address whose lifetime is renewed is none.

    Args:
        interface: its name.
        addresses: those that the exchange leaves from.
        lost: told once, with interface-gone: before the watch has begun, where the link has gone by then, else in its
            thread.
        subscribe: for tests.

    Raises:
        LinkError: bind-refused; this process may not listen to the kernel.
    """

    def __init__(
        self,
        interface: str,
        addresses: Collection[IPAddress],
        lost: Callable[[LinkError], None],
        *,
        subscribe: Callable[[], socket.socket] = subscribe,
    ) -> None:
        self._interface = interface
        self._addresses = frozenset(ip_address(a.packed) for a in addresses)  # of an IPv4Interface too
        self._lost = lost
        self._index: int | None = None
        try:
            self._news = subscribe()
        except OSError as error:
            raise LinkError(
                "bind-refused",
                f"The kernel does not tell this process when its links change: {error.strerror}.",
                hint="Allow netlink sockets: in a unit, RestrictAddressFamilies= must hold AF_NETLINK.",
            ) from None
        self._stop, self._stopped = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="phonecheck-link-watch", daemon=True)
        self._closed = threading.Lock()
        # Only now, when nothing more can be missed.
        loss = self._look()
        if loss is not None:
            self._lost(loss)
        else:
            self._thread.start()

    def close(self) -> None:
        """End the watch; what happens from now on is not told."""
        if not self._closed.acquire(blocking=False):
            return
        os.close(self._stopped)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._news.close()
        os.close(self._stop)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._news, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._stop in ready:
                return
            try:
                loss = self._listen()
            except LinkError as error:  # the kernel does not answer any more: a link that is not watched is none
                loss = error
            if loss is not None:
                self._lost(loss)
                return

    def _listen(self) -> LinkError | None:
        try:
            data, sender = self._news.recvfrom(65536)
        except BlockingIOError:
            return None
        except OSError as error:
            # More was told than the socket could hold, so anything may have happened.
            return self._look() if error.errno == errno.ENOBUFS else gone(self._interface, "cannot be watched any more")
        if sender[0] != 0:  # any process may send to a netlink socket; only the kernel has port 0
            return None
        for message in messages(data):
            loss = self._read(message)
            if loss is not None:
                return loss
        return None

    def _read(self, message: Message) -> LinkError | None:
        if message.kind in (_NEWLINK, _DELLINK) and len(message.body) >= IFINFOMSG.size:
            family, _, index, _, _ = IFINFOMSG.unpack_from(message.body)
            # AF_BRIDGE speaks of a bridge's ports: a device that leaves one is not deleted.
            if index != self._index or family != socket.AF_UNSPEC:
                return None
            return (
                gone(self._interface, "went away")
                if message.kind == _DELLINK
                else self._fault(read_device(message.body))
            )
        if message.kind == _DELADDR and len(message.body) >= IFADDRMSG.size:
            # Looked up, not read: one that was given back by now is no loss.
            return self._look() if IFADDRMSG.unpack_from(message.body)[4] == self._index else None
        return None

    def _look(self) -> LinkError | None:
        device = netlink.device(self._interface)
        if device is None:
            return gone(self._interface, "went away")
        if self._index not in (None, device.index):
            return gone(self._interface, "went away, and another one has its name")
        self._index = device.index
        present = {a.interface.ip for a in netlink.addresses() if a.device == device.index}
        missing = sorted(str(a) for a in self._addresses - present)
        if missing:
            return gone(self._interface, f"no longer has the link's address {missing[0]}")
        return self._fault(device)

    def _fault(self, device: Device | None) -> LinkError | None:
        if device is None:
            return None
        if device.name != self._interface:
            return gone(self._interface, "was renamed")
        if not device.up:
            return gone(self._interface, "is down")
        return None if device.carrier else gone(self._interface, "has no carrier")
