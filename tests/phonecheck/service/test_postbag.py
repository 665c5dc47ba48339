"""The lines between the service and the process that delivers: whole both ways, and nothing odd gets through."""

from __future__ import annotations

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import ServerError
from phonecheck.service import postbag
from phonecheck.service.model import Delivery, Report

REPORT = Report("0123456789abcdef", {"report": "0123456789abcdef", "at": None, "outcome": {"outcome": "match"}})


def test_a_report_comes_out_as_it_went_in() -> None:
    line = postbag.report_line(REPORT)
    assert line.count(b"\n") == 1
    assert postbag.report_of(line) == REPORT


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b"{}",
        b'{"id": "a"}',
        b'{"id": "a", "body": []}',
        b'{"id": "", "body": {}}',
        b'{"id": 1, "body": {}}',
        b'{"id": "a\\r\\nX-Evil: 1", "body": {}}',
        b'{"id": "' + b"a" * 65 + b'", "body": {}}',
        b'{"id": "a", "body": ' + b"[" * 100_000,
        b'{"id": "a", "body": {}' + b" " * postbag.LINE_CAP + b"}",
        b"\xff\xfe",
    ],
)
def test_what_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any will do
        postbag.report_of(line)


def test_a_verdict_comes_out_as_it_went_in() -> None:
    error = ServerError("server-rejected", "The app server refused: 401.", hint="Check it.", retry_after=3.5)
    line = postbag.verdict_line("a1", "failed", error).encode()
    delivery, why = postbag.delivery_of(line)
    assert delivery == Delivery("a1", "failed", "server-rejected", 3.5)
    assert why == "The app server refused: 401. Check it."
    assert postbag.delivery_of(postbag.verdict_line("a1", "delivered").encode()) == (Delivery("a1", "delivered"), "")


def test_a_failure_is_read_as_it_is_printed() -> None:
    error = {"code": "bad-setting", "message": "It is wrong.", "hint": "Mend it.", "retry_after": None}
    found = postbag.failure_of(json.dumps({"schema": 1, "error": error}).encode())
    assert found == postbag.Failure("bad-setting", "It is wrong. Mend it.")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(["delivered", "refused", "failed"]) | ANYTHING,
    ANYTHING,
    ANYTHING,
    ANYTHING,
)
def test_whatever_a_line_holds_a_delivery_is_sound(result: object, code: object, wait: object, message: object) -> None:
    values = {"id": "a", "result": result, "code": code, "retry_after": wait, "message": message}
    try:
        delivery, why = postbag.delivery_of(json.dumps(values).encode())
    except ValueError:
        return
    assert delivery.result in ("delivered", "refused", "failed")
    assert delivery.retry_after is None or (delivery.retry_after >= 0 and math.isfinite(delivery.retry_after))
    assert why.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_none(line: bytes) -> None:
    for read in (postbag.report_of, postbag.delivery_of, postbag.failure_of):
        with suppress(ValueError):
            read(line)
