from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck import document
from phonecheck.errors import ConfigError, DeadlineExceeded, ServerError, ServiceError
from phonecheck.model import Hop, Link, Modem, Outcome, PhoneNumber
from phonecheck.service.model import Finished
from phonecheck.service.verdict import LARGEST, document_of

MATCH = document.of_outcome(
    Outcome(
        "match",
        number=PhoneNumber("447700900123"),
        check_id="d2cfa55c-5ad2-4131-85f2-4cb98a19869c",
        modem=Modem(path="/org/freedesktop/ModemManager1/Modem/0"),
        link=Link("wwan0"),
        hops=(Hop(1, "https://api.platform.example/check?x=1", 200),),
        http_status=200,
        ms=512.4,
    )
)
NO_MATCH = MATCH | {"outcome": "no_match", "match": False}
LIMITED = document.of_outcome(
    Outcome("inconclusive", error=ServerError("server-rejected", "The app server refused.", retry_after=30.0))
)


def printed(found: Any, **end: Any) -> Finished:
    return Finished(**({"status": 0} | end), stdout=json.dumps(found).encode())


def code_of(finished: Finished) -> str:
    made = document_of(finished)
    assert document_of(printed(made, status=8)) == made, "what it makes is of the shape that it demands"
    assert (made["outcome"], made["match"], made["error"]["retryable"]) == ("inconclusive", None, True)
    assert made["error"]["exit_status"] == 8
    code: str = made["error"]["code"]
    return code


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (MATCH, 0),
        (NO_MATCH, 1),
        (LIMITED, 7),
        (document.of_outcome(Outcome("inconclusive", error=ConfigError("number-unknown", "No number."))), 3),
        (document.of_outcome(Outcome("inconclusive", error=DeadlineExceeded("Too late.", exit_status=5))), 5),
        (MATCH | {"new": {"in": ["a later", "phonecheck"]}}, 0),
    ],
)
def test_its_own_document_counts(found, status):
    assert document_of(printed(found, status=status)) == found
    for end in ({"hung": True}, {"cancelled": True}, {}):
        killed = printed(found, status=None, signal=signal.SIGKILL, **end)
        assert document_of(killed) == found, "it was in its settling"


@pytest.mark.parametrize(
    ("finished", "code"),
    [
        (Finished(status=0), "check-crashed"),
        (Finished(status=0, stdout=b" \n"), "check-crashed"),
        (Finished(status=2, stderr=b"usage"), "check-crashed"),
        (Finished(status=70, stdout=b"Traceback"), "check-crashed"),
        (Finished(failed="Cannot allocate memory"), "check-crashed"),
        (printed(MATCH, status=1), "check-crashed"),
        (printed(LIMITED, status=0), "check-crashed"),
        (Finished(status=0, stdout=b"rubbish"), "check-garbled"),
        (Finished(status=0, stdout=json.dumps(MATCH).encode() * 2), "check-garbled"),
        (printed(MATCH, overflow=True), "check-garbled"),
        (Finished(signal=15, stdout=b"x" * 99, overflow=True), "check-garbled"),
        (Finished(signal=9), "check-killed"),
        (Finished(signal=11), "check-killed"),
        (Finished(signal=63, stdout=b'{"schema": 1'), "check-killed"),
        (Finished(signal=15, hung=True), "check-hung"),
        (Finished(status=0, hung=True), "check-hung"),
        (Finished(signal=9, cancelled=True), "check-interrupted"),
        (Finished(cancelled=True), "check-interrupted"),
    ],
)
def test_else_it_says_how_it_ended(finished, code):
    assert code_of(finished) == code


def test_it_keeps_what_was_asked_and_how_long_it_took():
    made = document_of(Finished(signal=9), number=PhoneNumber("447700900123"), ms=1234.56)
    assert (made["phone_number"], made["ms"], made["hops"]) == ("…0123", 1234.6, [])
    assert made["error"]["message"] == "The check was ended by SIGKILL, not by the service."


def test_a_crash_is_a_bug_and_a_kill_is_none():
    of = {n: document_of(Finished(signal=n))["error"]["hint"] for n in (signal.SIGKILL, signal.SIGSEGV)}
    assert of == {
        signal.SIGKILL: ServiceError.cures["check-killed"],
        signal.SIGSEGV: ServiceError.cures["check-crashed"],
    }


BAD = [None, True, 1, -1, 1.5, 1e300, 2**70, "x", "x" * 5000, "a\0b", "\ud800", [], [1], {}, {"a": 1}, {"\0": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in items for place in places(each, (*path, key)))]


def with_(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = with_(copy[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("place", places(MATCH), ids=str)
def test_wrong_in_one_place(place):
    for bad in BAD:
        wrong = with_(MATCH, place, bad)
        made = document_of(printed(wrong))
        assert made == wrong or made["error"]["code"] in ("check-garbled", "check-crashed")
        json.dumps(made, ensure_ascii=False, allow_nan=False).encode()
        assert "\\u0000" not in json.dumps(made)


@pytest.mark.parametrize("place", [("error", key) for key in LIMITED["error"]], ids=str)
def test_wrong_in_its_error(place):
    for bad in BAD:
        wrong = with_(LIMITED, place, bad)
        made = document_of(printed(wrong, status=7))
        assert made == wrong or made["error"]["code"] in ("check-garbled", "check-crashed")


@pytest.mark.parametrize(
    "wrong",
    [
        *({k: v for k, v in MATCH.items() if k != gone} for gone in MATCH),
        MATCH | {"schema": 2},
        MATCH | {"schema": True},
        MATCH | {"outcome": "opened"},
        MATCH | {"match": None},
        MATCH | {"match": False},
        MATCH | {"outcome": "inconclusive"},
        MATCH | {"outcome": "inconclusive", "match": None},
        MATCH | {"error": LIMITED["error"]},
        MATCH | {"ms": -1},
        MATCH | {"hops": [1]},
        MATCH | {"new": float("nan")},
        MATCH | {"new": "\ud800"},
        MATCH | {"new": "\0"},
        MATCH | {"new": 2**64},
        LIMITED | {"error": {"code": "server-rejected"}},
        [MATCH],
        document.of_failure(ServerError("server-rejected", "refused")),
    ],
)
def test_what_is_not_of_the_shape(wrong):
    assert code_of(printed(wrong)) == "check-garbled"


@pytest.mark.parametrize(
    "text",
    ["NaN", "-Infinity", "1e999", "[" * 100_000, '{"a": ' * 5000, "9" * 5000, "9" * 50, '"\\ud800"', '"\\u0000"'],
)
def test_what_other_parsers_would_not_take(text):
    for nested in (text, f"[{text}]", f'{{"a": {text}}}'):
        whole = json.dumps(MATCH)[:-1] + f', "more": {nested}}}'
        assert code_of(Finished(status=0, stdout=whole.encode())) == "check-garbled"


@pytest.mark.parametrize("text", ["\ufeff{}", "null", "1", "{}", "[]", '"x"', "{", "\xff"])
def test_what_is_no_document_at_all(text):
    assert code_of(Finished(status=0, stdout=text.encode("latin-1", "ignore") + b"\n")) == "check-garbled"


def test_a_large_one_loses_its_hops():
    hop = MATCH["hops"][0] | {"url": "https://host/" + "é" * 4000}
    made = document_of(printed(MATCH | {"hops": [hop] * 20}))
    assert made == MATCH | {"hops": [], "hops_dropped": 20}
    assert document_of(printed(MATCH | {"hops": [hop] * 5}))["hops"] == [hop] * 5


def test_one_that_is_large_without_hops_is_none():
    assert code_of(printed(MATCH | {"new": "x" * LARGEST})) == "check-garbled"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    st.builds(
        Finished,
        status=st.none() | st.integers(0, 255),
        signal=st.none() | st.integers(1, 64),
        stdout=st.binary(max_size=50)
        | json_values.map(lambda value: json.dumps(value).encode())
        | st.tuples(st.sampled_from(sorted(MATCH)), json_values).map(
            lambda kv: json.dumps(MATCH | dict([kv])).encode()
        ),
        hung=st.booleans(),
        cancelled=st.booleans(),
        overflow=st.booleans(),
        failed=st.sampled_from(["", "Cannot allocate memory"]),
    )
)
def test_whatever_comes_it_is_a_document(finished):
    made = document_of(finished)
    assert MATCH.keys() <= made.keys()
    assert made["match"] is {"match": True, "no_match": False, "inconclusive": None}[made["outcome"]]
    assert len(json.dumps(made, ensure_ascii=False, allow_nan=False).encode()) <= LARGEST
