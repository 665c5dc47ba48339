"""When the device verifies unasked: at start, on schedule, again after a failure, and never before a Retry-After."""

from __future__ import annotations

from collections.abc import Callable

from phonecheck import config
from phonecheck.service import triggers
from phonecheck.service.alarm import Alarm, Once
from phonecheck.service.model import Document, Request, Trigger
from phonecheck.service.ports import Loop, Memory


class Plan:
    """What is due, and what becomes of that with each check's end.

    Args:
        loop: where things happen.
        memory: what outlives the process.
        random: draws a number from 0 to below 1.
        want: has a check made for a reason.
        free: told when a Retry-After has passed.
    """

    def __init__(
        self,
        loop: Loop,
        memory: Memory,
        random: Callable[[], float],
        want: Callable[[Trigger], None],
        free: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._random = random
        self._settings = config.Service()
        self._going = False
        self._start = Once(loop, lambda: want("start"))
        self._schedule = Alarm("schedule", loop, memory, lambda: want("schedule"))
        self._retry = Alarm("retry", loop, memory, lambda: want("retry"))
        self._hold = Alarm("hold", loop, memory, self._released)
        self._free = free
        self._hurry = Once(loop, self._hurried)
        self._want = want
        self._hurries = 0
        self._hurried_at = float("-inf")
        self._failed: triggers.Failure | None = None

    @property
    def hold_left(self) -> float | None:
        """Seconds for which a Retry-After yet keeps back what nobody asked for; None where none does."""
        return self._hold.left

    @property
    def waiting(self) -> bool:
        """Whether another try is due after a failure."""
        return self._retry.left is not None or self._hurry.left is not None

    @property
    def left(self) -> float | None:
        """Seconds until the next check that nobody has to ask for; None where none is due."""
        dues = [each.left for each in (self._start, self._schedule, self._retry, self._hurry)]
        known = [left for left in dues if left is not None]
        return max(min(known), self._hold.left or 0.0) if known else None

    @property
    def lost(self) -> bool:
        """Whether something should have happened long ago."""
        return any(each.lost for each in (self._start, self._schedule, self._retry, self._hold, self._hurry))

    def configure(self, settings: config.Service) -> None:
        """Take over settings, also other ones than before."""
        former, self._settings = self._settings, settings
        if self._going and (former.every, former.jitter) != (settings.every, settings.jitter):
            self._schedule.clear()
            self._ensure()

    def resume(self, lead: float) -> None:
        """Take up what was due when the service ended, at the earliest in ``lead`` seconds.

        The power of a whole street comes back at once, and what was due meanwhile must not.
        """
        self._going = True
        every = self._settings.every
        self._hold.resume(most=triggers.LONGEST_HOLD * 2)
        self._retry.resume(least=lead, most=triggers.LONGEST_HOLD * 2)
        self._schedule.resume(least=lead, most=triggers.interval(every, self._settings.jitter, 1.0))
        if not every:
            self._schedule.clear()

    def begin(self, lead: float, *, start: bool) -> None:
        """See that the schedule goes on; with ``start`` have a check made in ``lead`` seconds, where one is wanted."""
        if start and self._settings.on_start:
            self._start.set(lead)
        self._ensure()

    def pause(self) -> None:
        """Let nothing happen until :meth:`resume`."""
        self._going = False
        for once in (self._start, self._hurry):
            once.clear()
        for alarm in (self._schedule, self._retry, self._hold):
            alarm.pause()

    def ended(self, request: Request, document: Document, *, automatic: bool) -> None:
        """A check has come to its end. To be called before that is noted: what is due must not be lost in between.

        A check that somebody asked for is theirs to repeat, so it is not tried again; but what it proves counts, and what
        its server asked to wait.

        Args:
            request: what was asked for.
            document: what came of it.
            automatic: whether a trigger that nobody waits for was behind it, be it one that has joined.
        """
        failure = triggers.failure_of(document)
        draw = self._random()
        if failure and failure.retry_after:
            self._hold.set(max(triggers.spread(failure.retry_after, draw), self._hold.left or 0.0))
        if triggers.is_plain(request) and (automatic or failure is None):
            self._follow(failure, draw)

    def modems_changed(self) -> None:
        """Bring another try forward where the last one failed for the modem."""
        code = self._retry.code or (self._failed.code if self._failed else "")
        if not self._going or self.hold_left is not None or not triggers.is_hurried(code):
            return
        wait = max(triggers.HURRY, self._hurried_at + triggers.gap(self._hurries) - self._loop.now())
        if self._hurry.left is None and (self._retry.left is None or wait < self._retry.left):
            self._hurry.set(wait)

    def clock_set(self) -> None:
        """The wall clock was set."""
        for alarm in (self._schedule, self._retry, self._hold):
            alarm.clock_set()

    def _follow(self, failure: triggers.Failure | None, draw: float) -> None:
        """Say what is due after a check that was the device's own, or as good."""
        for once in (self._start, self._hurry):
            once.clear()
        self._failed = failure
        if failure is None or not triggers.is_hurried(failure.code):
            self._hurries = 0
        self._schedule.clear()
        if failure and failure.again:
            tries = self._retry.tries
            wait = triggers.back_off(tries, draw, asked=failure.retry_after)
            self._retry.set(max(wait, self._hold.left or 0.0), tries=tries + 1, code=failure.code)
        else:
            self._retry.clear()
            self._ensure()

    def _ensure(self) -> None:
        """Have the next scheduled check due, unless tries after a failure stand in for it."""
        if self._settings.every and self._schedule.left is None and self._retry.left is None:
            self._schedule.set(triggers.interval(self._settings.every, self._settings.jitter, self._random()))

    def _released(self) -> None:
        self._hold.clear()
        self._free()

    def _hurried(self) -> None:
        self._hurries += 1
        self._hurried_at = self._loop.now()
        self._want("retry")
