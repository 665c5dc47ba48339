"""Waiting for sockets, and for the end of their link at the same time."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence

Wait = Callable[[Sequence[socket.socket], int, float], list[socket.socket]]
"""Sockets, poll(2) events, seconds → those that are ready, none when the time is up. May raise the link's loss."""


def wait(
    sockets: Sequence[socket.socket], events: int, seconds: float, *, alarm: int | None = None
) -> list[socket.socket]:
    """Wait until one of the sockets is ready, in order to do ``events`` or to say what is wrong with it.

    Args:
        sockets: ready ones are returned in this order.
        events: of poll(2).
        seconds: at most; zero looks once.
        alarm: a descriptor that ends the wait as well as soon as it can be read.
    """
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, events)
    if alarm is not None:
        poll.register(alarm, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)}
    return [sock for sock in sockets if sock.fileno() in ready]
