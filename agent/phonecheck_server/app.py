"""The app server: routes for devices, which alone know nothing and learn of a check one thing, whether the number matched.

    POST /v0.1/phone-check                 {"phone_number"}    -> {"check_id", "check_url", "ttl"}
    GET  /v0.1/phone-check?check_id=…                          -> {"match"} | 202 {"status"}
    POST /v0.2/phone-check                 {"phone_number"}    -> {"check_id", "check_url", "ttl"}
    POST /v0.2/phone-check/exchange-code   {"check_id", "code", "reference_id"?} -> {"match"}
    POST /v0.1|v0.2/phone-check/report     {"report", "trigger", "at", "outcome"} -> {"report"}
    GET  /coverage-access-token                                -> {"token", "url"}

A check belongs to the device that created it; nobody else gets its result or finishes it. The platform's own example
server does not see to that, and is told where to redirect by the client (docs/protocol.md, 4.4).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from phonecheck.redact import Secret
from phonecheck_server import e164
from phonecheck_server.platform import Platform, Result
from phonecheck_server.problems import (
    ProblemError,
    bad_request,
    check_expired,
    check_not_found,
    on_http_exception,
    on_problem,
)
from phonecheck_server.reports import Reports, Seen, parse_report
from phonecheck_server.sessions import Session, Sessions, Version
from phonecheck_server.settings import Settings

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("phonecheck_server")

_BODY_LIMIT = 4096
_REPORT_LIMIT = 64 * 1024
"""Bytes; a report of fifty hops has about 30,000."""
_BODY_SECONDS = 10.0
_NO_STORE = {"Cache-Control": "no-store"}

_Handler = Callable[[Request, str], Awaitable[Response]]


def create_app(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
    reports: Reports | None = None,
) -> Starlette:
    """The application, for uvicorn or to be mounted in another.

    Its sessions are in memory: one process serves all devices.

    Args:
        settings: all that it must know; host, port and certificate are the listener's business.
        transport: for the requests to the platform, in place of the network.
        clock: seconds, monotonic.
        reports: where the devices' reports go; by default into the log, and no further.
    """
    platform = Platform(settings, transport=transport, clock=clock)
    server = _AppServer(settings, platform, Sessions(clock=clock), clock, Seen() if reports is None else reports)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await platform.aclose()

    def route(path: str, method: str, handler: _Handler) -> Route:
        return Route(path, partial(server.answer, handler), methods=[method])

    app = Starlette(
        routes=[
            route("/v0.1/phone-check", "POST", partial(server.create, "v0.1")),
            route("/v0.1/phone-check", "GET", server.result),
            route("/v0.2/phone-check", "POST", partial(server.create, "v0.2")),
            route("/v0.2/phone-check/exchange-code", "POST", server.exchange_code),
            route("/v0.1/phone-check/report", "POST", server.report),
            route("/v0.2/phone-check/report", "POST", server.report),
            route("/coverage-access-token", "GET", server.coverage_access_token),
        ],
        exception_handlers={ProblemError: on_problem, HTTPException: on_http_exception},
        lifespan=lifespan,
    )
    # A path with a slash too many is unknown. Starlette would send it elsewhere, to a host that the request itself names.
    app.router.redirect_slashes = False
    return app


class _AppServer:
    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        sessions: Sessions,
        clock: Callable[[], float],
        reports: Reports,
    ) -> None:
        self._devices = settings.devices
        self._redirect_url = settings.redirect_url
        self._coverage_url = settings.platform_url + "/coverage/v0.1/device_ip"
        self._platform = platform
        self._sessions = sessions
        self._clock = clock
        self._reports = reports

    async def answer(self, handler: _Handler, request: Request) -> Response:
        """Authenticate, hand over, and leave one line in the log: who, what, how it ended. No query, no body."""
        started = self._clock()
        device = self._devices.named_by(request.headers.get("Authorization"))
        try:
            response = await handler(request, _authenticated(device))
            ending = str(response.status_code)
        except ProblemError as problem:
            response = problem.response()
            ending = f"{problem.status} {problem.code}"
        response.headers.update(_NO_STORE)
        elapsed = (self._clock() - started) * 1000
        log.info("%s %s %s -> %s in %.0f ms", device or "unknown", request.method, request.url.path, ending, elapsed)
        return response

    async def create(self, version: Version, request: Request, device: str) -> Response:
        """Create a check for the number in the body, and bind it to the device."""
        body = await _json_object(request)
        try:
            number = e164.normalise(_text(body, "phone_number", 64))
        except ValueError as error:
            raise bad_request(f"phone_number is {error}.") from None
        self._sessions.require_room(device)
        reference_id = secrets.token_urlsafe(16)
        asked = self._clock()
        check = await self._platform.create(version, number, reference_id=reference_id, redirect_url=self._redirect_url)
        self._sessions.keep(check.id, Session(device, version, reference_id, asked + check.ttl))
        return JSONResponse({"check_id": check.id, "check_url": check.url, "ttl": int(check.ttl)})

    async def result(self, request: Request, device: str) -> Response:
        """v0.1: the result of the device's own check, or 202 while there is none."""
        check_id = request.query_params.get("check_id")
        if not check_id:
            raise bad_request("check_id is missing.")
        session = self._sessions.find(check_id, device, "v0.1")
        return _answer(await self._platform.result("v0.1", check_id), session)

    async def exchange_code(self, request: Request, device: str) -> Response:
        """v0.2: hand the code in; once, by the device that created the check, within its ttl."""
        body = await _json_object(request)
        check_id, code = _text(body, "check_id", 64), Secret(_text(body, "code", 512))
        session = self._sessions.find(check_id, device, "v0.2")
        given = _text(body, "reference_id", 128) if body.get("reference_id") is not None else session.reference_id
        if session.spent or not hmac.compare_digest(given.encode(), session.reference_id.encode()):
            raise check_not_found()
        # Before the first await: two requests with the same code must not both pass.
        session.spent = True
        try:
            result = await self._platform.redeem(check_id, code)
        except ProblemError as problem:
            # The platform has not looked at the code, so the device may come again with it.
            session.spent = problem.status != 429 and problem.code != "platform_unreachable"
            raise
        return _answer(result, session)

    async def report(self, request: Request, device: str) -> Response:
        """Take a report of a check: 201, and 200 where it came before."""
        body = await _json_object(request, _REPORT_LIMIT)
        report = parse_report(device, request.headers.get("Idempotency-Key"), body)
        new = await self._reports.take(report)
        if new:
            log.info("%s reports %s%s", device, report.outcome, f", {report.error_code}" if report.error_code else "")
        return JSONResponse({"report": report.id}, 201 if new else 200)

    async def coverage_access_token(self, _request: Request, _device: str) -> Response:
        """What a device needs to ask the platform, over its modem, whose address it has there."""
        token = await self._platform.coverage_token()
        return JSONResponse({"token": token.value, "url": self._coverage_url})


def _authenticated(device: str | None) -> str:
    if device is None:
        raise ProblemError(401, "unauthorized", "A device token is required.", headers={"WWW-Authenticate": "Bearer"})
    return device


def _answer(result: Result, session: Session) -> Response:
    if result.status == "EXPIRED":
        raise check_expired()
    if result.match is None:
        return JSONResponse({"status": result.status}, 202)
    if result.reference_id not in (None, session.reference_id):
        raise ProblemError(502, "platform_unusable", "The platform answered for another session's check.")
    return JSONResponse({"match": result.match})


async def _json_object(request: Request, limit: int = _BODY_LIMIT) -> dict[str, object]:
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    # The rest is not read, so the connection is of no further use.
                    raise ProblemError(
                        413, "too_large", f"A body is at most {limit} bytes.", headers={"Connection": "close"}
                    )
    except TimeoutError:
        raise ProblemError(
            408, "too_slow", "The body did not arrive in time.", headers={"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise bad_request("The request broke off.") from None
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if not isinstance(values, dict):
        raise bad_request("The body is not a JSON object.")
    return values


def _text(body: dict[str, object], key: str, limit: int) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        raise bad_request(f"{key} is missing, or not a text of at most {limit} characters.")
    return value
