from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import AgentError, ServiceError
from phonecheck.service.model import Record
from phonecheck.service.results import MOST, TYPES, error_code, error_name, fitting, result_of, text

MATCH = {
    "schema": 1,
    "outcome": "match",
    "match": True,
    "check_id": "c69bc0e6",
    "phone_number": "…0123",
    "modem": {"id": "iccid:…8909", "operator": "Sandbox Mobile", "technology": "lte", "signal": 67},
    "link": {"interface": "wwan0"},
    "hops": [],
    "ms": 512.4,
    "error": None,
}
ERROR = {
    "code": "not-mobile-ip",
    "message": "The address is not the operator's.",
    "hint": "Check the APN.",
    "retryable": False,
    "retry_after": None,
    "exit_status": 6,
}


def told(**document):
    return result_of(Record("1f2e", "schedule", 1800000000.9, document))


def test_a_match():
    assert told(**MATCH) == {
        "id": "1f2e",
        "trigger": "schedule",
        "outcome": "match",
        "at": 1800000000,
        "ms": 512.4,
        "exit_status": 0,
        "document": json.dumps(MATCH),
        "match": True,
        "check_id": "c69bc0e6",
        "interface": "wwan0",
        "operator": "Sandbox Mobile",
        "technology": "lte",
        "signal": 67,
    }


@pytest.mark.parametrize("signal", [True, -1, 101, 2**40, 67.0, "67", None, [67]])
def test_a_signal_that_is_none(signal):
    assert "signal" not in told(**MATCH | {"modem": MATCH["modem"] | {"signal": signal}})


def test_no_match():
    found = told(**MATCH | {"outcome": "no_match", "match": False})
    assert (found["outcome"], found["match"], found["exit_status"]) == ("no_match", False, 1)


def test_a_failure_has_its_error_and_leaves_out_what_is_not_known():
    found = told(schema=1, outcome="inconclusive", match=None, check_id=None, modem=None, link=None, ms=3, error=ERROR)
    del found["document"]
    assert found == {
        "id": "1f2e",
        "trigger": "schedule",
        "outcome": "inconclusive",
        "at": 1800000000,
        "ms": 3.0,
        "exit_status": 6,
        "error_code": "not-mobile-ip",
        "error_message": "The address is not the operator's.",
        "error_hint": "Check the APN.",
        "retryable": False,
    }


def test_a_failure_before_there_was_anything_to_show():
    found = told(schema=1, error=ERROR | {"exit_status": True})
    assert (found["outcome"], found["exit_status"], found["ms"]) == ("inconclusive", 70, 0.0)


def test_strings_are_such_as_the_bus_carries():
    found = told(outcome="match\0", check_id="\ud800x", error={"message": "a\0b", "code": 3})
    assert (found["outcome"], found["check_id"], found["error_message"]) == ("match", "?x", "ab")
    assert "error_code" not in found
    assert found["document"].isascii()
    assert text(b"no text") == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from([*MATCH, *ERROR, "interface", "operator", "technology", "signal"])
documents = st.dictionaries(keys, json_values | st.dictionaries(keys, json_values, max_size=4), max_size=8)


@given(documents, st.floats())
def test_any_document_has_a_result_that_the_bus_carries(document, at):
    found = result_of(Record("1f2e", "start", at, document))
    for key, value in found.items():
        match TYPES[key]:
            case "s":
                assert isinstance(value, str)
                assert "\0" not in value
                value.encode()
            case "b":
                assert isinstance(value, bool)
            case "u":
                assert type(value) is int
                assert 0 <= value <= 255
            case "x":
                assert type(value) is int
                assert abs(value) < 2**63
            case "d":
                assert isinstance(value, float)
                assert math.isfinite(value)


def test_an_answer_is_bounded_by_number_and_size():
    assert len(fitting({"document": "{}"} for _ in range(2 * MOST))) == MOST
    assert len(fitting({"document": "x" * 2**20} for _ in range(20))) == 8
    assert fitting([]) == []


def subclasses(kind: type[AgentError]) -> list[type[AgentError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in subclasses(below))]


@pytest.mark.parametrize("code", sorted({code for kind in subclasses(AgentError) for code in kind.cures}))
def test_each_code_has_a_name_and_comes_back_from_it(code):
    name = error_name(code)
    assert name.startswith("org.phonecheck.Error.")
    assert name.rpartition(".")[2].isalnum()
    assert error_code(name) == code


@pytest.mark.parametrize(
    "name", ["org.freedesktop.DBus.Error.Failed", "org.phonecheck.Error.", "org.phonecheck.Error.a", ""]
)
def test_names_of_others_are_no_codes(name):
    assert error_code(name) is None


def test_the_name_of_one():
    assert error_name("bad-option") == "org.phonecheck.Error.BadOption"
    assert error_code("org.phonecheck.Error.BadOption") in ServiceError.cures
