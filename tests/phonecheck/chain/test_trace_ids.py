"""Which headers of an operator are kept: those by which its support finds the request again, and no other."""

from __future__ import annotations

import pytest

from phonecheck.chain.headers import trace_ids


@pytest.mark.parametrize(
    "name",
    [
        "X-Orange-Trace-Id",
        "X-VIG-Trace-Id",
        "x-correlator",
        "X-Correlation-ID",
        "X-Request-Id",
        "x-amzn-RequestId",
        "X-B3-TraceId",
        "X-Global-Transaction-Id",
        "X-VF-Trace-Transaction-Id",
        "x-tracking-id",
        "Request-Id",
        "traceparent",
    ],
)
def test_ids_of_the_request_are_kept(name: str) -> None:
    assert trace_ids([("Server", "a"), (name, "4711-abc")]) == ((name.lower(), "4711-abc"),)


@pytest.mark.parametrize(
    "name",
    ["Set-Cookie", "Authorization", "X-Session-Id", "X-CSRF-Token", "X-User-Id", "X-MSISDN", "Location", "-id", ""],
)
def test_what_is_somebodys_or_lets_somebody_in_is_not(name: str) -> None:
    assert trace_ids([(name, "4711")]) == ()


def test_they_are_few_short_and_printable() -> None:
    assert (
        trace_ids(
            [("x-trace-id", "a" * 129), ("x-trace-id", "a\nb"), ("x-trace-id", ""), ("a-" * 40 + "trace-id", "x")]
        )
        == ()
    )
    assert len(trace_ids([(f"x-{n}-trace-id", "a") for n in range(9)])) == 4
