"""A device in virtual time: the service's loop, and stand-ins for all that its agent speaks to."""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phonecheck import config, document
from phonecheck.errors import AgentError
from phonecheck.model import Outcome
from phonecheck.service.agent import Agent
from phonecheck.service.model import Delivery, Finished, Record, Report, Request, SeenSim
from phonecheck.service.store import Limits, Store

TODAY = 1_800_000_000.0
"""January 2027."""


@dataclass(order=True)
class _Timer:
    due: float
    n: int
    do: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.do = None


class SimulatedLoop:
    """Seconds since boot, a wall clock beside them, and timers that come when somebody lets time pass."""

    def __init__(self, wall: float = TODAY, boot: float = 100.0) -> None:
        self.boot = boot
        self.ahead = wall - boot
        self.turns = 0
        self._timers: list[_Timer] = []
        self._soon: list[Callable[[], None]] = []
        self._n = itertools.count()

    def now(self) -> float:
        return self.boot

    def wall(self) -> float:
        return self.boot + self.ahead

    def later(self, seconds: float, do: Callable[[], None]) -> _Timer:
        timer = _Timer(self.boot + max(0.0, seconds), next(self._n), do)
        heapq.heappush(self._timers, timer)
        return timer

    def soon(self, do: Callable[[], None]) -> None:
        self._soon.append(do)

    def readable(self, fd: int, do: Callable[[], None]) -> _Timer:
        raise NotImplementedError("the agent reads no descriptors")

    def settle(self) -> None:
        """Do all that is due now."""
        while True:
            if self._soon:
                do = self._soon.pop(0)
            elif (due := self.next_due) is not None and due <= self.boot:
                do = heapq.heappop(self._timers).do or (lambda: None)
            else:
                return
            self.turns += 1
            do()

    @property
    def next_due(self) -> float | None:
        while self._timers and self._timers[0].do is None:
            heapq.heappop(self._timers)
        return self._timers[0].due if self._timers else None

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.boot + seconds
        self.settle()
        while (due := self.next_due) is not None and due <= end:
            self.boot = max(self.boot, due)
            self.settle()
        self.boot = end
        self.settle()

    def suspend(self, seconds: float) -> None:
        """Sleep: time passes, and nothing happens before the end of it."""
        self.boot += seconds
        self.settle()

    def set_clock(self, wall: float) -> float:
        """Set the wall clock; returns by how much."""
        by = wall - self.wall()
        self.ahead += by
        return by

    def end_process(self) -> None:
        """kill -9."""
        self._timers.clear()
        self._soon.clear()

    def restart_device(self, off: float, wall: float | None = None) -> None:
        """The power went, for so many seconds; ``wall`` is what the clock says afterwards, where that is wrong."""
        self.end_process()
        right = self.wall() + off
        self.boot = 5.0
        self.ahead = (right if wall is None else wall) - self.boot


def printed(
    word: str = "match", error: AgentError | None = None, *, check_id: str | None = "c-1", ms: float = 500.0
) -> Finished:
    """How `verify --json` ends with this outcome."""
    outcome = Outcome(word if error is None else "inconclusive", check_id=check_id, ms=ms, error=error)  # type: ignore[arg-type]
    status = error.exit_status if error else {"match": 0, "no_match": 1}[word]
    return Finished(status=int(status), stdout=json.dumps(document.of_outcome(outcome)).encode())


class Violated(BaseException):
    """Something happened that never may; no Exception, for the agent survives those."""


class Killed(BaseException):
    """kill -9, in the middle of something."""


class MortalStore:
    """A store whose process may die with any call: before it, or after it and before anybody knows.

    Args:
        store: the real one.
        chance: decides between before and after.
    """

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store, self._chance = store, chance
        self.fuse: int | None = None
        self.accepted: list[str] = []

    def close(self) -> None:
        self._store.close()

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._store, name)
        if not callable(part):
            return part

        def call(*args: Any, **named: Any) -> Any:
            if self.fuse is not None:
                self.fuse -= 1
                if self.fuse < 0 or (self.fuse == 0 and self._chance.random() < 0.5):
                    self.fuse = 0
                    raise Killed
            answer = part(*args, **named)
            if self.fuse == 0:
                raise Killed
            if name == "accept":
                self.accepted.append(args[0].id)
            return answer

        return call


class SimulatedChecks:
    """Checks that take some time and end as ``script`` says; never two at once."""

    def __init__(self, loop: SimulatedLoop, script: Callable[[Request], tuple[float, Finished]]) -> None:
        self._loop = loop
        self._script = script
        self.made: list[tuple[float, Request]] = []
        self.running = 0
        self.cancelled = 0
        self.begun: Callable[[Request], None] = lambda request: None
        self.ended: Callable[[Request, Finished], None] = lambda request, finished: None

    def start(self, request: Request, done: Callable[[Finished], None]) -> SimulatedRun:
        if self.running:
            raise Violated("two checks at once")
        self.running += 1
        self.made.append((self._loop.now(), request))
        self.begun(request)
        seconds, finished = self._script(request)

        def end(finished: Finished) -> None:
            self.ended(request, finished)
            done(finished)

        return SimulatedRun(self, self._loop, seconds, finished, end)

    def end_process(self) -> None:
        self.running = 0

    @property
    def triggers(self) -> list[str]:
        return [request.trigger for _, request in self.made]


class SimulatedRun:
    def __init__(
        self,
        checks: SimulatedChecks,
        loop: SimulatedLoop,
        seconds: float,
        finished: Finished,
        done: Callable[[Finished], None],
    ) -> None:
        self._checks, self._loop, self._done = checks, loop, done
        self._timer = loop.later(seconds, lambda: self._end(finished))
        self._over = False

    def _end(self, finished: Finished) -> None:
        self._over = True
        self._timer.cancel()
        self._checks.running -= 1
        self._done(finished)

    def cancel(self) -> None:
        if not self._over:
            self._checks.cancelled += 1
            self._timer.cancel()
            self._timer = self._loop.later(0.3, lambda: self._end(Finished(signal=15, cancelled=True)))


class SimulatedCourier:
    """Brings reports, one every 0.2 s, to an app server that keeps them by their id."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.answers: Callable[[Report], Delivery] = lambda report: Delivery(report.id, "delivered")
        self.posts: list[tuple[float, str]] = []
        self.kept: dict[str, Report] = {}
        self.starts: list[float] = []
        self.busy = False

    def start(self, reports: Sequence[Report], done: Callable[[Sequence[Delivery]], None]) -> SimulatedRound:
        if self.busy or not reports:
            raise Violated("two deliveries at once, or one of nothing")
        self.busy = True
        self.starts.append(self._loop.now())
        return SimulatedRound(self, self._loop, list(reports), done)

    def post(self, report: Report) -> Delivery:
        self.posts.append((self._loop.now(), report.id))
        delivery = self.answers(report)
        if delivery.result == "delivered":
            self.kept.setdefault(report.id, report)
        return delivery

    def end_process(self) -> None:
        self.busy = False


class SimulatedRound:
    def __init__(
        self,
        courier: SimulatedCourier,
        loop: SimulatedLoop,
        reports: list[Report],
        done: Callable[[Sequence[Delivery]], None],
    ) -> None:
        self._courier, self._loop, self._reports, self._done = courier, loop, reports, done
        self._told: list[Delivery] = []
        self._over = False
        loop.later(0.2, self._step)

    def _step(self) -> None:
        if self._over:
            return
        self._told.append(self._courier.post(self._reports.pop(0)))
        if not self._reports or self._told[-1].result == "failed":
            self._end()
        else:
            self._loop.later(0.2, self._step)

    def _end(self) -> None:
        self._over = True
        self._courier.busy = False
        self._done(self._told)

    def cancel(self) -> None:
        if not self._over:
            self._over = True
            self._loop.later(0.1, self._end)


class SimulatedSims:
    """The SIMs that are in the modems; None while ModemManager cannot be asked."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.inside: list[SeenSim] | None = [SeenSim("m1", "s1", "iccid:…0001")]
        self.reads = 0

    def read(self, done: Callable[[Sequence[SeenSim] | None], None]) -> None:
        self.reads += 1
        seen = None if self.inside is None else tuple(self.inside)
        self._loop.later(0.05, lambda: done(seen))

    def swap(self, name: str, modem: str = "m1") -> None:
        self.inside = [SeenSim(modem, name, f"iccid:…{name[-4:]}")]


class Witness:
    """Who is told: listener, hooks and service manager in one."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.completed: list[Record] = []
        self.swaps: list[str] = []
        self.changes = 0
        self.hooks: list[tuple[str, Mapping[str, str]]] = []
        self.words: list[str] = []
        self.settled: Callable[[], None] | None = None

    def check_started(self, id: str) -> None:  # noqa: A002
        self.started.append(id)

    def check_completed(self, record: Record) -> None:
        self.completed.append(record)

    def sim_changed(self, shown: str) -> None:
        self.swaps.append(shown)

    def changed(self) -> None:
        self.changes += 1

    def run(self, event: str, facts: Mapping[str, str]) -> None:
        self.hooks.append((event, facts))

    def settle(self, done: Callable[[], None]) -> None:
        assert self.settled is None, "settled twice"
        self.settled = done
        done()

    def say(self, text: str) -> None:
        self.words.append(text)


class Device:
    """A device with the service on it. Its agent may be killed, and the device switched off, at any moment.

    Args:
        script: how each check ends, and after how many seconds.
        seed: of all chance.
        settings: of the service.
        log: the agent's.
        mortal: the store is a :class:`MortalStore`.
        directory: where the state is kept; None for memory alone, and a process that is never killed.
    """

    def __init__(
        self,
        script: Callable[[Request], tuple[float, Finished]] = lambda request: (2.0, printed()),
        *,
        seed: int = 1,
        settings: config.Service | None = None,
        directory: Path | None = None,
        wall: float = TODAY,
        start: bool = True,
        mortal: bool = False,
        log: logging.Logger | None = None,
    ) -> None:
        self._mortal = mortal
        self.loop = SimulatedLoop(wall)
        self.random = random.Random(seed)
        self.settings = settings or config.Service()
        self.configured = self.reports = True
        self.checks = SimulatedChecks(self.loop, script)
        self.courier = SimulatedCourier(self.loop)
        self.sims = SimulatedSims(self.loop)
        self.witness = Witness()
        self._directory = directory
        self._boots = 1
        self.log = log or logging.getLogger("phonecheck.simulated")
        self.store: Store = self._memory()
        _DEVICES.append(self)
        if start:
            self.start()

    def _memory(self) -> Store:
        store = Store(
            self._directory,
            wall=self.loop.wall,
            boot=self.loop.now,
            boot_id=f"boot-{self._boots}",
            say=self.log.log,
            limits=Limits(history=100_000, outbox_size=100_000, outbox_age=1e12),
        )
        # It takes the store's place without being one.
        return MortalStore(store, self.random) if self._mortal else store  # type: ignore[return-value]

    def start(self) -> None:
        self.agent = Agent(
            self.loop,
            self.store,
            self.checks,
            self.courier,
            self.witness,
            self.sims,
            self.witness,
            self.witness,
            random=self.random.random,
            log=self.log,
        )
        self.configure()
        self.agent.start()

    def configure(self, settings: config.Service | None = None) -> None:
        self.settings = settings or self.settings
        self.agent.configure(self.settings, configured=self.configured, reports=self.reports)

    def set_clock(self, wall: float) -> None:
        by = self.loop.set_clock(wall)
        self.store.clock_set(by)
        self.agent.clock_set(by)

    def kill(self, *, start: bool = True) -> None:
        """kill -9, and systemd starts it again."""
        self.loop.end_process()
        self._reopen(start=start)

    def switch_off(self, seconds: float, wall: float | None = None, *, start: bool = True) -> None:
        """The power goes, and comes back after so many seconds with this wall clock, or the right one."""
        self.loop.restart_device(seconds, wall)
        self._boots += 1
        self._reopen(start=start)

    def _reopen(self, *, start: bool) -> None:
        self.checks.end_process()
        self.courier.end_process()
        assert self._directory is not None, "what is in memory alone does not outlive its process"
        self.store.close()
        self.store = self._memory()
        if start:
            self.start()

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Of history, the oldest first: trigger, and outcome or error code."""
        return [
            (record.trigger, (record.document["error"] or {}).get("code") or record.document["outcome"])
            for record in reversed(self.store.history(0))
        ]


_DEVICES: list[Device] = []


def close_all() -> None:
    """Close the stores of all devices: nobody else would, and Python 3.13 warns of it in whichever test comes next."""
    while _DEVICES:
        _DEVICES.pop().store.close()


def one_after_the_other(*finished: Finished, seconds: float = 2.0) -> Callable[[Request], tuple[float, Finished]]:
    """A script of these, the last one for ever."""
    left: Iterator[Finished] = iter(finished[:-1])
    return lambda request: (seconds, next(left, finished[-1]))
