"""The platform: PhoneCheck v0.1 and v0.2 as their OpenAPI says (openapi/specs/products.yaml), with an MNO behind it.

What the specification leaves open was decided here and is marked "our choice": no client may rely on it. Lists,
traces and callbacks are not served. Of the coverage API there is what a device asks: coverage.py.
"""

from __future__ import annotations

import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from phonecheck_sandbox import secret
from phonecheck_sandbox.expiring import Expiring
from phonecheck_sandbox.internet.checks import Check, Version
from phonecheck_sandbox.internet.coverage import Coverage
from phonecheck_sandbox.internet.oauth import OAuth
from phonecheck_sandbox.internet.partner import Partner, PartnerError
from phonecheck_sandbox.internet.problems import OF_CREATE, OF_REDIRECT, problem, problem_of_status
from phonecheck_sandbox.internet.rate import RateLimit

if TYPE_CHECKING:
    import httpx
    from starlette.requests import Request

    from phonecheck_sandbox.conditions import Conditions

_E164 = re.compile(r"[1-9][0-9]{6,14}")
_Handler = Callable[["Request"], Awaitable[Response]]
_CORS = {"Access-Control-Allow-Origin": "*"}


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """Who the platform is, and what it knows of the world.

    Attributes:
        url: its base URL, which check URLs begin with.
        client_id: of its one project.
        client_secret: of the same.
        mobile_range: addresses that mobile operators use.
        carrier_numbers: what the numbers of the operator at ``mobile_range`` begin with.
        network_id: MCC and MNC of that operator.
        network_name: what the platform calls it.
        mno_start: where the operator takes browsers over.
        partner_url: where it exchanges tokens for numbers.
        partner_secret: what opens that.
        redirect_url: the project's own, used while ``platform_redirect_url`` holds.
    """

    url: str
    client_id: str
    client_secret: str
    mobile_range: IPv4Network
    carrier_numbers: str
    network_id: str
    mno_start: str
    partner_url: str
    partner_secret: str
    redirect_url: str
    network_name: str = "Sandbox Mobile"


def create_platform(
    settings: PlatformSettings,
    conditions: Conditions,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The platform as an application.

    Args:
        settings: who it is.
        conditions: read at each request.
        transport: for its requests to the operator.
        clock: seconds, monotonic.
    """
    partner = Partner(settings.partner_url, settings.partner_secret, transport)
    platform = _Platform(settings, conditions, partner, clock)
    oauth = OAuth(settings.client_id, settings.client_secret)
    rate = RateLimit()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await partner.aclose()

    async def public(handler: _Handler, request: Request) -> Response:
        return rate.headed(rate.refusal() or await handler(request))

    async def authorized(handler: _Handler, request: Request, scope: str = "phone_check") -> Response:
        return oauth.refusal(request, scope) or await public(handler, request)

    def routes(version: Version) -> list[Route]:
        checks = f"/phone_check/{version}/checks"
        one = checks + "/{check_id}"
        read = platform.read_v01 if version == "v0.1" else platform.read_v02
        found = [
            Route(checks, partial(authorized, partial(platform.create, version)), methods=["POST"]),
            Route(one, partial(authorized, read), methods=["GET"]),
            Route(one + "/redirect", partial(public, partial(platform.redirect, version)), methods=["GET"]),
            Route(one + "/return", partial(public, partial(platform.back_from_mno, version)), methods=["GET"]),
        ]
        if version == "v0.2":
            found.append(Route(one, partial(authorized, platform.patch), methods=["PATCH"]))
        return found

    coverage = Coverage(settings.mobile_range, settings.network_id, settings.network_name, conditions)
    device_ip = "/coverage/v0.1/device_ip"
    reachability = [
        Route(device_ip, partial(authorized, coverage.of_device, scope="coverage"), methods=["GET"]),
        Route("/public" + device_ip, partial(public, coverage.of_device), methods=["GET"]),
    ]
    token = Route("/oauth2/v1/token", oauth.token, methods=["POST"])
    return Starlette(
        routes=[token, *routes("v0.1"), *routes("v0.2"), *reachability],
        lifespan=lifespan,
    )


class _Platform:
    def __init__(
        self, settings: PlatformSettings, conditions: Conditions, partner: Partner, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._conditions = conditions
        self._partner = partner
        self._clock = clock
        # Longer than any ttl, so that an expired check can still be read as EXPIRED.
        self._checks: Expiring[Check] = Expiring(3600, clock=clock)
        self._balance = 1000

    async def create(self, version: Version, request: Request) -> Response:
        """POST …/checks."""
        if self._conditions.platform_create_status:
            return problem_of_status(self._conditions.platform_create_status, OF_CREATE)
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("phone_number"), str):
            return problem("bad_request")
        number = body["phone_number"].removeprefix("+")
        if not _E164.fullmatch(number):
            return problem("phone_format_invalid")
        refused = self._refused_at_create(body, number)
        if refused:
            return refused
        check_id = str(uuid.uuid4())
        ttl = self._conditions.platform_ttl
        own_redirect = self._settings.redirect_url if self._conditions.platform_redirect_url else None
        check = Check(
            id=check_id,
            version=version,
            number=number,
            url=f"{self._settings.url}/phone_check/{version}/checks/{check_id}",
            expires=self._clock() + ttl,
            ttl=ttl,
            reference_id=_text(body.get("reference_id")),
            # The check's value goes before the project's (ProjectCommon.v1).
            redirect_url=(_text(body.get("redirect_url")) or own_redirect) if version == "v0.2" else None,
            pending_reads=self._conditions.platform_pending,
            clock=self._clock,
        )
        self._checks.put(check_id, check)
        return _hal(check.created(self._balance - 1), 201, _CORS if version == "v0.1" else None)

    def _refused_at_create(self, body: dict[str, Any], number: str) -> Response | None:
        phone_ip = body.get("phone_ip")
        if phone_ip is None:
            return None
        if not isinstance(phone_ip, str) or not _is_address(phone_ip):
            return problem("bad_request")
        return self._wrong_address(phone_ip) or self._wrong_operator(number)

    def _wrong_address(self, address: str) -> Response | None:
        return None if ip_address(address) in self._settings.mobile_range else problem("not_mobile_ip")

    def _wrong_operator(self, number: str) -> Response | None:
        return None if number.startswith(self._settings.carrier_numbers) else problem("ip_msisdn_mismatch")

    async def redirect(self, version: Version, request: Request) -> Response:
        """GET …/redirect, the check URL: needs no token, and works once (our choice)."""
        check = self._find(version, request)
        if check is None:
            return problem("check_not_found")
        status = self._conditions.platform_status
        if status:
            if check.status == "ACCEPTED" and status in (400, 409, 501):
                check.fail(OF_REDIRECT[status] if status != 501 else "mno_not_supported")
            return problem_of_status(status, OF_REDIRECT)
        # Our choice: the address is looked at first, and a visit from elsewhere leaves the check as it is. Else
        # whoever sees a check URL could spend it from any network.
        refused = self._wrong_address(_peer(request))
        if refused:
            return refused
        if check.status != "ACCEPTED":
            return problem("check_not_found")
        refused = self._wrong_operator(check.number)
        if refused:
            check.fail("ip_msisdn_mismatch")
            return refused
        check.start(secret.fresh(16))
        query = urlencode(
            {"client_id": "platform", "state": check.state, "redirect_uri": f"{check.url}/return"}, safe=":/"
        )
        return _found(f"{self._settings.mno_start}?{query}")

    async def back_from_mno(self, version: Version, request: Request) -> Response:
        """GET …/return: the operator sent the browser back with a token of its own. Ours alone; the path is no API."""
        check = self._find(version, request)
        given_state, token = request.query_params.get("state", ""), request.query_params.get("token")
        state = check.state if check else None
        if check is None or state is None or not token or not hmac.compare_digest(given_state.encode(), state.encode()):
            return problem("check_not_found")
        refused = self._wrong_address(_peer(request))
        if refused:
            return refused
        check.state, check.token = None, token
        if version == "v0.1":
            # The number is fetched when the server asks for the result (guide, step 6).
            return PlainTextResponse("OK")
        error = self._conditions.platform_error or await self._exchange(check)
        if error:
            if check.status == "PENDING":
                check.fail(error)
            return self._end_of_chain(check, {"error": error, "error_description": error.replace("_", " ")})
        check.code = secret.fresh(8)
        return self._end_of_chain(check, {"code": check.code})

    def _end_of_chain(self, check: Check, words: dict[str, str]) -> Response:
        body = {"check_id": check.id, **words}
        if check.reference_id is not None:
            body["reference_id"] = check.reference_id
        if check.redirect_url is not None:
            return _found(f"{check.redirect_url}{'&' if '?' in check.redirect_url else '?'}{urlencode(body)}")
        return _hal(body)

    async def _exchange(self, check: Check) -> str | None:
        """Ask the operator whose token it is; the word of what went wrong, or None."""
        token, check.token = check.token, None
        try:
            check.msisdn, check.network_id = await self._partner.number_of(token or "")
        except PartnerError as error:
            return error.word
        return None

    async def read_v01(self, request: Request) -> Response:
        """GET …/v0.1/checks/{id}: the first read after the chain is what fetches the number."""
        check = self._find("v0.1", request)
        if check is None:
            return problem("check_not_found")
        if check.status == "PENDING" and check.token is not None:
            if check.pending_reads > 0:
                check.pending_reads -= 1
            else:
                error = await self._exchange(check)
                if error:
                    check.fail(error)
                else:
                    self._complete(check)
        return _hal(check.shown(), headers=_CORS)

    async def read_v02(self, request: Request) -> Response:
        """GET …/v0.2/checks/{id}."""
        check = self._find("v0.2", request)
        return problem("check_not_found") if check is None else _hal(check.shown())

    async def patch(self, request: Request) -> Response:
        """PATCH …/v0.2/checks/{id}: exactly one operation, ``add /code`` (CheckPatchPayload)."""
        check = self._find("v0.2", request)
        if check is None:
            return problem("check_not_found")
        try:
            operations = json.loads(await request.body())
        except ValueError:
            operations = None
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        code = _code_of(operations)
        if media_type != "application/json-patch+json" or code is None:
            return problem("bad_request")
        # Before the check URL: 404, says the specification. Our choice: a wrong code is a 404 too and leaves the right
        # one valid, and a code works once.
        if check.code is None or not hmac.compare_digest(code.encode(), check.code.encode()):
            return problem("check_not_found")
        self._complete(check)
        return _hal(check.patched())

    def _complete(self, check: Check) -> None:
        check.complete()
        # Only completed checks are charged (CheckStatus).
        self._balance -= 1

    def _find(self, version: Version, request: Request) -> Check | None:
        check = self._checks.get(str(request.path_params["check_id"]))
        if check is None or check.version != version:
            return None
        check.age()
        return check


def _peer(request: Request) -> str:
    return request.client.host if request.client else "0.0.0.0"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _code_of(operations: object) -> str | None:
    match operations:
        case [{"op": "add", "path": "/code", "value": str(code), **rest}] if not rest:
            return code
    return None


def _hal(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status, headers, "application/hal+json")


def _found(location: str) -> Response:
    return Response(status_code=302, headers={"Location": location})
