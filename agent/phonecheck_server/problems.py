"""Refusals as problem details (RFC 9457): a status, a type for programs, a sentence for people."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

TYPES = "https://developer.tru.id/docs/reference/api-errors#"
"""The platform's own problem types: this and an anchor (models/common/HTTPProblemDetailTypes.v1.yaml)."""


class ProblemError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status of the answer.
        code: what a program switches on, in snake case.
        detail: one sentence for people. It holds no number, code, token or credential.
        type_: a URI for the kind of problem; the default says that the status is all there is (RFC 9457 §4.2.1).
        title: the type's title; None for the status's own words.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        type_: str = "about:blank",
        title: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.type = type_
        self.title = title or _phrase(status)
        self.headers = headers or {}

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return JSONResponse(body, self.status, self.headers, "application/problem+json")


def check_not_found() -> ProblemError:
    """One answer for a check that is unknown, another device's, of the other version, or spent: it tells nobody which."""
    return ProblemError(404, "check_not_found", "Check Not Found", type_=TYPES + "check_not_found")


def check_expired() -> ProblemError:
    """The check's ttl has passed; the device must ask for a new one."""
    return ProblemError(410, "check_expired", "The check has expired.", type_=TYPES + "check_expired")


def bad_request(detail: str) -> ProblemError:
    """The request is not what the route takes."""
    return ProblemError(400, "bad_request", detail, type_=TYPES + "bad_request")


def on_problem(_request: Request, error: Exception) -> Response:
    """Starlette's handler for :class:`ProblemError`."""
    assert isinstance(error, ProblemError)  # noqa: S101  registered for this class alone
    return error.response()


def on_http_exception(_request: Request, error: Exception) -> Response:
    """Starlette's handler for its own 404 and 405."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class alone
    phrase = _phrase(error.status_code)
    problem = ProblemError(error.status_code, phrase.lower().replace(" ", "_"), f"{phrase}.")
    problem.headers = dict(error.headers or {})
    return problem.response()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
