"""The operator's hops: they find out whose session it is, the way real ones do (docs/protocol.md, 2).

platform -302-> https://start  sets cookies
         -302-> http://he      header enrichment: cleartext, knows the subscriber by the session's address
         -303-> https://id     wants the Secure cookie; the Location has a raw space
         -302-> https://id     a relative Location under an odd-case header name; `mno_extra_hops` more of them
         -307-> platform       with a token, which the platform exchanges over the partner interface, once
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from phonecheck_sandbox import secret
from phonecheck_sandbox.expiring import Expiring

if TYPE_CHECKING:
    from starlette.requests import Request

    from phonecheck_sandbox.conditions import Conditions
    from phonecheck_sandbox.world import Subscriber

SECURE_COOKIE, PLAIN_COOKIE = "mno_session", "mno_transaction"
_LIFETIME = 120.0


@dataclass(frozen=True, slots=True)
class MnoSettings:
    """Where the operator is, and whom it serves.

    Attributes:
        enrich_url: base URL of the cleartext hop.
        identity_url: base URL of the last hop.
        cookie_domain: of all its hosts.
        platform_url: base URL of the only platform that it sends browsers back to.
        operator_name: shown by the last hop, with its space.
        network_id: MCC and MNC.
        partner_secret: opens the partner interface.
        subscribers: by the address of their session.
    """

    enrich_url: str
    identity_url: str
    cookie_domain: str
    platform_url: str
    operator_name: str
    network_id: str
    partner_secret: str
    subscribers: Mapping[IPv4Address | IPv6Address, Subscriber]


@dataclass(slots=True)
class _Transaction:
    """One browser's way through the hops."""

    state: str
    redirect_uri: str
    secret: str
    subscriber: Subscriber
    enriched: bool = False


class Mno:
    """The operator: an application for each of its hosts, over one memory.

    Args:
        settings: where it is and whom it serves.
        conditions: read at each request.
    """

    def __init__(self, settings: MnoSettings, conditions: Conditions) -> None:
        self._settings = settings
        self._conditions = conditions
        self._transactions: Expiring[_Transaction] = Expiring(_LIFETIME)
        self._tokens: Expiring[Subscriber] = Expiring(_LIFETIME)
        self.start = Starlette(routes=[Route("/identify", self._start)])
        self.enrich = Starlette(routes=[Route("/he/", self._enrich)])
        self.identity = Starlette(
            routes=[
                Route("/session/confirm", self._confirm),
                Route("/session/again", self._again),
                Route("/session/step/{n:int}", self._step),
                Route("/session/finish", self._finish),
            ]
        )
        self.partner = Starlette(routes=[Route("/v1/tokens", self._redeem, methods=["POST"])])

    async def _start(self, request: Request) -> Response:
        if self._conditions.mno_hang:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        if self._conditions.mno_status:
            return _page("The service is not available.", self._conditions.mno_status)
        subscriber = self._subscriber(request)
        if subscriber is None:
            return _page("This page is for customers on our mobile network.", 403)
        state, redirect_uri = request.query_params.get("state"), request.query_params.get("redirect_uri", "")
        if not state or not redirect_uri.startswith(self._settings.platform_url + "/phone_check/"):
            return _page("The request is not valid.", 400)
        tx, cookie = secret.fresh(12), secret.fresh(16)
        self._transactions.put(tx, _Transaction(state, redirect_uri, cookie, subscriber))
        response = _redirect(302, f"{self._settings.enrich_url}/he/?{urlencode({'tx': tx})}")
        domain = self._settings.cookie_domain
        response.set_cookie(SECURE_COOKIE, cookie, domain=domain, secure=True, httponly=True, samesite="lax")
        response.set_cookie(PLAIN_COOKIE, tx, domain=domain, samesite="lax")
        return response

    async def _enrich(self, request: Request) -> Response:
        transaction = self._transaction(request)
        if transaction is None or request.cookies.get(PLAIN_COOKIE) != request.query_params.get("tx"):
            return _page("Your cookies are missing.", 403)
        if SECURE_COOKIE in request.cookies:
            return _page("A Secure cookie came over a cleartext connection.", 400)
        transaction.enriched = True
        # Raw space on purpose: operators send such Locations (docs/protocol.md, 2.2).
        query = f"operator={self._settings.operator_name}&tx={request.query_params['tx']}"
        return _redirect(303, f"{self._settings.identity_url}/session/confirm?{query}")

    async def _confirm(self, request: Request) -> Response:
        transaction = self._own_transaction(request)
        if transaction is None or not transaction.enriched:
            return _page("Your session is not known.", 403)
        # A space is repaired to + by the phones and to %20 by RFC 3986; both arrive here as a space.
        if request.query_params.get("operator") != self._settings.operator_name:
            return _page("The request is not valid.", 400)
        tx = request.query_params["tx"]
        if self._conditions.mno_loop:
            return _redirect(302, f"again?tx={tx}")
        target = "step/1" if self._conditions.mno_extra_hops > 0 else "../session/finish"
        return _redirect(302, f"{target}?tx={tx}", header=b"LOCATION")

    async def _again(self, request: Request) -> Response:
        tx = request.query_params.get("tx", "")
        return _redirect(302, f"confirm?operator={self._settings.operator_name.replace(' ', '+')}&tx={tx}")

    async def _step(self, request: Request) -> Response:
        if self._own_transaction(request) is None:
            return _page("Your session is not known.", 403)
        n, tx = int(request.path_params["n"]), request.query_params["tx"]
        target = f"{n + 1}" if n < self._conditions.mno_extra_hops else "../finish"
        return _redirect(302, f"{target}?tx={tx}")

    async def _finish(self, request: Request) -> Response:
        transaction = self._own_transaction(request)
        if transaction is None or not transaction.enriched:
            return _page("Your session is not known.", 403)
        self._transactions.take(request.query_params["tx"])
        token = secret.fresh(24)
        self._tokens.put(token, transaction.subscriber)
        query = urlencode({"state": transaction.state, "token": token})
        return _redirect(307, f"{transaction.redirect_uri}?{query}")

    async def _redeem(self, request: Request) -> Response:
        """The partner interface: POST /v1/tokens {"token"}; each token is good for one question."""
        expected = f"Bearer {self._settings.partner_secret}"
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            return JSONResponse({"error": "unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
        try:
            body = await request.json()
        except ValueError:
            body = None
        token = body.get("token") if isinstance(body, dict) else None
        subscriber = self._tokens.take(token if isinstance(token, str) else None)
        if subscriber is None:
            return JSONResponse({"error": "unknown_token"}, 404)
        return JSONResponse({"msisdn": subscriber.msisdn, "network_id": self._settings.network_id})

    def _subscriber(self, request: Request) -> Subscriber | None:
        return self._settings.subscribers.get(ip_address(request.client.host)) if request.client else None

    def _transaction(self, request: Request) -> _Transaction | None:
        """The transaction of the query, if the same subscriber's session asks as began it."""
        transaction = self._transactions.get(request.query_params.get("tx"))
        known = transaction is not None and self._subscriber(request) is transaction.subscriber
        return transaction if known else None

    def _own_transaction(self, request: Request) -> _Transaction | None:
        """The same, if the browser has the Secure cookie too."""
        transaction = self._transaction(request)
        given = request.cookies.get(SECURE_COOKIE, "")
        proven = transaction is not None and hmac.compare_digest(given.encode(), transaction.secret.encode())
        return transaction if proven else None


def _redirect(status: int, location: str, *, header: bytes = b"location") -> Response:
    # Not Starlette's RedirectResponse, which mends Locations, nor its headers, which are lower case always.
    response = _page("One moment.", status)
    response.raw_headers.append((header, location.encode("latin-1")))
    return response


def _page(sentence: str, status: int) -> Response:
    html = f"<!doctype html><title>{sentence}</title><p>{sentence}</p>"
    # Operators find a request again by such an id (docs/protocol.md, 2.5).
    return HTMLResponse(html, status, {"X-Orange-Trace-Id": secrets.token_hex(8)})
