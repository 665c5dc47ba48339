"""An httpx transport on the chain's backend, by public interfaces alone."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator

import httpcore
import httpx

from phonecheck.chain.backend import Backend

# httpx logs whole URLs at INFO, httpcore headers and all at DEBUG: queries, cookies and codes with them.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class BoundTransport(httpx.BaseTransport):
    """Sends every request over the backend's link; connections are kept for the next request to the same origin.

    No HTTP/2, no proxy, no retry, no environment. httpcore's exceptions reach the caller as they are, AgentErrors of
    the backend too. A request is bounded by the hop that the backend was told to begin; one that brings a Deadline in
    ``extensions["deadline"]``, as the app server's client does, begins its own.

    Args:
        backend: the network.
        context: TLS of the first try (chain/tls.py).
    """

    def __init__(self, backend: Backend, context: ssl.SSLContext) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=backend, http2=False, retries=0, keepalive_expiry=30
        )
        self._backend = backend

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, one response, the body not yet read. ``extensions["target"]`` is the exact target to send."""
        target = request.extensions.get("target", request.url.raw_path)
        deadline = request.extensions.get("deadline")
        if deadline is not None:
            self._backend.begin(deadline, deadline)
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method.encode(),
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=target,
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
