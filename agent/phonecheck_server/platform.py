"""The PhoneCheck API, as the app server uses it: a token, then create, read, complete (openapi: products.yaml)."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from phonecheck.model import PhoneNumber
from phonecheck.redact import Secret, text
from phonecheck_server.problems import TYPES, ProblemError
from phonecheck_server.sessions import Version
from phonecheck_server.settings import Settings

_BODY_LIMIT = 64 * 1024
_TIMEOUT = 10.0
_DEFAULT_TTL = 60.0
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_ANCHOR = re.compile(r"[a-z][a-z0-9_]{2,48}")

# What the platform answers for a reason that concerns the device (products.yaml); anything else is the server's own
# trouble with the platform, its credentials for one, and none of the device's business.
_PASSED_ON = frozenset({400, 404, 409, 412, 429, 501})

# The statuses that the same words have as HTTP errors; the words of an MNO's failure have none.
_STATUS_OF_WORD = {"not_mobile_ip": 412, "mno_not_supported": 400, "ip_msisdn_mismatch": 409, "mno_timeout": 504}


@dataclass(frozen=True, slots=True)
class CreatedCheck:
    """A new check. ``ttl`` is in seconds, as the platform counts it from the creation."""

    id: str
    url: str
    ttl: float


@dataclass(frozen=True, slots=True)
class Result:
    """The state of a check; ``match`` is None unless it is COMPLETED."""

    status: str
    match: bool | None = None
    reference_id: str | None = None


class Platform:
    """A client of the platform with one project's credentials; its access token is kept until a minute before its end.

    Args:
        settings: where the platform is and who we are.
        transport: takes the place of the network's, for tests and the sandbox.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = httpx.BasicAuth(settings.client_id, settings.client_secret.value)
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=settings.platform_url,
            # Bodies are read raw, so that their cap holds; compressed ones could be bombs.
            headers={"Accept": "application/hal+json, application/json", "Accept-Encoding": "identity"},
            transport=transport,
            # The system's certificates, or the file named; httpx alone would take certifi's.
            verify=True if transport else ssl.create_default_context(cafile=settings.ca_file),
            timeout=_TIMEOUT,
            trust_env=False,
        )
        self._token: Secret | None = None
        self._token_until = 0.0
        self._fetching = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def coverage_token(self) -> Secret:
        """A new token that opens the coverage API and nothing else, for it is handed to a device.

        Raises:
            ProblemError: as :meth:`create`; 501, this project's credentials do not open that API.
        """
        status, headers, answer = await self._ask_for_token("coverage")
        if status == 400 and answer.get("error") == "invalid_scope":  # RFC 6749 §5.2
            raise ProblemError(501, "coverage_unavailable", "The project's credentials do not open the coverage API.")
        token, _ = _token(status, headers, answer)
        # A platform may grant another scope than was asked for, and then says so (RFC 6749 §5.1).
        if answer.get("scope", "coverage") != "coverage":
            raise _unusable("The platform gave a token that opens more than was asked for.")
        return token

    async def create(
        self, version: Version, number: PhoneNumber, *, reference_id: str, redirect_url: str | None
    ) -> CreatedCheck:
        """Create a check.

        Raises:
            ProblemError: the platform's own, or 502 and 504 where it cannot be used.
        """
        body = {"phone_number": number.digits, "reference_id": reference_id}
        if redirect_url is not None and version == "v0.2":
            body["redirect_url"] = redirect_url
        answer = await self._call("POST", f"/phone_check/{version}/checks", json.dumps(body).encode())
        links = answer.get("_links")
        link = links.get("check_url") if isinstance(links, dict) else None
        url = link.get("href") if isinstance(link, dict) else None
        check_id, ttl = answer.get("check_id"), answer.get("ttl", _DEFAULT_TTL)
        if not isinstance(check_id, str) or not _ID.fullmatch(check_id) or not _is_check_url(url):
            raise _unusable("The platform created a check without an id or an https check URL.")
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= 3600:
            ttl = _DEFAULT_TTL
        return CreatedCheck(check_id, str(url), ttl)

    async def result(self, version: Version, check_id: str) -> Result:
        """Read a check; for v0.1 this is what makes the platform ask the MNO (guide, step 6).

        Raises:
            ProblemError: as :meth:`create`.
        """
        return _result(await self._call("GET", f"/phone_check/{version}/checks/{check_id}"))

    async def redeem(self, check_id: str, code: Secret) -> Result:
        """Complete a v0.2 check with the code that the device got at the end of the chain.

        Raises:
            ProblemError: as :meth:`create`; 404 for a wrong code.
        """
        patch = [{"op": "add", "path": "/code", "value": code.value}]
        path = f"/phone_check/v0.2/checks/{check_id}"
        return _result(await self._call("PATCH", path, json.dumps(patch).encode(), "application/json-patch+json"))

    async def _call(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> dict[str, object]:
        headers = {"Content-Type": content_type} if body is not None else {}
        for last_try in (False, True):
            token = await self._access_token()
            request = self._http.build_request(
                method, path, content=body, headers=headers | {"Authorization": f"Bearer {token.value}"}
            )
            status, answer_headers, answer = await self._send(request)
            if status != 401 or last_try:
                break
            # Revoked before its time: one new token, then the platform means it.
            if self._token == token:
                self._token = None
        if status not in (200, 201):
            raise _refused(status, answer_headers, answer)
        return answer

    async def _access_token(self) -> Secret:
        async with self._fetching:
            if self._token is None or self._clock() > self._token_until - 60:
                asked = self._clock()
                self._token, lifetime = _token(*await self._ask_for_token("phone_check"))
                self._token_until = asked + lifetime
            return self._token

    async def _ask_for_token(self, scope: str) -> tuple[int, httpx.Headers, dict[str, object]]:
        form = {"grant_type": "client_credentials", "scope": scope}
        return await self._send(self._http.build_request("POST", "/oauth2/v1/token", data=form), auth=self._credentials)

    async def _send(
        self, request: httpx.Request, auth: httpx.Auth | None = None
    ) -> tuple[int, httpx.Headers, dict[str, object]]:
        """Send, read at most 64 KiB, decode; a body that is no JSON object counts as an empty one."""
        with _mapped_errors():
            response = await self._http.send(request, stream=True, auth=auth)
            try:
                body = b""
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _BODY_LIMIT:
                        raise _unusable("The platform's answer is larger than 64 KiB.")
            finally:
                await response.aclose()
        try:
            values = json.loads(body)
        except (ValueError, RecursionError):
            values = None
        return response.status_code, response.headers, values if isinstance(values, dict) else {}


def _token(status: int, headers: httpx.Headers, answer: dict[str, object]) -> tuple[Secret, float]:
    """An access token and its lifetime in seconds."""
    if status == 429:
        raise _refused(status, headers, answer)
    token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if status != 200 or not isinstance(token, str) or not isinstance(lifetime, int | float):
        raise _unusable(f"The platform gave no access token (HTTP {status}).")
    return Secret(token), lifetime


def _result(answer: dict[str, object]) -> Result:
    status, match, reference_id = answer.get("status"), answer.get("match"), answer.get("reference_id")
    if status == "COMPLETED":
        if not isinstance(match, bool):
            raise _unusable("The platform completed a check without a match.")
        return Result(status, match, reference_id if isinstance(reference_id, str) else None)
    if status == "ERROR":
        word = answer.get("error_code")
        code = word if isinstance(word, str) and _ANCHOR.fullmatch(word) else "check_error"
        raise ProblemError(
            _STATUS_OF_WORD.get(code, 502), code, "The check ended with an error at the platform.", type_=TYPES + code
        )
    if status not in ("ACCEPTED", "PENDING", "EXPIRED"):
        raise _unusable("The platform answered with a status that the API does not know.")
    return Result(str(status))


def _refused(status: int, headers: httpx.Headers, answer: dict[str, object]) -> ProblemError:
    if status not in _PASSED_ON:
        return _unusable(f"The platform refused the server's request (HTTP {status}).")
    kind = answer.get("type")
    anchor = kind.rpartition("#")[2] if isinstance(kind, str) and len(kind) <= 200 and kind.isprintable() else ""
    known = _ANCHOR.fullmatch(anchor) is not None
    title, detail = answer.get("title"), answer.get("detail")
    retry_after = headers.get("Retry-After", "") if status == 429 else ""
    return ProblemError(
        status,
        anchor if known else "platform_refused",
        text(detail)[:200] if isinstance(detail, str) else "The platform refused the check.",
        type_=str(kind) if known else "about:blank",
        title=text(title)[:80] if isinstance(title, str) else None,
        # RFC 9110 §10.2.3: seconds or a date; both pass as they came.
        headers={"Retry-After": retry_after} if retry_after and retry_after.isprintable() else None,
    )


def _unusable(detail: str) -> ProblemError:
    return ProblemError(502, "platform_unusable", detail)


def _is_check_url(url: object) -> bool:
    if not isinstance(url, str) or len(url) > 2048:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise ProblemError(502, "platform_unreachable", "The platform cannot be reached.") from None
    except httpx.TimeoutException:
        raise ProblemError(504, "platform_silent", "The platform did not answer in time.") from None
    except httpx.HTTPError:
        raise _unusable("The exchange with the platform broke off.") from None
