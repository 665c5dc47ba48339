from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.ladder import climb
from phonecheck.doctor.model import Finding, Reading, Rung, failed, idle, unseen, well
from phonecheck.errors import LinkError, ModemError


def device(*, traffic: bool = True) -> Device:
    nothing = cast(Any, None)
    return Device(nothing, traffic, nothing, nothing, nothing, nothing, nothing, nothing)


def rung(slug: str, finding: Finding | Exception, needs: str = "", explained_by: str = "", traffic: int = 0) -> Rung:
    def look(device: Device, deadline: Deadline) -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Rung(slug, slug.title(), look, tuple(needs.split()), tuple(explained_by.split()), traffic)


GONE = LinkError("interface-gone", "It went.")


def states(*rungs: Rung, traffic: bool = True) -> dict[str, tuple[str, str]]:
    found = climb(rungs, device(traffic=traffic), Deadline(10))
    assert [reading.rung for reading in found.readings] == list(rungs)
    return {reading.rung.slug: (reading.state, reading.because) for reading in found.readings}


def test_all_well() -> None:
    assert states(rung("a", well("fine")), rung("b", idle("none"), "a"), rung("c", unseen("no right"), "b")) == {
        "a": ("well", ""),
        "b": ("idle", ""),
        "c": ("unseen", ""),
    }


def test_a_failure_hides_all_that_needs_it_and_is_named_there() -> None:
    assert states(
        rung("a", failed(GONE)), rung("b", well("x"), "a"), rung("c", well("x"), "b"), rung("d", well("x"))
    ) == {"a": ("failed", ""), "b": ("hidden", "a"), "c": ("hidden", "a"), "d": ("well", "")}


def test_what_it_explains_is_looked_at_and_hidden_only_where_it_fails_too() -> None:
    assert states(
        rung("a", failed(GONE)),
        rung("b", failed(GONE), explained_by="a"),
        rung("c", well("x"), explained_by="a"),
        rung("d", failed(GONE), explained_by="b"),
    ) == {"a": ("failed", ""), "b": ("hidden", "a"), "c": ("well", ""), "d": ("hidden", "a")}


def test_without_traffic_what_costs_some_is_not_looked_at() -> None:
    found = states(rung("a", failed(GONE), traffic=9), rung("b", well("x"), "a"), traffic=False)
    assert found == {"a": ("idle", ""), "b": ("well", "")}


def test_an_error_that_is_raised_is_the_failure_and_a_bug_costs_no_other_rung() -> None:
    found = climb(
        [rung("a", GONE), rung("b", ZeroDivisionError()), rung("c", well("x"))], device(), Deadline(10)
    ).readings
    assert [reading.error.code if reading.error else "" for reading in found] == [
        "interface-gone",
        "internal-error",
        "",
    ]


def test_independent_rungs_are_looked_at_side_by_side() -> None:
    together = threading.Barrier(3, timeout=10)

    def look(device: Device, deadline: Deadline) -> Finding:
        together.wait()
        return well("")

    found = climb([Rung(slug, slug, look) for slug in "abc"], device(), Deadline(10))
    assert [reading.state for reading in found.readings] == ["well"] * 3


def test_a_rung_that_hangs_fails_by_itself() -> None:
    never = threading.Event()

    def look(device: Device, deadline: Deadline) -> Finding:
        never.wait(20)
        return well("")

    found = climb([rung("a", well("x")), Rung("b", "B", look), rung("c", well("x"), "b")], device(), Deadline(0.1))
    never.set()
    a, b, c = found.readings
    assert (a.state, b.state, c.state) == ("well", "failed", "hidden")
    assert b.error is not None
    assert b.error.code == "deadline-exceeded"
    assert found.cause is b


def test_each_is_told_of_as_it_begins_and_ends() -> None:
    told: list[tuple[str, str]] = []

    def tell(rung: Rung, reading: Reading | None) -> None:
        told.append((rung.slug, reading.state if reading else "begins"))

    climb([rung("a", failed(GONE)), rung("b", well("x"), "a")], device(), Deadline(10), tell)
    assert told == [("a", "begins"), ("a", "failed"), ("b", "hidden")]


@given(st.data())
def test_one_cause_is_left_of_any_ladder(data: st.DataObject) -> None:
    """Whatever depends on whatever: what is hidden names a rung that failed, and every other rung is as it was found."""
    kinds = [well("x"), failed(ModemError("modem-not-found", "None.")), unseen("x"), idle("x")]
    rungs: list[Rung] = []
    findings: dict[str, Finding] = {}
    for n in range(data.draw(st.integers(1, 8))):
        before = [rung.slug for rung in rungs]
        some = st.lists(st.sampled_from(before), unique=True, max_size=3) if before else st.just([])
        findings[str(n)] = data.draw(st.sampled_from(kinds))
        rungs.append(rung(str(n), findings[str(n)], " ".join(data.draw(some)), " ".join(data.draw(some))))
    found = {reading.rung.slug: reading for reading in climb(rungs, device(), Deadline(10)).readings}
    for slug, reading in found.items():
        if reading.state == "hidden":
            assert found[reading.because].state == "failed"
            assert reading.because in _below(reading.rung, {r.slug: r for r in rungs})
        else:
            assert reading.state == findings[slug].state


def _below(rung: Rung, rungs: dict[str, Rung]) -> set[str]:
    direct = {*rung.needs, *rung.explained_by}
    return direct.union(*(_below(rungs[slug], rungs) for slug in direct))


def test_the_test_can_tell_a_cause() -> None:
    with pytest.raises(AssertionError):
        assert states(rung("a", failed(GONE))) == {"a": ("well", "")}
