"""An app server that has a bad day: what ``app_fault`` names, between a sound one and the device."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from phonecheck_sandbox.conditions import Conditions

_SLOW_SECONDS = 3.0
_ELSEWHERE = "https://elsewhere.example/"

_BAD_CHECK_URLS = {
    "check-url-http": "http://api.platform.example/phone_check/v0.2/checks/1/redirect",
    "check-url-userinfo": "https://user:word@api.platform.example/phone_check/v0.2/checks/1/redirect",
    "check-url-no-host": "https:///phone_check/v0.2/checks/1/redirect",
    "check-url-loopback": "https://127.0.0.1/phone_check/v0.2/checks/1/redirect",
    "check-url-missing": None,
}


class Faults:
    """An ASGI application around the app server.

    Args:
        app: the app server.
        conditions: ``app_fault`` is read at each request.
    """

    def __init__(self, app: ASGIApp, conditions: Conditions) -> None:
        self._app = app
        self._conditions = conditions
        self._limited_once = False
        self._connections: dict[tuple[str, int], asyncio.Transport] = {}

    def rearm(self) -> None:
        """Let ``429-once`` strike again: the conditions were set anew."""
        self._limited_once = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the fault, or let the app server answer."""
        step = _step(scope) if scope["type"] == "http" else ""
        fault = self._fault(step) if step else ""
        if not fault:
            await self._app(scope, receive, send)
            return
        if fault == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        refusal = self._refusal(fault)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif fault in ("lost", "down"):
            if fault == "lost":
                await self._app(scope, receive, _into_nothing)
            await self._hang_up(scope, receive)
        elif fault in _BAD_CHECK_URLS and step == "create":
            await self._with_check_url(_BAD_CHECK_URLS[fault], scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _hang_up(self, scope: Scope, receive: Receive) -> None:
        _reset(self._connections[scope["client"]])
        while (await receive())["type"] != "http.disconnect":
            pass  # uvicorn would still answer for an application that returns before

    def _fault(self, step: str) -> str:
        """What is wrong at this step; that the fault is of this step only, its name need not say any more."""
        fault = self._conditions.app_fault
        only, _, rest = fault.partition("-")
        if only not in ("finish", "report", "coverage"):
            return fault
        if only != step:
            return ""
        return fault if fault in _ANSWERS else rest

    def _refusal(self, fault: str) -> Response | None:
        if fault == "429-once":
            if self._limited_once:
                return None
            self._limited_once = True
        return _ANSWERS[fault]() if fault in _ANSWERS else None

    def protocol(self) -> type[H11Protocol]:
        """The protocol for uvicorn: each connection is reset while ``app_fault`` is ``down``, or when it is to be."""
        conditions, connections = self._conditions, self._connections

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
                super().connection_made(transport)
                if self.client is not None:
                    connections[self.client] = transport
                self._drop()

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if self.client is not None:
                    connections.pop(self.client, None)

            def data_received(self, data: bytes) -> None:
                # A connection that was kept from before is dropped too.
                if not self._drop():
                    super().data_received(data)

            def _drop(self) -> bool:
                if conditions.app_fault != "down":
                    return False
                _reset(self.transport)
                return True

        return Protocol

    async def _with_check_url(self, url: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app server create a check, and put another check URL into its answer."""
        start: Message = {}
        body = b""

        async def keep(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, keep)
        values: dict[str, Any] = json.loads(body)
        values.pop("check_url", None)
        if url is not None:
            values["check_url"] = url
        await JSONResponse(values, start["status"])(scope, receive, send)


def _step(scope: Scope) -> str:
    path = str(scope["path"])
    if path.endswith("/report"):
        return "report"
    if path == "/coverage-access-token":
        return "coverage"
    return "finish" if scope["method"] == "GET" or path.endswith("/exchange-code") else "create"


async def _into_nothing(_message: Message) -> None:
    """An answer that gets lost on its way."""


def _error(status: int, retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error_message": "as the sandbox was told"}, status, headers)


_ANSWERS: dict[str, Callable[[], Response]] = {
    "401": lambda: _error(401),
    "403": lambda: _error(403),
    "404": lambda: _error(404),
    "500": lambda: _error(500),
    # The one is too long to be waited for, the other is not.
    "429": lambda: _error(429, 3600),
    "429-once": lambda: _error(429, 1),
    # Nobody waits for this one either, but comes back.
    "report-429": lambda: _error(429, 5),
    "not-json": lambda: Response("<!doctype html><title>Welcome</title>", 200, media_type="text/html"),
    "not-object": lambda: JSONResponse(["check_id", "check_url"]),
    "redirect": lambda: Response(status_code=302, headers={"Location": _ELSEWHERE}),
    "oversize": lambda: Response(b'{"check_id": "' + b"x" * (2 << 20) + b'"}', 200, media_type="application/json"),
}


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
