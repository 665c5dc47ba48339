from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_server.e164 import normalise


@pytest.mark.parametrize(
    "text",
    ["447700900123", "+447700900123", "00447700900123", "+44 7700 900-123", "+44.7700.900.123", "+44 (7700) 900123"],
)
def test_the_ways_people_write_a_number_are_one_number(text: str) -> None:
    assert normalise(text).digits == "447700900123"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "07700900123",
        "+44 (0)7700 900123",
        "+44 ( 0 ) 7700900123",
        "44770090012x",
        "12345",
        "1" * 16,
        "٤٤٧٧٠٠٩٠٠١٢٣",
    ],
)
def test_what_is_no_international_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an"):
        normalise(text)


@given(st.text(max_size=60) | st.from_regex(r"\+?[0-9 ().-]{5,30}", fullmatch=True))
def test_whatever_comes_is_a_number_or_a_value_error_that_does_not_repeat_it(text: str) -> None:
    digits, message = "1234567", ""
    try:
        digits = normalise(text).digits
    except ValueError as error:
        message = str(error)
    assert re.fullmatch("[1-9][0-9]{6,14}", digits)
    assert len(text) < 7 or text not in message
