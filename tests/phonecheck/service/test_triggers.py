from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.model import PhoneNumber
from phonecheck.service import triggers
from phonecheck.service.model import AUTOMATIC, Due, Request, Trigger

NUMBER = PhoneNumber.parse("+447700900123")
REASONS: tuple[Trigger, ...] = ("start", "sim-change", "schedule", "retry", "request", "signal")
draws = st.floats(0.0, 1.0, exclude_max=True)
seconds = st.floats(0.0, 1e9)
anything = st.floats()
requests = st.builds(
    Request,
    st.sampled_from(REASONS),
    st.sampled_from([None, "iccid:8944", "/dev/m1"]),
    st.sampled_from([None, NUMBER]),
    st.sampled_from([None, 10.0]),
)


def wants(request: Request) -> tuple[object, ...]:
    return (request.modem, request.number, request.timeout)


@given(requests, st.none() | requests, st.lists(requests, max_size=10))
def test_a_request_joins_its_equal_alone(wanted: Request, running: Request | None, queued: list[Request]) -> None:
    other = triggers.joined(wanted, running, queued)
    if other is not None:
        assert wants(other) == wants(wanted)
        assert other in queued or (other is running and wanted.trigger != "sim-change")
    else:
        assert all(wants(request) != wants(wanted) for request in queued)


def test_a_changed_sim_does_not_join_what_may_be_about_the_old_one() -> None:
    running, queued = Request("start"), Request("schedule")
    assert triggers.joined(Request("sim-change"), running, []) is None
    assert triggers.joined(Request("sim-change"), running, [queued]) is queued
    assert triggers.joined(Request("request"), running, [queued]) is queued
    assert triggers.joined(Request("request"), running, []) is running


@given(st.lists(requests, max_size=10), st.booleans(), st.data())
def test_the_oldest_that_may_has_its_turn(queued: list[Request], held: bool, data: st.DataObject) -> None:
    released = {request.id for request in queued if data.draw(st.booleans())}
    found = triggers.next_of(queued, held=held, released=released)
    may = [r for r in queued if not (held and r.trigger in AUTOMATIC and r.id not in released)]
    assert found is (may[0] if may else None)


@given(st.integers(0, 10**6), draws, st.none() | seconds)
def test_a_back_off_is_bounded_and_never_before_the_retry_after(tries: int, draw: float, asked: float | None) -> None:
    wait = triggers.back_off(tries, draw, asked=asked)
    base = min(3600.0, 15.0 * 2.0 ** min(tries, 20))
    assert wait >= (asked or 0.0)
    assert 0.5 * base <= wait <= max(1.5 * base, (asked or 0.0) + max((asked or 0.0) * 0.1, 15.0))


@given(seconds, st.none() | seconds, draws)
def test_an_interval_is_never_short(every: float, jitter: float | None, draw: float) -> None:
    most = every * 0.1 if jitter is None else jitter
    assert every <= triggers.interval(every, jitter, draw) <= every + most + 1e-3


@given(anything, seconds, anything)
def test_a_date_never_comes_later_than_it_was_to_and_never_in_the_past(at: float, left: float, wall: float) -> None:
    assert 0.0 <= triggers.left_of(Due(at, left), wall) <= left


def test_a_date_is_believed_where_both_clocks_can_be_right() -> None:
    now = 1_800_000_000.0
    assert triggers.left_of(Due(now + 50, 100.0), now) == 50.0
    assert triggers.left_of(Due(now - 50, 100.0), now) == 0.0
    assert triggers.left_of(Due(now + 1e9, 100.0), now) == 100.0
    assert triggers.left_of(Due(now + 50, 100.0), 20.0) == 100.0
    assert triggers.left_of(Due(20.0, 100.0), now) == 100.0
    assert triggers.left_of(Due(math.nan, 100.0), now) == 100.0


def test_checks_that_are_brought_forward_keep_a_growing_distance() -> None:
    gaps = [triggers.gap(n) for n in range(50)]
    assert gaps[:3] == [0.0, 15.0, 30.0]
    assert max(gaps) == 600.0
    assert all(one <= other for one, other in pairwise(gaps))


def test_only_what_the_modems_can_cure_is_brought_forward_by_them() -> None:
    assert all(map(triggers.is_hurried, ("modem-not-found", "not-registered", "sim-missing", "not-connected")))
    assert not any(map(triggers.is_hurried, ("", "pin-refused", "server-unreachable", "check-hung", "hop-timeout")))


@pytest.mark.parametrize(
    ("tries", "asked", "window", "most"), [(8, None, 60, 60), (0, 5.0, 1, 120), (8, 3600.0, 60, 220)]
)
def test_a_fleet_that_failed_at_once_does_not_come_back_at_once(
    tries: int, asked: float | None, window: int, most: int
) -> None:
    chance = random.Random(7)
    waits = [triggers.back_off(tries, chance.random(), asked=asked) for _ in range(1000)]
    at = [int(wait // window) for wait in waits]
    assert max(map(at.count, set(at))) < most
