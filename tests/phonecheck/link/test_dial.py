"""Which address is tried when, on sockets that answer at a word."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest

from phonecheck.errors import LinkError
from phonecheck.link import waiting
from phonecheck.link.dial import Dialer
from phonecheck.model import IPAddress, Path

A4, B4, A6, B6 = map(ip_address, ("203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2"))
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
NO_ROUTE = LinkError("no-route", "none")


@dataclass
class Attempt:
    """A connection under way: its socket can be written once the outcome is there."""

    peer: IPAddress
    outcome: Exception | None
    pair: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def __post_init__(self) -> None:
        self.sock = self.pair[0]
        self.sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self.sock.send(b"x" * 65536)

    def answer(self) -> None:
        self.pair[1].settimeout(0.01)
        with suppress(TimeoutError):
            while True:
                self.pair[1].recv(1 << 20)

    def finish(self) -> tuple[socket.socket, Path]:
        if self.outcome is not None:
            self.sock.close()
            raise self.outcome
        return self.sock, Path("wwan0", A4, self.peer, 80)


@dataclass
class Net:
    """Peers by what they do: ``None`` answers, an exception fails, what is not named is silent."""

    does: dict[IPAddress, Exception | None] = field(default_factory=dict)
    at_once: dict[IPAddress, Exception] = field(default_factory=dict)
    started: list[Attempt] = field(default_factory=list)

    def start(self, address: IPAddress, port: int) -> Any:
        if address in self.at_once:
            self.started.append(Attempt(address, None))
            self.started[-1].sock.close()
            raise self.at_once[address]
        attempt = Attempt(address, self.does.get(address))
        self.started.append(attempt)
        if address in self.does:
            attempt.answer()
        return attempt

    def connect(self, *addresses: IPAddress, seconds: float = 5.0) -> IPAddress:
        sock, path = Dialer(self.start, waiting.wait).connect(addresses, 80, seconds)
        sock.close()
        return path.peer

    @property
    def tried(self) -> list[IPAddress]:
        return [attempt.peer for attempt in self.started]


@pytest.fixture
def net() -> Iterator[Net]:
    threads = threading.active_count()
    net = Net()
    yield net
    assert all(attempt.sock.fileno() == -1 for attempt in net.started), "a socket was left open"
    assert threading.active_count() == threads
    for attempt in net.started:
        attempt.pair[1].close()


@pytest.mark.parametrize(
    ("does", "addresses", "tried"),
    [
        ({A4: None, A6: None}, (A4, A6), [A4]),
        ({A4: None, A6: None}, (A6, A4), [A6]),
        ({A4: None}, (A6, A4), [A6, A4]),
        ({A4: REFUSED, B4: None}, (A4, B4), [A4, B4]),
        ({A4: REFUSED, A6: None}, (A4, A6), [A4, A6]),
        ({A4: REFUSED, B4: REFUSED, A6: None}, (A4, B4, A6), [A4, B4, A6]),
        ({A6: REFUSED, A4: REFUSED, B4: None}, (A6, A4, B4), [A6, A4, B4]),
        ({B6: None}, (A4, B4, A6, B6), [A4, A6]),
    ],
)
def test_the_first_family_has_a_head_start_and_loses_it_when_it_fails(
    net: Net, does: dict[IPAddress, Exception | None], addresses: tuple[IPAddress, ...], tried: list[IPAddress]
) -> None:
    net.does = does
    assert net.connect(*addresses, seconds=0.8) in does
    assert net.tried[: len(tried)] == tried


def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(net: Net) -> None:
    net.does = {B4: None}
    assert net.connect(A4, B4, seconds=0.2) == B4


@pytest.mark.parametrize(
    ("does", "at_once", "error"),
    [
        ({}, {}, TimeoutError),
        ({A4: REFUSED}, {}, ConnectionRefusedError),
        ({A4: REFUSED}, {A6: NO_ROUTE}, ConnectionRefusedError),
        ({}, {A6: NO_ROUTE}, TimeoutError),
        ({}, {A4: NO_ROUTE, A6: LinkError("reply-filtered", "dropped")}, LinkError),
    ],
)
def test_what_says_most_is_said(
    net: Net, does: dict[IPAddress, Exception | None], at_once: dict[IPAddress, Exception], error: type[Exception]
) -> None:
    net.does, net.at_once = does, at_once
    with pytest.raises(error):
        net.connect(A4, A6, seconds=0.3)
    assert net.tried == [A4, A6]


def test_a_family_without_a_way_is_no_hindrance(net: Net) -> None:
    net.at_once, net.does = {A6: NO_ROUTE}, {A4: None}
    assert net.connect(A6, A4) == A4


@pytest.mark.parametrize("code", ["interface-gone", "bind-refused", "wrong-path"])
def test_what_is_wrong_with_the_link_ends_it_for_both(net: Net, code: str) -> None:
    net.at_once, net.does = {A6: LinkError(code, "no")}, {A4: None}
    with pytest.raises(LinkError) as caught:
        net.connect(A6, A4)
    assert (caught.value.code, net.tried) == (code, [A6])
