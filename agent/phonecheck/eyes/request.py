"""One GET on one connection, and its answer under a cap: what the eyes need of HTTP."""

from __future__ import annotations

import http.client
import io
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast

from phonecheck import __version__, redact
from phonecheck.deadline import Deadline
from phonecheck.errors import CheckError, ExitStatus

if TYPE_CHECKING:
    import socket

    from phonecheck.chain.connection import Connection

BODY_CAP = 64 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. ``date`` is its own, in seconds since the epoch."""

    status: int
    location: str = ""
    date: float | None = None
    body: bytes = b""


def get(
    connection: Connection, host: str, target: str, headers: Mapping[str, str], deadline: Deadline, cap: int = BODY_CAP
) -> Response:
    """Ask for a target on a connection, and read no more than ``cap`` octets of the answer's body.

    Raises:
        CheckError: hop-timeout, platform-error. DeadlineExceeded: where ``deadline`` had passed before.
        LinkError: interface-gone, of the connection's wait.
    """
    deadline.require("a request was sent", ExitStatus.CHECK)
    shown = redact.text(host)
    lines = {
        "Host": host,
        "User-Agent": f"phonecheck/{__version__}",
        "Accept": "application/json, application/problem+json",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        connection.send(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1"), deadline)
        response = http.client.HTTPResponse(cast("socket.socket", _Readable(connection, deadline)))
        # Closed while its stream is open: Python 3.13 complains of one that is collected after its stream.
        with closing(response):
            response.begin()
            body = response.read(cap) if cap else b""
            if response.length and len(body) < cap:
                raise http.client.IncompleteRead(body, response.length)
    except TimeoutError:
        raise CheckError("hop-timeout", f"{shown} did not answer a request in time.") from None
    except OSError as error:
        raise CheckError("platform-error", f"{shown} broke off: {error.strerror or type(error).__name__}.") from None
    except (http.client.HTTPException, ValueError):
        raise CheckError("platform-error", f"{shown} did not answer in HTTP.") from None
    return Response(response.status, response.getheader("Location") or "", _date(response.getheader("Date")), body)


class _Readable:
    """A connection as http.client reads it."""

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self._raw = _Raw(connection, deadline)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw)


class _Raw(io.RawIOBase):
    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # it is what BufferedReader hands in
        data = self._connection.receive(len(buffer), self._deadline)
        buffer[: len(data)] = data
        return len(data)


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
