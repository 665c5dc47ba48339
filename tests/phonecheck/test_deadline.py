from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.deadline import Deadline, retry_after
from phonecheck.errors import DeadlineExceeded, ExitStatus


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_counts_down_and_never_below_nothing(clock):
    deadline = Deadline(10, clock)
    assert (deadline.remaining(), deadline.expired) == (10, False)
    clock.now += 9.5
    assert (deadline.remaining(), deadline.expired) == (0.5, False)
    clock.now += 0.5
    assert (deadline.remaining(), deadline.expired) == (0, True)
    clock.now += 100
    assert (deadline.remaining(), deadline.expired) == (0, True)


def test_the_earlier_of_two(clock):
    deadline = Deadline(10, clock)
    assert deadline.within(3).remaining() == 3
    assert deadline.within(30).remaining() == 10
    assert deadline.within(-1).expired
    clock.now += 11
    assert deadline.within(3).expired


def test_one_within_another_keeps_its_point_in_time(clock):
    inner = Deadline(10, clock).within(3)
    clock.now += 2
    assert inner.remaining() == 1


def test_requires_time_for_a_step(clock):
    deadline = Deadline(2, clock)
    assert deadline.require("the modem answered", ExitStatus.MODEM) == 2
    clock.now += 2
    with pytest.raises(DeadlineExceeded) as caught:
        deadline.require("the modem answered", ExitStatus.MODEM)
    assert caught.value.exit_status is ExitStatus.MODEM
    assert caught.value.message == "The time allowed passed before the modem answered."


def test_runs_on_a_clock_that_is_never_set():
    assert 9 < Deadline(10).remaining() <= 10


NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("120", None, 120),
        (" 0 ", None, 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", None, 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", None, 60),
        ("Sun Nov  6 08:50:37 1994", None, 60),
        ("Sun, 06 Nov 1994 08:00:00 GMT", None, 0),
        # The device's clock is a year off, the server's own is right.
        ("Mon, 06 Nov 1995 08:50:37 GMT", "Mon, 06 Nov 1995 08:50:07 GMT", 30),
        ("Sun, 06 Nov 1994 08:50:37 GMT", "nonsense", 60),
        (None, None, None),
        ("", None, None),
        ("-1", None, None),
        ("1.5", None, None),
        ("soon", None, None),
        ("\u0661", None, None),
        ("9" * 400, None, None),
        ("Sun, 99 Nov 1994 08:50:37 GMT", None, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after(value, date, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_retry_after_is_seconds_or_none(value: str, date: str) -> None:
    seconds = retry_after(value, date, NOW)
    assert seconds is None or seconds >= 0
