"""Reports on their way to the app server: when they are brought, and what becomes of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from phonecheck.service import triggers
from phonecheck.service.alarm import Alarm
from phonecheck.service.model import Delivery
from phonecheck.service.ports import Cancel, Courier, Loop, Memory

_BATCH = 50
_FIRST = 30.0
"""Seconds of the first back-off."""
_ASKED = "retry-after"
"""In an error code's place, of a wait that the app server asked for: another process of the service must know that, too."""


class Deliveries:
    """One delivery at a time, as soon as there is something to deliver, and no sooner than a back-off allows.

    Args:
        loop: where things happen.
        memory: holds the outbox.
        courier: brings reports.
        random: draws a number from 0 to below 1.
        log: of what is given up.
        changed: told when the outbox is another one.
    """

    def __init__(
        self,
        loop: Loop,
        memory: Memory,
        courier: Courier,
        random: Callable[[], float],
        log: logging.Logger,
        changed: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._courier = courier
        self._random = random
        self._log = log
        self._changed = changed
        self._again = Alarm("delivery", loop, memory, self.go)
        self._wanted = False
        self._under_way: Cancel | None = None
        self._stopped: Callable[[], None] | None = None

    @property
    def under_way(self) -> bool:
        """Whether reports are being brought."""
        return self._under_way is not None

    @property
    def lost(self) -> bool:
        """Whether another try should have been made long ago."""
        return self._again.lost

    def start(self, lead: float) -> None:
        """Take up what was due when the service ended, at the earliest in ``lead`` seconds."""
        self._again.resume(least=lead, most=triggers.LONGEST_HOLD * 2)
        if lead and self._again.left is None and self._memory.outbox(1):
            self._again.set(lead)
        self.go()

    def configure(self, *, wanted: bool) -> None:
        """Whether there is somebody to bring reports to."""
        self._wanted = wanted

    def go(self) -> None:
        """Bring what is in the outbox, unless that is being done, or is to be done later."""
        if not self._wanted or self._stopped or self._under_way or self._again.left is not None:
            return
        reports = self._memory.outbox(_BATCH)
        if not reports:
            return
        ids = [report.id for report in reports]
        try:
            self._under_way = self._courier.start(reports, lambda told: self._come_back(ids, told))
        except Exception:  # noqa: BLE001  whatever it is, the reports are brought another time
            self._log.exception(
                "A bug in phonecheck: reports could not be sent off; please report it with these lines."
            )
            self._come_back(ids, ())

    def reached(self) -> None:
        """The app server has just answered: a back-off that it did not ask for is over."""
        if self._again.code != _ASKED and self._under_way is None:
            self._again.clear()

    def clock_set(self) -> None:
        """The wall clock was set."""
        self._again.clock_set()

    def stop(self, done: Callable[[], None]) -> None:
        """Call off what is under way and begin nothing more; ``done`` when nothing is."""
        self._stopped = done
        self._again.pause()
        if self._under_way is None:
            done()
        else:
            self._under_way.cancel()

    def _come_back(self, ids: Sequence[str], told: Sequence[Delivery]) -> None:
        self._under_way = None
        failed: Delivery | None = None
        settled: set[str] = set()
        for delivery in told:
            if delivery.id not in ids or delivery.id in settled:
                continue
            if delivery.result == "failed":
                failed = delivery
                break
            settled.add(delivery.id)
            if delivery.result == "delivered":
                self._memory.delivered(delivery.id)
            else:
                self._memory.refused(delivery.id)
                self._log.warning(
                    "The app server does not take a report, and it is given up: %s.",
                    delivery.code or "refused",
                    extra={"fields": {"PHONECHECK_ID": delivery.id, "PHONECHECK_ERROR": delivery.code}},
                )
        if settled:
            self._changed()
        if self._stopped:
            self._stopped()
        elif len(settled) == len(ids):
            self._again.clear()
            self.go()
        else:
            self._back_off(failed, tries=0 if settled else self._again.tries)

    def _back_off(self, failed: Delivery | None, tries: int) -> None:
        asked = failed.retry_after if failed else None
        asked = None if asked is None else min(asked, triggers.LONGEST_HOLD)
        wait = triggers.back_off(tries, self._random(), first=_FIRST, asked=asked)
        why = _ASKED if asked is not None else failed.code if failed else ""
        self._again.set(wait, tries=tries + 1, code=why)
