"""An httpx transport that knows addresses by itself: the internet node asks no resolver for its own neighbours."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import IPv4Address

import httpx


class LocalNames(httpx.AsyncBaseTransport):
    """Connects to the addresses given; the names stay what TLS verifies and the Host header says.

    Args:
        addresses: the address of each host. Another host is an httpx.ConnectError.
        context: verifies the servers.
        ports: where a test's servers listen in place of the URL's port, by host.
    """

    def __init__(
        self, addresses: Mapping[str, IPv4Address], context: ssl.SSLContext, ports: Mapping[str, int] | None = None
    ) -> None:
        self._addresses = addresses
        self._ports = ports or {}
        # Answers come within milliseconds of each other in a run, then nothing for long: keep few connections, long.
        self._inner = httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=4, keepalive_expiry=15)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to its host's address."""
        host = request.url.host
        if host not in self._addresses:
            raise httpx.ConnectError(f"{host} is not on the map", request=request)
        address, port = str(self._addresses[host]), self._ports.get(host, request.url.port)
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=address, port=port),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
