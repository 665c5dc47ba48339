"""The platform's OAuth2 token endpoint: client credentials, and what they open (basics.yaml; RFC 6749 §4.4)."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from phonecheck_sandbox import secret
from phonecheck_sandbox.expiring import Expiring
from phonecheck_sandbox.internet.problems import problem

if TYPE_CHECKING:
    from starlette.requests import Request

_SCOPES = frozenset({"phone_check", "coverage"})


class OAuth:
    """The tokens of one project.

    Args:
        client_id: of the project.
        client_secret: of the same.
        lifetime: seconds a token lives.
    """

    def __init__(self, client_id: str, client_secret: str, *, lifetime: int = 3600) -> None:
        self._credentials = f"{client_id}:{client_secret}".encode()
        self._lifetime = lifetime
        self._scopes_of: Expiring[frozenset[str]] = Expiring(lifetime)

    async def token(self, request: Request) -> Response:
        """POST /oauth2/v1/token."""
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            given = b""
        if scheme.lower() != "basic" or not hmac.compare_digest(given, self._credentials):
            # RFC 6749 §5.2
            return JSONResponse({"error": "invalid_client"}, 401, {"WWW-Authenticate": "Basic"})
        form = parse_qs((await request.body()).decode("latin-1"))
        if form.get("grant_type") != ["client_credentials"]:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        scopes = frozenset(form.get("scope", [""])[0].split())
        if not scopes or not scopes <= _SCOPES:
            return JSONResponse({"error": "invalid_scope"}, 400)
        token = secret.fresh(24)
        self._scopes_of.put(token, scopes)
        return JSONResponse(
            {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": self._lifetime,
                "scope": " ".join(sorted(scopes)),
            },
            headers={"Cache-Control": "no-store"},
        )

    def refusal(self, request: Request, scope: str) -> Response | None:
        """What to answer to a request whose Bearer token does not open ``scope``; None when it does."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        scopes = self._scopes_of.get(token) if scheme.lower() == "bearer" else None
        if scopes is None:
            return problem("unauthorized")
        return None if scope in scopes else problem("forbidden")
