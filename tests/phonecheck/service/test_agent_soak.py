"""Days and years of a device's life in virtual time, with all that may befall it."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck import config
from phonecheck.errors import BearerError, CheckError, ServerError, ServiceError, SimError
from phonecheck.model import PhoneNumber
from phonecheck.service.model import AUTOMATIC, Delivery, Finished, Report, Request
from simulated_device import TODAY, Device, Killed, MortalStore, SimulatedLoop, Violated, close_all, printed

NUMBER = PhoneNumber.parse("+447700900123")
SILENT = logging.getLogger("phonecheck.silent")
SILENT.setLevel(logging.CRITICAL)
EVERY = 1800.0
SETTINGS = config.Service(every=EVERY, start_jitter=20.0)
_NOT_MADE_UP = 1_704_067_200.0


@pytest.fixture(autouse=True)
def _devices_closed() -> Iterator[None]:
    yield
    close_all()


def limited(seconds: float) -> Finished:
    return printed(error=CheckError("rate-limited", "Too many.", retry_after=seconds))


class Life:
    """A device, chance, and what an onlooker who knows the right time sees of it.

    Args:
        seed: of chance.
        directory: where the state is kept.
        deadly: whether the process may be killed and the power may go.
    """

    def __init__(self, seed: int, directory: Path | None, *, deadly: bool) -> None:
        self.chance = random.Random(seed)
        self.deadly = deadly
        self.born = 0.0
        self.asked: set[str] = set()
        self.asking = False
        self.accepted: set[str] = set()
        self.waits: list[tuple[float, str, float]] = []
        self.reborn_at = 0.0
        self.posts: Counter[str] = Counter()
        self.answers_lost: set[str] = set()
        self.well = False
        self.device = Device(
            self.script, seed=seed, settings=SETTINGS, directory=directory, mortal=True, start=False, log=SILENT
        )
        self.device.checks.begun = self.begun
        self.device.checks.ended = self.ended
        self.device.courier.answers = self.answer
        self.living(self.device.start)

    @property
    def mortal(self) -> MortalStore:
        assert isinstance(self.device.store, MortalStore)
        return self.device.store

    def right(self) -> float:
        """Seconds of the right time since the beginning."""
        return self.born + self.device.loop.now()

    def script(self, request: Request) -> tuple[float, Finished]:
        seconds = self.chance.uniform(1.0, 20.0)
        if self.well:
            return seconds, printed()
        outcomes = {
            printed(): 12,
            printed("no_match"): 2,
            printed(error=BearerError("not-registered", "No.")): 3,
            printed(error=SimError("sim-missing", "No.")): 1,
            printed(error=ServerError("server-unreachable", "No.")): 3,
            printed(error=ServerError("server-rejected", "No.")): 1,
            limited(self.chance.choice([1.0, 60.0, 60.0, 1000.0, 5000.0])): 2,
            Finished(hung=True, signal=15): 1,
            Finished(signal=9): 1,
            Finished(status=70, stdout=b"{"): 1,
            Finished(failed="no memory"): 1,
        }
        (finished,) = self.chance.choices(list(outcomes), list(outcomes.values()))
        return (90.0 if finished.hung else seconds), finished

    def begun(self, request: Request) -> None:
        if request.trigger in AUTOMATIC and request.id not in self.asked and not self.asking:
            held = [until for until, id_, _ in self.waits if until > self.right() and self.told(id_)]
            if held:
                raise Violated(f"{request.trigger} {max(held) - self.right():.0f} s before Retry-After has passed")

    def told(self, id_: str) -> bool:
        """Whether a Retry-After was noted, and not the process killed before."""
        record = self.device.store.find(id_)
        return record is not None and record.document["error"]["code"] == "rate-limited"

    def ended(self, request: Request, finished: Finished) -> None:
        # What the process did not live to write down, nobody can hold it to.
        if b'"retry_after": ' in finished.stdout and b'"retry_after": null' not in finished.stdout:
            seconds = float(finished.stdout.split(b'"retry_after": ')[1].split(b",")[0])
            self.waits.append((self.right() + seconds, request.id, self.right()))

    def answer(self, report: Report) -> Delivery:
        draw = 1.0 if self.well else self.chance.random()
        if draw < 0.3:
            return Delivery(report.id, "failed", "server-unreachable", self.chance.choice([None, None, 100.0]))
        self.posts[report.id] += 1
        if draw < 0.35:
            # The server has it, and its answer is lost.
            self.device.courier.kept.setdefault(report.id, report)
            self.answers_lost.add(report.id)
            return Delivery(report.id, "failed", "server-unreachable")
        return Delivery(report.id, "delivered")

    def living(self, act: object, *args: object) -> None:
        """Do something that the process may not survive."""
        assert callable(act)
        while True:
            try:
                act(*args)
            except Killed:
                self.accepted.update(self.mortal.accepted)
                self.reborn()
                act, args = self.device.start, ()
            else:
                return

    def reborn(self) -> None:
        """The process was killed, or the power went."""
        loop = self.device.loop
        self.device.witness.settled = None
        self.reborn_at = self.right()
        if self.chance.random() < 0.5:
            self.device.kill(start=False)
            return
        off = self.chance.choice([3.0, 600.0, 10_000.0])
        right = self.right() + off
        if abs(loop.wall() - TODAY - (self.right() - 100.0)) > 60 and loop.wall() >= _NOT_MADE_UP:
            # Written down by a clock that was wrong and looked right: nobody can know afterwards.
            self.waits.clear()
        wall = TODAY + right - 100.0
        self.device.switch_off(off, self.chance.choice([10.0, wall]), start=False)
        self.born = right - loop.now()

    def befall(self) -> None:
        """Something happens."""
        events = [
            lambda: self.living(self.ask, None),
            lambda: self.living(self.ask, f"/dev/m{self.chance.randrange(3)}"),
            self.swap,
            self.stir,
            lambda: self.living(self.device.loop.suspend, self.chance.choice([5.0, 600.0, 10_000.0])),
            lambda: self.set_clock(10.0),
            lambda: self.set_clock(TODAY + 1e9),
            lambda: self.set_clock(TODAY + self.right() - 100.0),
            self.reload,
            lambda: self.living(self.stop),
        ]
        if self.deadly:
            events += [self.light_the_fuse, self.light_the_fuse, self.die]
        self.chance.choice(events)()

    def set_clock(self, wall: float) -> None:
        if wall > TODAY + 1e8:
            # It may be the clock that was waited for since the device was started: what came before was long ago then.
            self.waits = [wait for wait in self.waits if wait[2] > self.reborn_at]
        self.living(self.device.set_clock, wall)

    def swap(self) -> None:
        self.device.sims.swap(f"s{self.chance.randrange(300)}")
        self.living(self.device.agent.modems_changed)

    def stir(self) -> None:
        for _ in range(self.chance.randrange(1, 10)):
            self.living(self.device.agent.modems_changed)

    def reload(self) -> None:
        self.device.configured = self.chance.random() < 0.8
        settings = config.Service(every=self.chance.choice([600.0, EVERY]), start_jitter=20.0)
        self.living(self.device.configure, settings)

    def light_the_fuse(self) -> None:
        self.mortal.fuse = self.chance.randrange(1, 12)

    def die(self) -> None:
        self.accepted.update(self.mortal.accepted)
        self.reborn()
        self.living(self.device.start)

    def ask(self, modem: str | None) -> None:
        self.asking = True
        try:
            self.asked.add(self.device.agent.ask(modem, None, None))
        except ServiceError as error:
            assert error.code == ("agent-busy" if self.device.configured else "not-configured")  # noqa: PT017
        finally:
            self.asking = False

    def stop(self) -> None:
        ended: list[bool] = []
        self.device.agent.stop(lambda: ended.append(True))
        self.device.loop.run(30.0)
        assert ended
        assert self.device.loop.next_due is None
        self.device.witness.settled = None
        self.accepted.update(self.mortal.accepted)
        self.device.kill()

    def look(self) -> None:
        """What must hold at any time."""
        device = self.device
        agent = device.agent
        assert agent.healthy()
        if device.configured and agent.state != "checking":
            assert agent.next_run, "nothing is due"
            # The longest Retry-After and its spread, which begins anew where no clock tells how long the power was off.
            assert agent.next_run - device.loop.wall() <= 5500.0

    def end(self) -> None:
        """All is well from now on; after a while everything must be accounted for."""
        self.well, self.deadly = True, False
        self.mortal.fuse = None
        self.device.configured = True
        self.living(self.device.configure, SETTINGS)
        self.living(self.device.set_clock, TODAY + self.right() - 100.0)
        # Beyond the longest Retry-After, and the longest back-off after it.
        self.living(self.device.loop.run, 40_000.0)
        while self.device.agent.state == "checking" or self.device.courier.busy:
            self.living(self.device.loop.run, 1.0)
        self.accepted.update(self.mortal.accepted)
        history = [record.id for record in self.device.store.history(0)]
        assert len(history) == len(set(history))
        assert (self.accepted | self.asked) <= set(history)
        assert self.device.store.pending() == ([], [])
        assert set(self.device.courier.kept) == set(history)
        assert self.device.store.waiting == self.device.store.dropped == 0
        assert self.device.agent.state == "idle"


def live(seed: int, directory: Path | None, *, hours: float, pause: float, deadly: bool) -> Life:
    life = Life(seed, directory, deadly=deadly)
    until = life.right() + hours * 3600
    while life.right() < until:
        life.living(life.device.loop.run, life.chance.expovariate(1 / pause))
        life.look()
        life.befall()
        life.look()
    life.end()
    return life


@pytest.mark.parametrize("seed", range(4))
def test_a_day_of_kills_power_cuts_and_everything_else(seed: int, tmp_path: Path) -> None:
    life = live(seed, tmp_path, hours=24, pause=90.0, deadly=True)
    assert len(life.device.store.history(0)) > 30


@pytest.mark.parametrize("seed", range(4))
def test_a_day_in_which_nobody_is_killed_has_every_report_posted_once(seed: int, tmp_path: Path) -> None:
    life = live(seed, tmp_path, hours=24, pause=90.0, deadly=False)
    again = {id_ for id_, times in life.posts.items() if times > 1}
    assert again <= life.answers_lost


def test_a_year_of_schedule_misses_nothing_and_wakes_for_nothing_else() -> None:
    device = Device(settings=config.Service(every=6 * 3600.0), log=SILENT)
    device.loop.run(366 * 86400.0)
    checks = len(device.checks.made)
    assert 366 * 4 / 1.1 <= checks <= 366 * 4 + 1
    assert len(device.courier.kept) == checks
    # For each check: its timer, its end, the delivery, and the reading of SIMs at the start.
    assert device.loop.turns <= 3 * checks + 5


def test_a_fleet_does_not_come_at_once() -> None:
    """300 devices whose power comes back at one moment, and whose server is away for two hours of the day."""
    settings = config.Service(every=6 * 3600.0, jitter=1800.0, start_jitter=1800.0)
    at: Counter[int] = Counter()

    def fleet(n: int) -> None:
        def script(request: Request) -> tuple[float, Finished]:
            now = device.loop.now()
            at[int(now // 60)] += 1
            away = 18_000 <= now < 25_200
            return 1.0, printed(error=ServerError("server-unreachable", "Away.")) if away else printed()

        device = Device(script, seed=n, settings=settings, start=False, log=SILENT)
        device.reports = False
        device.start()
        device.loop.run(12 * 3600.0)
        close_all()

    for n in range(300):
        fleet(n)
    # 300 in thirty minutes are ten in each; a device whose server is away tries five times in the first four minutes.
    assert max(at.values()) <= 90
    assert sum(at.values()) > 600


def test_the_onlooker_notices() -> None:
    """The soak can fail: an agent that forgets a Retry-After is found out."""
    life = Life(1, None, deadly=False)
    life.waits.append((1e9, "x", 0.0))
    life.told = lambda id_: True  # type: ignore[method-assign]
    with pytest.raises(Violated, match="before Retry-After"):
        life.device.loop.run(86400.0)
    assert isinstance(life.device.loop, SimulatedLoop)
