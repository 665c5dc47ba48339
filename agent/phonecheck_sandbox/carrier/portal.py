"""The portal of an APN that is not open: whatever a subscriber asks any host for, by HTTP, leads to it (RFC 8952, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

_PAGE = "<!doctype html><title>Welcome</title><p>Your allowance is used up. Buy another to go on."


def create_portal(host: str) -> Starlette:
    """The application: a page at ``host``, a redirect to it at every other name."""

    async def answer(request: Request) -> Response:
        if request.url.hostname == host:
            return HTMLResponse(_PAGE)
        return RedirectResponse(f"http://{host}/", 302)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
