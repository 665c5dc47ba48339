"""The agent: what happens when. It knows the parts by their ports alone, and of time what the plan says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from phonecheck import config
from phonecheck.errors import ServiceError
from phonecheck.model import PhoneNumber
from phonecheck.service import announce, triggers, verdict
from phonecheck.service.alarm import Once
from phonecheck.service.deliveries import Deliveries
from phonecheck.service.herald import Herald
from phonecheck.service.model import AUTOMATIC, Document, Finished, Request, SeenSim, Trigger
from phonecheck.service.plan import Plan
from phonecheck.service.ports import Cancel, Checks, Courier, Hooks, Listener, Loop, Memory, Sims, Status
from phonecheck.service.swaps import Swaps
from phonecheck.service.turns import Turns

FINISH_SECONDS = 10.0
"""What the running check may take when the service is stopped."""
_LONGEST_CHECK = 3 * 3600.0
"""Seconds beyond any check's deadline: ``chain.timeout`` and ``modem.wait`` are an hour each at most."""

State = Literal["unconfigured", "idle", "checking", "waiting"]


@dataclass(eq=False, slots=True)
class _Run:
    request: Request
    begun: float
    cancel: Cancel | None = None


class Agent:
    """Has checks made when they are due or asked for, one at a time, and tells everybody what came of them.

    Everything happens in the loop's thread. To be configured, then started.

    Args:
        loop: timers and the clock.
        store: what outlives the process.
        checks: makes a check.
        courier: brings reports to the app server.
        hooks: runs what the device's owner wants run.
        sims: reads the SIMs.
        listener: the D-Bus API.
        status: the service manager.
        random: draws a number from 0 to below 1.
        log: gets one line for each outcome.
    """

    def __init__(
        self,
        loop: Loop,
        store: Memory,
        checks: Checks,
        courier: Courier,
        hooks: Hooks,
        sims: Sims,
        listener: Listener,
        status: Status,
        *,
        random: Callable[[], float],
        log: logging.Logger,
    ) -> None:
        self._loop, self._store = loop, store
        self._checks, self._random, self._log = checks, random, log
        self._herald = Herald(hooks, listener, status, log)
        self._plan = Plan(loop, store, random, self._want, self._next)
        self._deliveries = Deliveries(loop, store, courier, random, log, self._changed)
        self._swaps = Swaps(loop, store, sims, self._swapped)
        self._patience = Once(loop, self._call_off)
        self._settings = config.Service()
        self._configured = self._reports = False
        self._running: _Run | None = None
        self._turns = Turns()
        self._started = False
        self._done: Callable[[], None] | None = None

    # What the process is told

    def configure(self, service: config.Service, *, configured: bool, reports: bool) -> None:
        """Take over settings, before the start and whenever they are others.

        Args:
            service: when to verify.
            configured: whether there is an app server; without one nothing is verified.
            reports: whether it wants reports.
        """
        former, self._configured = self._configured, configured
        self._settings, self._reports = service, reports
        self._plan.configure(service)
        self._deliveries.configure(wanted=reports)
        if not self._started or self._done:
            return
        if configured and not former:
            lead = self._lead()
            self._plan.resume(lead)
            self._plan.begin(lead, start=True)
        self._deliveries.go()
        self._next()
        self._changed()

    def start(self) -> None:
        """Take up what the store holds, and begin."""
        self._started = True
        lead = self._lead()
        queued, interrupted = self._store.pending()
        for request in queued:
            self._turns.add(request)
        self._plan.resume(lead)
        again = False
        for request in interrupted:
            self._account(request, verdict.document_of(Finished(cancelled=True), number=request.number))
            again = again or request.trigger in AUTOMATIC
        if self._configured:
            # An interrupted check that is tried again is what the start would be: a crash that checks cause is to be
            # answered by the back-off, and not by a check at each start.
            self._plan.begin(lead, start=not again)
        self._deliveries.start(lead)
        self._swaps.look()
        self._next()
        self._changed()

    def ask(
        self, modem: str | None, number: PhoneNumber | None, timeout: float | None, *, trigger: Trigger = "request"
    ) -> str:
        """Have a check made, or join one that does for it; None is as configured, the timeout is in seconds.

        Returns:
            The check's id, once it is sure not to be forgotten.

        Raises:
            ServiceError: agent-busy, not-configured; agent-unavailable, the service is being stopped.
        """
        if self._done:
            raise ServiceError("agent-unavailable", "The service is being stopped.")
        if not self._configured:
            raise ServiceError("not-configured", "The service does not know an app server yet.")
        request = Request(trigger, modem, number, timeout)
        other = self._turns.join(request, self._running.request if self._running else None)
        if other is None:
            if self._turns.full:
                raise ServiceError("agent-busy", f"{triggers.QUEUE} checks are waiting for their turn already.")
            self._store.accept(request)
            self._turns.add(request)
        self._next()
        return (other or request).id

    def modems_changed(self) -> None:
        """Something about the modems is another, be it by the check that runs."""
        if self._done:
            return
        self._swaps.look_soon()
        if self._running is None:
            self._plan.modems_changed()

    def clock_set(self, by: float) -> None:  # noqa: ARG002  by how much, the dates tell
        """The wall clock was set."""
        self._plan.clock_set()
        self._deliveries.clock_set()
        self._changed()

    def stop(self, done: Callable[[], None]) -> None:
        """Begin nothing more, and come to an end: the running check may take :data:`FINISH_SECONDS` yet.

        Args:
            done: called once, when neither a check nor a delivery nor a hook runs. Where stop is called again, only the
                first one is, and the running check is called off at once.
        """
        if self._done:
            self._call_off()
            return
        self._done = done
        self._swaps.stop()
        if self._running:
            self._patience.set(FINISH_SECONDS)
        self._changed()
        self._deliveries.stop(self._rest)

    # How it is

    @property
    def state(self) -> State:
        """What the D-Bus property of this name says."""
        if self._running:
            return "checking"
        if not self._configured:
            return "unconfigured"
        return "waiting" if self._plan.waiting or self._turns else "idle"

    @property
    def next_run(self) -> float:
        """When the next check is due that nobody has to ask for, in seconds since the epoch; 0.0 where none is."""
        lefts = [self._plan.left, self._plan.hold_left if self._turns else None]
        known = [left for left in lefts if left is not None]
        return self._loop.wall() + min(known) if known and self._configured else 0.0

    def healthy(self) -> bool:
        """Whether all that was due has happened, and what runs can still be in time."""
        if self._plan.lost or self._deliveries.lost or self._swaps.lost or self._patience.lost:
            return False
        if self._running:
            return self._loop.now() - self._running.begun < _LONGEST_CHECK
        return self._turn() is None

    # What happens

    def _want(self, trigger: Trigger, sims: Sequence[SeenSim] = (), *, first_sim: bool = False) -> None:
        """Have a check made that nobody asks for."""
        if self._done or not self._configured:
            self._store.remember(sims)
            return
        request = Request(trigger)
        running = self._running.request if self._running else None
        if self._turns.join(request, running, first_sim=first_sim):
            self._store.remember(sims)
        else:
            self._store.accept(request, sims=sims)
            self._turns.add(request)
        self._next()

    def _swapped(self, sims: Sequence[SeenSim]) -> None:
        if self._settings.on_sim_change:
            known = self._store.sims()
            # At boot the modem may come, and hurry a retry, a moment before its SIM can be read.
            self._want("sim-change", sims, first_sim=not any(sim.modem in known for sim in sims))
        else:
            self._store.remember(sims)
        for sim in sims:
            self._herald.swapped(sim)

    def _turn(self) -> Request | None:
        """The request whose turn it would be, if no check ran."""
        if self._done or not self._configured or not self._started:
            return None
        return self._turns.first(held=self._plan.hold_left is not None)

    def _next(self) -> None:
        request = None if self._running else self._turn()
        if request is None:
            return
        self._turns.take(request)
        run = self._running = _Run(request, self._loop.now())
        self._store.begin(request.id)
        try:
            run.cancel = self._checks.start(request, partial(self._ended, run))
        except Exception as error:  # noqa: BLE001  whatever it is, this check has failed, and the next one has its turn
            self._log.exception("A bug in phonecheck: a check could not be started; please report it with these lines.")
            failed = Finished(failed=type(error).__name__)
            self._loop.soon(partial(self._ended, run, failed))
        self._herald.began(request.id)
        self._changed()

    def _ended(self, run: _Run, finished: Finished) -> None:
        if self._running is not run:
            return
        self._running = None
        ms = (self._loop.now() - run.begun) * 1000
        try:
            self._account(run.request, verdict.document_of(finished, number=run.request.number, ms=ms))
            self._deliveries.go()
        finally:
            self._patience.clear()
            self._next()
            self._changed()
            self._rest()

    def _account(self, request: Request, document: Document) -> None:
        automatic = self._turns.end(request)
        # Before the outcome is noted, so that no crash comes between it and what follows from it.
        self._plan.ended(request, document, automatic=automatic)
        record = self._store.complete(request.id, document, report=self._reports)
        if triggers.failure_of(document) is None:
            self._deliveries.reached()
        self._herald.ended(record)

    def _call_off(self) -> None:
        if self._running and self._running.cancel:
            self._running.cancel.cancel()

    def _rest(self) -> None:
        """Come to the end that was asked for, once nothing is under way."""
        if self._done and self._running is None and not self._deliveries.under_way:
            self._plan.pause()
            self._herald.settle(self._done)

    def _lead(self) -> float:
        return self._random() * self._settings.start_jitter

    def _changed(self) -> None:
        doing = ""
        if self._running:
            doing = f"Checking {announce.reason(self._running.request.trigger)}"
        elif not self._configured:
            doing = ServiceError.cures["not-configured"]
        if self._done:
            doing = f"Stopping; {doing}" if doing else "Stopping"
        self._herald.changed(doing, self.next_run)
