"""Tells everybody who listens: the journal, D-Bus, the hooks, the service manager."""

from __future__ import annotations

import logging
from collections.abc import Callable

from phonecheck.service import announce
from phonecheck.service.model import Record, SeenSim
from phonecheck.service.ports import Hooks, Listener, Status


class Herald:
    """What happens, told to all of them in the same order.

    Args:
        hooks: runs what the device's owner wants run.
        listener: the D-Bus API.
        status: the service manager.
        log: gets one line for each outcome.
    """

    def __init__(self, hooks: Hooks, listener: Listener, status: Status, log: logging.Logger) -> None:
        self._hooks, self._listener, self._status, self._log = hooks, listener, status, log
        self._last = "Idle"

    def began(self, id: str) -> None:  # noqa: A002  the API's own word
        """A check was begun."""
        self._listener.check_started(id)

    def ended(self, record: Record) -> None:
        """A check has its outcome."""
        self._last = announce.sentence(record)
        level = logging.INFO if record.document["match"] else logging.WARNING
        self._log.log(level, "%s", self._last, extra={"fields": announce.fields(record)})
        self._listener.check_completed(record)
        self._hooks.run("check-completed", announce.facts(record))

    def swapped(self, sim: SeenSim) -> None:
        """Another SIM is in a modem."""
        self._log.info("Another SIM is in a modem: %s", sim.shown)
        self._listener.sim_changed(sim.shown)
        self._hooks.run("sim-changed", {"PHONECHECK_EVENT": "sim-changed", "PHONECHECK_SIM": sim.shown})

    def changed(self, doing: str, next_run: float) -> None:
        """The service does something else than before.

        Args:
            doing: what, in words; empty where it waits for ``next_run``.
            next_run: seconds since the epoch, 0.0 for never.
        """
        self._listener.changed()
        due = announce.instant(next_run)
        self._status.say(doing or f"{self._last}; {f'next check {due}' if due else 'no check due'}")

    def settle(self, done: Callable[[], None]) -> None:
        """Call ``done`` when all have been told, the last hook included."""
        self._hooks.settle(done)
