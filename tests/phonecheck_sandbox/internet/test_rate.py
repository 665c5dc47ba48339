from __future__ import annotations

from starlette.responses import Response

from phonecheck_sandbox.internet.rate import RateLimit


def test_the_hours_requests_run_out_and_come_back() -> None:
    now = 7200.0 + 3000
    rate = RateLimit(2, lambda: now)
    assert rate.refusal() is None
    assert rate.refusal() is None
    refusal = rate.refusal()
    assert refusal is not None
    assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "601")
    headers = rate.headed(Response()).headers
    assert (headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset"]) == ("0", "10800")
    now = 10800.0
    assert rate.refusal() is None
