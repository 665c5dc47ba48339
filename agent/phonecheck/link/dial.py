"""Connecting to the first of a host's addresses that answers, of both families where it has both (RFC 8305).

A network may give a device two address families and carry only one of them. The second family is therefore tried a
quarter of a second after the first, or at once when the first has failed, and the first connection is taken. No thread:
connections come about in the kernel, and one poll(2) waits for them.

The one that lost is neither shut down nor closed, but left to :mod:`phonecheck.link.closing`, which holds it: the answer to
a SYN whose socket is gone is reset by the default route (measured: 3 packets out of lan0).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from phonecheck.errors import LinkError
from phonecheck.link.bind import Connecting
from phonecheck.link.waiting import Wait
from phonecheck.model import IPAddress, Path

HEAD_START_SECONDS = 0.25
"""RFC 8305 §8: the recommended Connection Attempt Delay."""

Start = Callable[[IPAddress, int], Connecting]
"""Address, port → a connection under way. Raises LinkError and OSError of what the kernel knows at once."""

# What one family may lack and the other have; anything else that is wrong with the link is wrong with both.
_OF_ONE_FAMILY = frozenset({"no-route", "reply-filtered"})


class Dialer:
    """Connections over one link.

    Args:
        start: begins one.
        wait: waits for some, and for the end of the link.
    """

    def __init__(self, start: Start, wait: Wait) -> None:
        self._start = start
        self._wait = wait

    def connect(self, addresses: Sequence[IPAddress], port: int, seconds: float) -> tuple[socket.socket, Path]:
        """Connect to one of the addresses: of a family, one after the other in their order; the first one's family first.

        Raises:
            LinkError: the device is to blame, for all of the addresses.
            TimeoutError: nobody answered in time.
            OSError: everybody refused, or the network did.
        """
        until = time.monotonic() + seconds
        lanes = [_Lane([a for a in addresses if a.version == v]) for v in dict.fromkeys(a.version for a in addresses)]
        for lane in lanes[1:]:
            lane.due = until - seconds + HEAD_START_SECONDS
        failures: list[OSError | LinkError] = []
        try:
            while True:
                self._advance(lanes, port, until, failures)
                under_way = [(lane, lane.under_way) for lane in lanes if lane.under_way]
                if not under_way and not any(lane.left for lane in lanes):
                    raise _worst(failures)
                ahead = min(lane.due for lane in lanes if lane.under_way or lane.left)
                sockets = [connecting.sock for _, connecting in under_way]
                ready = self._wait(sockets, select.POLLOUT, ahead - time.monotonic())
                for lane, connecting in under_way:
                    if connecting.sock in ready:
                        lane.under_way = None
                        try:
                            return connecting.finish()
                        except (OSError, LinkError) as error:
                            _failed(error, lanes, failures)
        finally:
            for lane in lanes:
                lane.give_up()

    def _advance(self, lanes: list[_Lane], port: int, until: float, failures: list[OSError | LinkError]) -> None:
        """Give up what is out of its time, and start what is due."""
        for lane in lanes:
            if lane.under_way and time.monotonic() >= lane.due:
                lane.give_up()
                _failed(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)), lanes, failures)
        # Whoever fails at once brings forward what had time until now.
        while due := [lane for lane in lanes if lane.left and not lane.under_way and time.monotonic() >= lane.due]:
            lane = due[0]
            # An address that does not answer must leave time for the next one.
            seconds = (until - time.monotonic()) / len(lane.left)
            try:
                lane.under_way = self._start(lane.left.pop(0), port)
            except (OSError, LinkError) as error:
                _failed(error, lanes, failures)
            else:
                lane.due = time.monotonic() + seconds


@dataclass(slots=True)
class _Lane:
    """The addresses of one family. ``due`` is when the next one is started, or the one under way given up."""

    left: list[IPAddress]
    under_way: Connecting | None = None
    due: float = 0.0

    def give_up(self) -> None:
        if self.under_way:
            self.under_way.sock.close()
            self.under_way = None


def _failed(error: OSError | LinkError, lanes: Sequence[_Lane], failures: list[OSError | LinkError]) -> None:
    if isinstance(error, LinkError) and error.code not in _OF_ONE_FAMILY:
        raise error
    failures.append(error)
    for lane in lanes:
        if not lane.under_way:
            lane.due = 0.0


def _worst(failures: Sequence[OSError | LinkError]) -> OSError | LinkError:
    """What says most: a refusal, then silence, then that there was no way."""
    return min(failures, key=lambda error: (isinstance(error, LinkError), isinstance(error, TimeoutError)))
