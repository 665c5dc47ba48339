from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from phonecheck_server.listener import ImpatientProtocol

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Hasty(ImpatientProtocol):
    head_seconds = 0.15


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    async def slowly(request: Request) -> Response:
        await asyncio.sleep(float(request.query_params.get("s", 0)))
        return Response("done")

    app = Starlette(routes=[Route("/", slowly)])
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=Hasty, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60)
    )
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def said(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """What the server says until it hangs up, or has been silent for long enough to be seen to be patient."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_a_head_that_does_not_come_ends_the_connection_and_a_slow_answer_does_not() -> None:
    async def run() -> None:
        async with serving() as port:
            closing = b"Connection: close\r\n\r\n"
            silent, dribbled, answered, second = await asyncio.gather(
                said(port),
                said(port, *([HEAD] + [b"X-More: x\r\n"] * 20), pause=0.03),
                said(port, b"GET /?s=0.4 HTTP/1.1\r\nHost: x\r\n" + closing),
                said(port, HEAD + b"\r\n", HEAD, pause=0.05),
            )
        assert (silent, dribbled) == (b"", b"")
        assert answered.endswith(b"done")
        assert second.count(b"200 OK") == 1

    asyncio.run(run())
