from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import ServiceError
from phonecheck.model import PhoneNumber
from phonecheck.service.options import options_of

NUMBER = PhoneNumber("447700900123")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (None, None, None)),
        ({"number": "+447700900123"}, (None, NUMBER, None)),
        ({"number": "447700900123"}, (None, NUMBER, None)),
        ({"modem": "iccid:8944001012345678909"}, ("iccid:8944001012345678909", None, None)),
        ({"modem": "/sys/devices/usb1/1-1", "timeout": 20.5}, ("/sys/devices/usb1/1-1", None, 20.5)),
        ({"timeout": 3600}, (None, None, 3600.0)),
    ],
)
def test_what_is_asked_for(options, expected):
    assert options_of(options) == expected


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"numbr": "+447700900123"}, "1 of the options is unknown"),
        ({"a": 1, "b": 2}, "2 of the options are unknown"),
        ({"number": 447700900123}, "number must be a string"),
        ({"number": None}, "number must be a string"),
        ({"number": ""}, "E.164"),
        ({"number": "07700900123"}, "E.164"),
        ({"number": "+447700900123; rm"}, "E.164"),
        ({"modem": ["x"]}, "modem must be a string"),
        ({"modem": ""}, "modem is not"),
        ({"modem": "0"}, "modem is not"),
        ({"modem": "/sys/\n"}, "modem is not"),
        ({"modem": "x" * 257}, "modem is not"),
        ({"timeout": "20"}, "must be a number"),
        ({"timeout": True}, "must be a number"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": -0.1}, "above 0"),
        ({"timeout": 3600.1}, "at most 3600"),
        ({"timeout": math.nan}, "above 0"),
        ({"timeout": math.inf}, "above 0"),
        ({"timeout": 10**400}, "above 0"),
    ],
)
def test_what_is_refused(options, word):
    with pytest.raises(ServiceError, match=word) as caught:
        options_of(options)
    assert caught.value.code == "bad-option"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["number", "modem", "timeout"]) | st.text(max_size=8), anything, max_size=4))
def test_anything_is_options_or_a_refusal_that_repeats_no_value(options):
    try:
        modem, number, timeout = options_of(options)
    except ServiceError as refused:
        said = (refused.code, refused.message)
        assert said[0] == "bad-option"
        assert not any(isinstance(v, str) and len(v) > 6 and v in said[1] for v in options.values())
    else:
        assert modem is None or (modem.isprintable() and 0 < len(modem) <= 256)
        assert number is None or number.digits.isdigit()
        assert timeout is None or 0 < timeout <= 3600
