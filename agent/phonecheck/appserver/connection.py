"""One HTTP request to the app server and its whole answer, within a time that holds.

Requests go by the device's normal routes and, for an https server, through the proxy that the environment names
(HTTPS_PROXY, NO_PROXY): TLS runs through a proxy to the server, so the proxy learns no more than the host. An http
server is on loopback and is asked directly, or the proxy would be sent the token in the clear.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from phonecheck import __version__
from phonecheck.appserver import faults, tls
from phonecheck.appserver.answers import Answer
from phonecheck.aside import Aside
from phonecheck.config import Server, server_url
from phonecheck.deadline import Deadline, retry_after
from phonecheck.errors import CheckError, ConfigError, ServerError
from phonecheck.redact import Secret

if TYPE_CHECKING:
    import httpx

BODY_CAP = 64 * 1024
"""Bytes of an answer; it has no reason to be larger than one kilobyte."""
REQUEST_SECONDS = 15.0
"""What one request may take of the deadline."""
_GRACE_SECONDS = 0.1

_log = logging.getLogger("phonecheck.appserver")


class Connection:
    """HTTP to one app server; connections are kept for a few seconds.

    Args:
        settings: where and how; ``url`` is set.
        token: sent as a bearer token, to this server alone: no redirect is followed.
        transport: in place of httpx's own.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: Server,
        token: Secret | None,
        transport: httpx.BaseTransport | None,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._base = server_url(settings.url or "")
        self._token = token
        self._transport = transport
        self._clock = clock
        self._client: httpx.Client | None = None

    def request(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: Mapping[str, object] | None,
        deadline: Deadline,
        *,
        headers: Mapping[str, str] | None = None,
        status_is_all: bool = False,
    ) -> Answer:
        """Ask once, and read the whole answer.

        Args:
            method: of the request.
            path: below the server's base URL.
            body: a JSON object, or None.
            deadline: for all of it.
            headers: more of them.
            status_is_all: with a 2xx the server has done what it was asked, whatever becomes of the answer's body.

        Raises:
            ServerError: server-unreachable, also when time runs out; protocol-mismatch.
            ConfigError: bad-setting.
            LinkError: from a transport that was handed in.
        """
        limit = deadline.within(REQUEST_SECONDS)
        started = time.monotonic()
        status = "no answer"
        try:
            # httpx's time-outs do not bound a request: they count anew with each byte, and the C library's name lookup,
            # which takes none at all, hangs for half a minute where the name server is silent. httpx's own, which closes
            # the connection, comes first where it can.
            sending = Aside(lambda: self._send(method, path, body, limit, headers or {}, status_is_all), "appserver")
            answer = sending.result(limit.remaining() + _GRACE_SECONDS)
            status = str(answer.status)
        except TimeoutError:
            raise ServerError("server-unreachable", "The app server did not answer in time.") from None
        except CheckError as error:
            # Of a transport that was handed in, which speaks of hops; here the app server is what cannot be reached.
            raise ServerError("server-unreachable", error.message, hint=error.hint) from None
        finally:
            elapsed = (time.monotonic() - started) * 1000
            _log.debug("%s %s: %s, %.0f ms", method, path.partition("?")[0], status, elapsed)
        return answer

    def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            self._client.close()

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        limit: Deadline,
        more: Mapping[str, str],
        status_is_all: bool,
    ) -> Answer:
        import httpx

        kind = {"Cache-Control": "no-cache"} if body is None else {"Content-Type": "application/json"}
        try:
            with self._open().stream(
                method,
                self._base + path,
                content=None if body is None else json.dumps(body).encode(),
                headers={**kind, **more},
                timeout=max(limit.remaining(), 0.001),
                extensions={"deadline": limit},
            ) as response:
                read = _read_if_it_can if status_is_all and response.is_success else _read
                content = read(response, limit)
                date = response.headers.get("Date")
                wait = retry_after(response.headers.get("Retry-After"), date, self._clock())
                return Answer(response.status_code, content, wait)
        except httpx.InvalidURL:
            raise ConfigError("bad-setting", "The app server's URL with its path is not a URL.") from None
        except Exception as error:
            known = faults.explain(error)
            if known is None:
                raise
            raise known from None

    def _open(self) -> httpx.Client:
        import httpx

        if self._client is not None:
            return self._client
        # They log whole URLs at INFO, and headers, the token among them, at DEBUG.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        https = self._base.startswith("https:")
        headers = {
            "User-Agent": f"phonecheck/{__version__}",
            "Accept": "application/json, application/problem+json",
            # A compressed answer could be any size once unpacked; the cap is on what arrives.
            "Accept-Encoding": "identity",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.value}"
        context = tls.context(self._settings) if https and self._transport is None else tls.nobody()
        try:
            self._client = httpx.Client(
                headers=headers,
                verify=context,
                trust_env=https,
                transport=self._transport,
                follow_redirects=False,
                # Below the five seconds after which uvicorn and Node close an idle connection: a request that meets the
                # closing is lost, and a code is handed over once.
                limits=httpx.Limits(keepalive_expiry=3.0),
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            raise ConfigError(
                "bad-setting",
                "The proxy that the environment names cannot be used.",
                hint="Set HTTPS_PROXY and ALL_PROXY to an http:// or https:// URL or to nothing; NO_PROXY excepts hosts.",
            ) from None
        return self._client


def _read_if_it_can(response: httpx.Response, limit: Deadline) -> bytes:
    """The same where nothing hangs on it: a body that was read leaves a connection that can be used again."""
    try:
        return _read(response, limit)
    except Exception:  # noqa: BLE001  of httpx, of a transport that was handed in, or our own; none changes the status
        return b""


def _read(response: httpx.Response, limit: Deadline) -> bytes:
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > BODY_CAP:
            raise ServerError("protocol-mismatch", f"The app server's answer is longer than {BODY_CAP} bytes.")
        if limit.expired:
            raise TimeoutError
    return bytes(content)
