"""The hop from hell: a web server whose bytes are the point, so it is written on asyncio's streams alone.

What it answers is in lab_hops.py. This file takes connections, plain and TLS, plays the boxes of carrier networks that
meddle with a ClientHello, and reads requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from phonecheck_sandbox.carrier import lab_hops
from phonecheck_sandbox.carrier.client_hello import TLS13, ClientHello, NotTlsError, parse
from phonecheck_sandbox.carrier.lab_hops import LabRequest

_ONE_PACKET = 1400
_PEEK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Boxes:
    """The server names at which something meddles with the handshake.

    Attributes:
        resets: resets a ClientHello that offers TLS 1.3 or fills more than one packet (golang/go#80573).
        swallows: never lets one through.
        slow: lets any through, ``delay`` seconds later.
    """

    resets: str
    swallows: str
    slow: str
    delay: float = 1.0


class Lab:
    """The lab's server.

    Args:
        contexts: the TLS context of each server name.
        default: the name whose context serves all others.
        boxes: where the handshake is meddled with.
        http_port: of the plain listener, for Locations that change the scheme.
        https_port: of the TLS listener, likewise.
    """

    def __init__(
        self,
        contexts: Mapping[str, ssl.SSLContext],
        default: str,
        boxes: Boxes,
        *,
        http_port: int = 80,
        https_port: int = 443,
    ) -> None:
        self._contexts = contexts
        self._default = default
        self._boxes = boxes
        self._origins = {
            "http": "" if http_port == 80 else f":{http_port}",
            "https": "" if https_port == 443 else f":{https_port}",
        }
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve_plain(self, listener: socket.socket) -> None:
        """Take plain connections of a listening socket, for ever."""
        await self._accept(listener, tls=False)

    async def serve_tls(self, listener: socket.socket) -> None:
        """Take TLS connections of a listening socket, for ever."""
        await self._accept(listener, tls=True)

    async def _accept(self, listener: socket.socket, *, tls: bool) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        try:
            while True:
                connection, _ = await loop.sock_accept(listener)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = asyncio.create_task(self._connection(connection, tls=tls))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _connection(self, connection: socket.socket, *, tls: bool) -> None:
        with contextlib.ExitStack() as cleanup:
            # Until a transport owns the socket, it is ours to close.
            cleanup.callback(connection.close)
            with contextlib.suppress(OSError, NotTlsError, TimeoutError):
                context = await self._context(connection) if tls else None
                loop = asyncio.get_running_loop()
                reader = asyncio.StreamReader(limit=64 * 1024, loop=loop)
                protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
                transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
                cleanup.pop_all()
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                await self._serve(reader, writer, secure=tls)

    async def _context(self, connection: socket.socket) -> ssl.SSLContext:
        """Wait for the ClientHello, let the boxes have it, and choose the certificate by its server name.

        Raises:
            OSError: a box, or the client, ended the connection.
        """
        async with asyncio.timeout(_PEEK_SECONDS):
            hello = await _peek(connection)
            modern = TLS13 in hello.versions or hello.size > _ONE_PACKET
            if hello.server_name == self._boxes.resets and modern:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise ConnectionResetError
            if hello.server_name == self._boxes.swallows and modern:
                await asyncio.sleep(_PEEK_SECONDS)
            if hello.server_name == self._boxes.slow:
                await asyncio.sleep(self._boxes.delay)
        return self._contexts.get(hello.server_name, self._contexts[self._default])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, secure: bool) -> None:
        try:
            while True:
                request = _request(await reader.readuntil(b"\r\n\r\n"), self._origins, secure=secure)
                if not await lab_hops.answer(request, writer, reader):
                    break
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            # The client left, or sent what is no request; either way there is nobody to talk to.
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _peek(connection: socket.socket) -> ClientHello:
    """The ClientHello, left in the socket for the handshake itself."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    while True:
        data = connection.recv(32 * 1024, socket.MSG_PEEK)
        hello = parse(data)
        if hello:
            return hello
        if not data:
            raise ConnectionResetError
        # What was peeked at keeps the socket readable, so the rest of a split flight cannot be waited for otherwise.
        await asyncio.sleep(0.005)


def _request(head: bytes, origins: Mapping[str, str], *, secure: bool) -> LabRequest:
    first, *lines = head.decode("latin-1").split("\r\n")
    _method, target, _version = first.split(" ")
    path, _, query = target.partition("?")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    host = next((value for name, value in headers if name.lower() == "host"), "").partition(":")[0]
    return LabRequest(
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True, encoding="latin-1")),
        headers=headers,
        secure=secure,
        http=f"http://{host}{origins['http']}",
        https=f"https://{host}{origins['https']}",
    )
