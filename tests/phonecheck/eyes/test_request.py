"""One GET on one connection: what an answer may be, and what it may not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.deadline import Deadline
from phonecheck.errors import CheckError
from phonecheck.eyes.request import BODY_CAP, Response, get


class Connection:
    """One whose peer says this, in pieces, and then closes; or falls silent, or resets."""

    def __init__(self, *said: bytes, end: type[OSError] | None = None) -> None:
        self.said = list(said)
        self.end = end
        self.sent = b""

    def send(self, data: bytes, _: Deadline) -> None:
        self.sent += data

    def receive(self, most: int, _: Deadline) -> bytes:
        if self.said:
            piece = self.said.pop(0)
            if len(piece) > most:
                self.said.insert(0, piece[most:])
            return piece[:most]
        if self.end is not None:
            raise self.end
        return b""


def ask(connection: Connection, cap: int = BODY_CAP) -> Response:
    headers = {"Authorization": "Bearer x"}
    return get(cast(Any, connection), "api.example", "/path?query", headers, Deadline(5), cap)


def test_what_is_asked() -> None:
    connection = Connection(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert ask(connection).status == 204
    lines = connection.sent.decode().split("\r\n")
    assert lines[0] == "GET /path?query HTTP/1.1"
    assert {"Host: api.example", "Connection: close", "Accept-Encoding: identity", "Authorization: Bearer x"} < set(
        lines
    )
    assert lines[-2:] == ["", ""]


@pytest.mark.parametrize(
    "said",
    [
        [b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}rest'],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b'3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'],
        [b'HTTP/1.0 200\r\n\r\n{"a":1}'],
        [bytes([octet]) for octet in b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'],
    ],
)
def test_a_body(said: list[bytes]) -> None:
    assert ask(Connection(*said)).body == b'{"a":1}'


def test_a_kept_connection_is_not_waited_for() -> None:
    said = b"HTTP/1.1 302 Found\r\nLocation: https://portal.example/\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\n"
    answer = ask(Connection(said, end=TimeoutError), cap=0)
    assert (answer.status, answer.location, answer.date) == (302, "https://portal.example/", 784887151.0)


def test_a_body_without_end_is_cut() -> None:
    assert len(ask(Connection(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 4096] * 40)).body) == BODY_CAP


@pytest.mark.parametrize(
    ("connection", "code"),
    [
        (Connection(end=TimeoutError), "hop-timeout"),
        (Connection(end=ConnectionResetError), "platform-error"),
        (Connection(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "platform-error"),
        (Connection(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), "platform-error"),
        (Connection(b"220 smtp.example ESMTP\r\n"), "platform-error"),
        (Connection(b""), "platform-error"),
        (Connection(b"HTTP/1.1 200 " + b"x" * 70000), "platform-error"),
    ],
)
def test_what_is_no_answer(connection: Connection, code: str) -> None:
    with pytest.raises(CheckError) as raised:
        ask(connection)
    assert raised.value.code == code


def test_a_date_that_is_none() -> None:
    assert ask(Connection(b"HTTP/1.1 200 OK\r\nDate: soon\r\nContent-Length: 0\r\n\r\n")).date is None


def pieces(data: bytes) -> Iterator[bytes]:
    return (data[n : n + 50] for n in range(0, len(data), 50))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
)
def test_nothing_is_too_odd_to_be_read(said: bytes, head: bytes) -> None:
    with suppress(CheckError):
        ask(Connection(*pieces(head + said)))
