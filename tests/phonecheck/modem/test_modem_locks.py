from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import ConfigError
from phonecheck.model import Lock, Modem, ModemState, Sim
from phonecheck.modem import locks
from phonecheck.modem.locks import parse_pin


@pytest.mark.parametrize("text", ["1234", "12345678", "00000", " 1234\n"])
def test_four_to_eight_digits_are_a_pin(text):
    assert parse_pin(text).value == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        *("", "123", "123456789", "12a4", "12 34", "+1234", "-1234", "'1234'", "1234\n5678", "1234\x00"),
        *("\uff11\uff12\uff13\uff14", "\u0663\u0664\u0665\u0666"),  # digits, in other scripts
    ],
)
def test_anything_else_is_none_and_is_not_repeated(text):
    with pytest.raises(ConfigError) as caught:
        parse_pin(text)
    error = caught.value
    assert error.code == "bad-setting"
    assert not text.strip() or text.strip() not in error.message + error.hint


@given(st.text())
def test_whatever_is_taken_is_digits_alone(text):
    try:
        pin = parse_pin(text)
    except ConfigError as error:
        assert len(text.strip()) < 2 or text.strip() not in error.message  # noqa: PT017  the other half of the property
    else:
        assert pin.value.isascii()
        assert pin.value.isdecimal()
        assert pin.value not in repr(pin)


def asking(lock: Lock = Lock.SIM_PIN, *retries: tuple[Lock, int]) -> Modem:
    return Modem("/m", state=ModemState.LOCKED, lock=lock, retries=retries, sim=Sim("/s"))


@pytest.mark.parametrize(
    ("modem", "words"),
    [
        (asking(), "does not tell how many tries"),
        (asking(Lock.SIM_PIN, (Lock.SIM_PIN, 1)), "has 1 try left: the PIN was not sent"),
        (asking(Lock.SIM_PIN, (Lock.SIM_PIN, 0)), "has 0 tries left"),
    ],
)
def test_why_a_pin_is_not_sent(modem, words):
    error = locks.refusal_to_send(modem)
    assert (error.code, words in error.message, "phonecheck modem unlock" in error.hint) == ("sim-locked", True, True)


def test_with_two_tries_a_pin_may_be_sent():
    assert locks.refusal_to_send(asking(Lock.SIM_PIN, (Lock.SIM_PIN, 2))) is None


@pytest.mark.parametrize(
    ("after", "code", "words"),
    [
        (asking(Lock.SIM_PIN, (Lock.SIM_PIN, 2)), "pin-refused", "refused the PIN, and has 2 tries left."),
        (asking(), "pin-refused", "refused the PIN."),
        (None, "pin-refused", "refused the PIN."),
        (asking(Lock.SIM_PUK, (Lock.SIM_PUK, 10)), "puk-required", "PUK, with 10 tries left"),
    ],
)
def test_what_a_refused_pin_leaves(after, code, words):
    error = locks.refused(after)
    assert (error.code, words in error.message) == (code, True)
