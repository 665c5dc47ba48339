"""The platform's problem details, word for word (models/common/HTTPProblemDetailTypes.v1.yaml)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

TYPES = "https://developer.tru.id/docs/reference/api-errors#"

_KNOWN = {
    "bad_request": (400, "Bad Request", "The request body is invalid"),
    "phone_format_invalid": (400, "Bad Request", "Phone Number Validation Error"),
    "mno_not_supported": (400, "Bad Request", "Mobile Network Operator Not Supported"),
    "forbidden": (403, "Forbidden", "Forbidden"),
    "check_not_found": (404, "Not Found", "Check Not Found"),
    "ip_msisdn_mismatch": (409, "Conflict", "ip_msisdn_mismatch"),
    "not_mobile_ip": (412, "Precondition Failed", "Not a mobile IP"),
    "too_many_requests": (
        429,
        "Rate Limit exceeded",
        "Rate Limit has exceeded, check response Retry-After HTTP header for when request can be retried.",
    ),
    "mno_redirect_unsupported": (501, "Not Implemented", "Mobile Network Operator Not Supporting Redirect"),
    # The specification has neither of these two for PhoneCheck; their words are ours.
    "unauthorized": (401, "Unauthorized", "Unauthorized"),
    "internal_error": (500, "Internal Server Error", "Internal Server Error"),
}

OF_REDIRECT = {
    400: "mno_not_supported",
    404: "check_not_found",
    409: "ip_msisdn_mismatch",
    412: "not_mobile_ip",
    429: "too_many_requests",
    501: "mno_redirect_unsupported",
}
"""What each status means at the check URL."""
OF_CREATE = OF_REDIRECT | {400: "phone_format_invalid"}
"""What each status means when a check is created."""


def problem(word: str, *, status: int | None = None, retry_after: int | None = None) -> Response:
    """A problem by its anchor; ``status`` for one that the specification does not have."""
    known_status, title, detail = _KNOWN[word]
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = {"type": TYPES + word, "title": title, "detail": detail}
    return JSONResponse(body, status or known_status, headers, "application/problem+json")


def problem_of_status(status: int, words: dict[int, str]) -> Response:
    """The problem that a condition asks for by its status."""
    word = words.get(status, "internal_error")
    return problem(word, status=status, retry_after=30 if status == 429 else None)
