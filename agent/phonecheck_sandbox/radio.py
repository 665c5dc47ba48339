"""The air between a modem and the carrier: relays packets between two TUN or TAP devices, after the conditions.

A process of its own, so that no other work delays a packet: netem is not in every kernel, and a user-space relay between
two TUN devices is also the true shape of a QMI or MBIM link, raw IP and point to point. Between TAP devices it is a modem
that shows itself as Ethernet (ECM, NCM, RNDIS).

    python -m phonecheck_sandbox.radio [--ethernet] MODEM_FD:GATEWAY_FD [MODEM_FD:GATEWAY_FD]

Conditions come as JSON lines on standard input, whose end is the end; "ready" goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from socket import IPPROTO_ICMPV6

from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.kernel import precise_timers

IDLE_AFTER = 10.0
"""Seconds of silence after which the network lets a modem's radio sleep."""
LONGEST_BACKLOG = 1.0
"""Seconds of packets that wait for a line with a rate; more is dropped at the tail, as a modem's own queue does."""
MOST_IN_FLIGHT = 4096
"""Packets on the way in one direction, whatever they wait for."""

_ETHERNET_HEADER = 14
_LARGEST_PACKET = 65535 + _ETHERNET_HEADER
_IPV4, _IPV6, _ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
_SOLICITATION, _ADVERTISEMENT = 135, 136  # RFC 4861, 4.3 and 4.4
_AT_ONCE = 32
"""Packets read from one device before the others have their turn."""
_LATE = 0.00015
"""Seconds by which select wakes late (median on a two-core virtual machine); so long before a packet is due it polls."""


class Air:
    """One modem's air interface: two directions, in which packets keep their order, and one sleep.

    Times are seconds on any clock that does not go back. Args are read at each packet, so that a change acts at once.

    Args:
        conditions: of the radio.
        chance: its weather.
        ethernet: whether the packets are Ethernet frames.
    """

    def __init__(self, conditions: Conditions, chance: Random, *, ethernet: bool = False) -> None:
        self._conditions = conditions
        self._chance = chance
        self._ethernet = ethernet
        self._silent_since = float("-inf")
        self._awake_at = float("-inf")
        self._up, self._down = _Direction(), _Direction()

    def send(self, packet: bytes, now: float, *, up: bool) -> None:
        """Take a packet from the modem (``up``) or from the network. It may be lost."""
        conditions = self._conditions
        direction = self._up if up else self._down
        if self._ethernet and _asks_for_neighbours(packet):
            # A modem that shows itself as Ethernet answers these itself, whatever its radio is in.
            direction.send(packet, now, 0, 0)
            return
        if conditions.radio_dead or self._chance.uniform(0, 100) < conditions.radio_loss:
            return
        if conditions.radio_black_hole and conditions.radio_black_hole == _family(packet, ethernet=self._ethernet):
            return
        if conditions.radio_mtu and len(packet) - _ETHERNET_HEADER * self._ethernet > conditions.radio_mtu:
            return
        if now - self._silent_since > IDLE_AFTER:
            self._awake_at = now + conditions.radio_wake / 1000
        self._silent_since = now
        delay = conditions.radio_rtt / 2
        if conditions.radio_jitter > 0:
            delay += self._chance.uniform(0, conditions.radio_jitter)
        direction.send(packet, max(now, self._awake_at), max(delay, 0) / 1000, conditions.radio_rate * 1000)

    def arrived(self, now: float, *, up: bool) -> Iterator[bytes]:
        """Take out the packets that have come through."""
        return (self._up if up else self._down).arrived(now)

    def next_arrival(self) -> float | None:
        """When the next packet comes through, in either direction."""
        return min((d.queue[0][0] for d in (self._up, self._down) if d.queue), default=None)


def _family(packet: bytes, *, ethernet: bool) -> str:
    if ethernet:
        return {_IPV4: "4", _IPV6: "6"}.get(packet[12:14], "")
    return str(packet[0] >> 4) if packet else ""


def _asks_for_neighbours(frame: bytes) -> bool:
    kind, next_header, message = frame[12:14], frame[20:21], frame[54:55]
    neighbours = next_header == bytes([IPPROTO_ICMPV6]) and message in (bytes([_SOLICITATION]), bytes([_ADVERTISEMENT]))
    return kind == _ARP or (kind == _IPV6 and neighbours)


class _Direction:
    def __init__(self) -> None:
        self.queue: deque[tuple[float, bytes]] = deque()
        self._line_free_at = float("-inf")

    def send(self, packet: bytes, now: float, delay: float, rate: float) -> None:
        departs = now
        if rate > 0:
            departs = max(now, self._line_free_at)
            if departs - now > LONGEST_BACKLOG:
                return
            departs += len(packet) * 8 / rate
            self._line_free_at = departs
        if len(self.queue) < MOST_IN_FLIGHT:
            self.queue.append((departs + delay, packet))

    def arrived(self, now: float) -> Iterator[bytes]:
        # Only ever the first: jitter on a radio link delays, it does not reorder, for the link layer delivers in
        # sequence (3GPP TS 36.322).
        while self.queue and self.queue[0][0] <= now:
            yield self.queue.popleft()[1]


class _Link:
    """An air interface and the two devices at its ends."""

    def __init__(self, modem: int, gateway: int, air: Air) -> None:
        self.ends = (modem, gateway)
        self.air = air

    def listen(self, fd: int, now: Callable[[], float]) -> None:
        up = fd == self.ends[0]
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(fd, _LARGEST_PACKET)
            except OSError:
                return  # nothing more to read; or the device is down
            self.air.send(packet, now(), up=up)

    def deliver(self, now: float) -> None:
        for up, fd in ((True, self.ends[1]), (False, self.ends[0])):
            for packet in self.air.arrived(now, up=up):
                try:
                    os.write(fd, packet)
                except OSError:
                    continue  # the device is down: the packet is lost, as it is in the air


def relay(links: list[_Link], conditions: Conditions, control: int) -> None:
    """Relay until the end of the control input."""
    by_fd = {fd: link for link in links for fd in link.ends}
    heard = [*by_fd, control]
    orders = b""
    while True:
        due = min((at for link in links if (at := link.air.next_arrival()) is not None), default=None)
        # select, for its timeout counts microseconds where epoll's counts milliseconds.
        patience = None if due is None else max(0.0, due - time.monotonic() - _LATE)
        ready, _, _ = select.select(heard, [], [], patience)
        for fd in ready:
            if fd == control:
                received = os.read(control, 1 << 16)
                if not received:
                    return
                *lines, orders = (orders + received).split(b"\n")
                for line in lines:
                    conditions.update(json.loads(line))
            else:
                by_fd[fd].listen(fd, time.monotonic)
        for link in links:
            link.deliver(time.monotonic())


def main(arguments: list[str]) -> None:
    """Relay between the pairs of descriptors until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m phonecheck_sandbox.radio", description=main.__doc__)
    parser.add_argument("--ethernet", action="store_true", help="the devices are TAP devices")
    parser.add_argument("pairs", nargs="+", metavar="MODEM_FD:GATEWAY_FD")
    options = parser.parse_args(arguments)
    precise_timers()
    conditions = Conditions()
    links = []
    for pair in options.pairs:
        modem, _, gateway = pair.partition(":")
        air = Air(conditions, Random(), ethernet=options.ethernet)  # noqa: S311  weather, not cryptography
        links.append(_Link(int(modem), int(gateway), air))
    print("ready", flush=True)
    relay(links, conditions, sys.stdin.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])
