"""The whole of uvicorn, TLS and httpx between two names that no resolver knows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from phonecheck_sandbox import pki
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.internet import faults
from phonecheck_sandbox.internet.local_names import LocalNames

pytestmark = pytest.mark.anyio
HOST, LOOPBACK = "api.platform.example", IPv4Address("127.0.0.1")


async def host(request: Request) -> Response:
    return PlainTextResponse(f"{request.headers['Host']} {await request.body()!r}")


@contextlib.asynccontextmanager
async def served(certificates: pki.Pki, conditions: Conditions) -> AsyncIterator[int]:
    """A server on loopback with the sandbox's protocol; yields its port."""
    app = Starlette(routes=[Route("/", host, methods=["GET", "POST"])])
    config = uvicorn.Config(
        app,
        http=faults.Faults(app, conditions).protocol(),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
    )
    config.load()
    config.ssl = certificates.server_context(HOST)

    class Quiet(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self):  # type: ignore[no-untyped-def]
            yield

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Quiet(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.001)
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


async def test_the_name_is_verified_and_the_address_known(tmp_path: Path) -> None:
    certificates = pki.create(tmp_path, {HOST: LOOPBACK})
    async with served(certificates, Conditions()) as port:
        transport = LocalNames({HOST: LOOPBACK}, certificates.client_context(), {HOST: port})
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.post(f"https://{HOST}/", content=b"body")
            assert answer.text == f"{HOST} b'body'"
            with pytest.raises(httpx.ConnectError, match="not on the map"):
                await client.get("https://elsewhere.example/")
        other = LocalNames({"other.example": LOOPBACK}, certificates.client_context(), {"other.example": port})
        async with httpx.AsyncClient(transport=other) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get("https://other.example/")


async def test_a_server_that_is_down_resets_new_and_kept_connections(tmp_path: Path) -> None:
    certificates, conditions = pki.create(tmp_path, {HOST: LOOPBACK}), Conditions()
    async with served(certificates, conditions) as port:
        context: ssl.SSLContext = certificates.client_context()
        async with httpx.AsyncClient(transport=LocalNames({HOST: LOOPBACK}, context, {HOST: port})) as client:
            assert (await client.get(f"https://{HOST}/")).status_code == 200
            conditions.app_fault = "down"
            for _ in range(2):
                with pytest.raises(httpx.TransportError):
                    await client.get(f"https://{HOST}/")
            conditions.app_fault = ""
            assert (await client.get(f"https://{HOST}/")).status_code == 200
