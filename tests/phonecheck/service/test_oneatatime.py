"""Checks and deliveries that share a modem, in any order of asking, ending and calling off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.service.model import Delivery, Finished, Report, Request
from phonecheck.service.oneatatime import ChecksInTurn, CourierInTurn, OneAtATime

REPORTS = [Report("a", {})]


class Loop:
    def __init__(self) -> None:
        self.todo: list[Callable[[], None]] = []

    def soon(self, do: Callable[[], None]) -> None:
        self.todo.append(do)

    def turn(self) -> None:
        while self.todo:
            self.todo.pop(0)()


@dataclass
class Process:
    name: str
    done: Callable[[Any], None]
    over: bool = False
    called_off: bool = False

    def end(self) -> None:
        if not self.over:
            self.over = True
            self.done(Finished(status=0) if self.name == "check" else [Delivery("a", "delivered")])

    def cancel(self) -> None:
        self.called_off = True


@dataclass
class World:
    """What was started, and what came of it."""

    over_modem: bool = True
    broken: bool = False
    started: list[Process] = field(default_factory=list)
    heard: list[object] = field(default_factory=list)
    loop: Loop = field(default_factory=Loop)

    def __post_init__(self) -> None:
        modem = OneAtATime(self.loop)  # type: ignore[arg-type]  # it wants no more of a loop
        self.checks = ChecksInTurn(Starts(self, "check"), modem)
        self.courier = CourierInTurn(Starts(self, "delivery"), modem, lambda: self.over_modem)

    def check(self) -> Any:
        return self.checks.start(Request("start"), self.heard.append)

    def delivery(self) -> Any:
        return self.courier.start(REPORTS, self.heard.append)

    @property
    def running(self) -> list[str]:
        return [process.name for process in self.started if not process.over]


@dataclass
class Starts:
    world: World
    name: str

    def start(self, what: Request | Sequence[Report], done: Callable[[Any], None]) -> Process:
        if self.world.broken:
            raise RuntimeError
        self.world.started.append(Process(self.name, done))
        return self.world.started[-1]


def test_a_check_waits_for_a_delivery_and_a_delivery_for_a_check() -> None:
    world = World()
    world.delivery()
    world.check()
    assert world.running == ["delivery"]
    world.started[0].end()
    assert world.running == ["check"]
    world.delivery()
    assert world.running == ["check"]
    world.started[1].end()
    assert world.running == ["delivery"]


def test_a_check_goes_before_a_delivery_that_waits() -> None:
    world = World()
    world.check()
    world.delivery()
    world.check()
    world.started[0].end()
    assert world.running == ["check"]


def test_what_follows_from_an_end_has_its_turn_by_its_rank() -> None:
    world = World()

    def then(_: Finished) -> None:
        world.delivery()
        world.check()

    world.checks.start(Request("start"), then)
    world.started[0].end()
    assert world.running == ["check"]


def test_a_delivery_by_the_normal_routes_waits_for_nobody() -> None:
    world = World(over_modem=False)
    world.check()
    world.delivery()
    assert world.running == ["check", "delivery"]
    world.started[1].end()
    assert world.heard == [[Delivery("a", "delivered")]]


def test_what_runs_is_called_off_and_still_holds_the_modem_until_its_end() -> None:
    world = World()
    first = world.check()
    world.delivery()
    first.cancel()
    assert world.started[0].called_off
    assert world.running == ["check"]
    world.started[0].end()
    assert world.running == ["delivery"]


def test_what_waits_is_called_off_from_the_loop_and_never_starts() -> None:
    world = World()
    world.delivery()
    waiting = [world.check(), world.delivery()]
    for use in waiting:
        use.cancel()
        use.cancel()
    assert world.heard == []
    world.loop.turn()
    assert world.heard == [Finished(cancelled=True), ()]
    world.started[0].end()
    assert world.running == []


def test_what_cannot_be_started_holds_nobody_up() -> None:
    world = World(broken=True)
    with pytest.raises(RuntimeError):
        world.check()
    world.broken = False
    world.check()
    world.delivery()
    world.broken = True
    world.started[0].end()
    world.loop.turn()
    assert world.heard == [Finished(status=0), ()]
    world.broken = False
    world.check()
    assert world.running == ["check"]


@given(st.lists(st.tuples(st.sampled_from(["check", "delivery", "end", "cancel"]), st.integers(0, 5)), max_size=30))
def test_never_two_at_a_time_and_everybody_hears_once(steps: list[tuple[str, int]]) -> None:
    world = World()
    uses: list[Any] = []
    for act, n in steps:
        if act in ("check", "delivery"):
            uses.append(world.check() if act == "check" else world.delivery())
        elif act == "end" and world.started:
            world.started[-1].end()
        elif act == "cancel" and uses:
            uses[n % len(uses)].cancel()
        world.loop.turn()
        assert len(world.running) <= 1
    while world.running:
        world.started[-1].end()
        world.loop.turn()
    assert len(world.heard) == len(uses)
