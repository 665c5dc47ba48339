"""What a hop is sent: a plain browser-like request, the platform's own headers to the platform alone."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable

from phonecheck import __version__

USER_AGENT = f"phonecheck/{__version__} (Linux {platform.machine()})"

# The phone SDKs' Accept: operators' gateways are sensitive to it (docs/protocol.md, 1.3).
_ACCEPT = "text/html,application/xhtml+xml,application/xml,*/*"

# Operators answer support questions by these ids: X-Orange-Trace-Id, X-VIG-Trace-Id (Vodafone), X-Correlator (CAMARA),
# X-Global-Transaction-Id (IBM's gateways), traceparent (W3C) and the like (docs/protocol.md, 2.5). A session's id is none:
# it would let others in.
_TRACE = re.compile(
    r"(?:[a-z0-9]+-)*(?:(?:trace|correlation|transaction|request|tracking)-?id|correlator|trace(?:parent|response))"
)
_MOST = 4


def for_hop(*, host: str, cookies: str | None, platform_headers: dict[str, str] | None) -> list[tuple[str, str]]:
    """The request's headers, in the order they are sent.

    Args:
        host: the Host header's value.
        cookies: the Cookie header's value, or None.
        platform_headers: the platform's own headers where this hop is the check URL's host, else None: operators
            have no business with them.
    """
    headers = [
        ("Host", host),
        ("User-Agent", USER_AGENT),
        ("Accept", _ACCEPT),
        # Compressed bodies can be bombs, and nothing in a chain is worth compressing.
        ("Accept-Encoding", "identity"),
    ]
    headers += (platform_headers or {}).items()
    if cookies:
        headers.append(("Cookie", cookies))
    return headers


def for_platform(request_id: str, operator_code: str) -> dict[str, str]:
    """The headers that the phones' SDKs send to the platform: an id for its traces, and the operator's MCC and MNC.

    Source: the SDKs on the wire (docs/protocol.md, 1.2).
    """
    headers = {"x-tru-sdk-request": request_id}
    if operator_code.isascii() and operator_code.isdigit() and len(operator_code) in (5, 6):
        headers["x-tru-ops"] = operator_code
    return headers


def trace_ids(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The operator's trace headers: at most four, printable, at most 128 characters each."""
    found = []
    for name, value in headers:
        lower = name.lower()
        if len(lower) <= 64 and _TRACE.fullmatch(lower) and value.isprintable() and 0 < len(value) <= 128:
            found.append((lower, value))
    return tuple(found[:_MOST])
