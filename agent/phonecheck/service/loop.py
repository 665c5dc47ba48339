"""The service as a whole: puts the real parts together, and passes on what the system wants of the process.

SIGTERM, SIGINT   stop: the running check may finish, or is called off
SIGHUP            read the configuration again; one that is wrong is not taken over
SIGUSR1           have a check made now
"""

from __future__ import annotations

import ctypes
import logging
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phonecheck import __version__, config
from phonecheck.errors import AgentError, ServiceError
from phonecheck.service import options, results
from phonecheck.service.agent import Agent
from phonecheck.service.checks import Accepted, ChildChecks
from phonecheck.service.children import Children
from phonecheck.service.courier import ChildCourier
from phonecheck.service.dbus import Api
from phonecheck.service.hooks import HookRunner
from phonecheck.service.mainloop import MainLoop
from phonecheck.service.metricsfile import MetricsFile
from phonecheck.service.notify import Notifier
from phonecheck.service.oneatatime import ChecksInTurn, CourierInTurn, OneAtATime
from phonecheck.service.sims import ModemSims
from phonecheck.service.store import Limits, Store
from phonecheck.service.tally import Tally

_log = logging.getLogger("phonecheck.service")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PINGS = 3
"""Signs of life in one WatchdogSec: one may come late and the next still be in time."""


class Service:
    """`phonecheck run`.

    Args:
        file: the configuration, or None for the default place.
        directory: where the state is kept.

    Raises:
        ConfigError: the configuration is wrong. ServiceError: already-running.
    """

    def __init__(self, file: Path | None, directory: Path) -> None:
        self._file = file
        self._accepted = accepted(file)
        self._refused = ""
        settings = self._accepted.settings
        self._notifier = Notifier()
        self._loop = MainLoop()
        self._children = Children(self._loop)
        self._store = Store(
            directory,
            wall=self._loop.wall,
            boot=self._loop.now,
            boot_id=_BOOT_ID.read_text().strip(),
            say=_log.log,
            limits=_limits(settings.service),
        )
        self._api = Api(None, self._loop, self)
        self._metrics = MetricsFile(self._loop, self.properties)
        self._tally = Tally(self._api, self._metrics.changed, self._store.last_match(), self._store.find)
        self._sims = ModemSims(None, self._loop, self._store.salt, self._modems_changed)
        modem = OneAtATime(self._loop)
        checks = ChildChecks(self._children, lambda: self._accepted, directory)
        courier = ChildCourier(self._children, lambda: self._accepted, environ=checks.environment)
        self._agent = Agent(
            self._loop,
            self._store,
            ChecksInTurn(checks, modem),
            CourierInTurn(courier, modem, lambda: self._accepted.settings.server.over == "modem"),
            HookRunner(self._children, lambda: self._accepted.settings.service.hooks),
            self._sims,
            self._tally,
            self._notifier,
            random=random.random,
            log=_log,
        )

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit status.

        Raises:
            ServiceError: already-running, the name on the bus is taken.
        """
        self._api.start()
        self._apply()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._stop)
        self._loop.on_signal(signal.SIGHUP, self._reload)
        self._loop.on_signal(signal.SIGUSR1, self._ask)
        self._loop.on_clock_set(self._clock_set)
        self._sims.start()
        self._agent.start()
        self._loop.soon(self._begun)
        self._loop.run()
        return 0

    # What D-Bus asks for

    def verify(self, given: Mapping[str, Any]) -> str:
        """The id of the check that is made for these options.

        Raises:
            ServiceError: bad-option, agent-busy, not-configured.
        """
        modem, number, timeout = options.options_of(given)
        return self._agent.ask(modem, number, timeout)

    def check(self, id: str) -> dict[str, Any]:  # noqa: A002  the API's own word
        """A check's state, and when it is done its result.

        Raises:
            ServiceError: unknown-check.
        """
        record = self._store.find(id)
        if record is not None:
            return {"state": "done", **results.result_of(record)}
        state = self._store.state(id)
        if state is None:
            raise ServiceError("unknown-check", "The service remembers no check of this id.")
        return {"state": state}

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The checks that were made, the newest first; 0 for all."""
        return [results.result_of(record) for record in self._store.history(limit)]

    def properties(self) -> dict[str, Any]:
        """The properties of the interface, as they are now."""
        last = self._store.history(1)
        return {
            "State": self._agent.state,
            "LastResult": results.result_of(last[0]) if last else {},
            "NextRun": int(self._agent.next_run),
            "Version": __version__,
            "Outbox": self._store.waiting,
            "Dropped": self._store.dropped,
            "Problem": self._refused or self._store.problem,
            "Totals": self._tally.totals,
            "LastSuccess": int(self._tally.last_match),
        }

    # What the system wants

    def _begun(self) -> None:
        """The loop runs: now the service is ready, and not before."""
        _return_memory()
        self._notifier.ready()
        if self._notifier.watchdog_seconds:
            self._live()

    def _live(self) -> None:
        if self._loop.healthy() and self._agent.healthy() and not self._children.overdue:
            self._notifier.watchdog()
        self._loop.later(self._notifier.watchdog_seconds / _PINGS, self._live)

    def _ask(self) -> None:
        try:
            self._agent.ask(None, None, None, trigger="signal")
        except ServiceError as error:
            _log.warning("%s %s", error.message, error.hint)

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            self._accepted = accepted(self._file)
        except AgentError as error:
            self._refused = f"The configuration was not taken over: {error.message}"
            _log.error("%s %s", self._refused, error.hint)
        else:
            self._refused = ""
            self._apply()
            _log.info("The configuration was read again.")
        self._notifier.ready()
        self._tally.changed()

    def _apply(self) -> None:
        settings = self._accepted.settings
        self._store.limits = _limits(settings.service)
        self._metrics.configure(settings.service.metrics)
        self._agent.configure(
            settings.service,
            configured=settings.server.url is not None,
            reports=settings.server.url is not None and settings.server.report is not None,
        )

    def _clock_set(self, by: float) -> None:
        _log.info("The clock was set by %+.0f s.", by)
        self._store.clock_set(by)
        self._tally.clock_set()
        self._agent.clock_set(by)

    def _modems_changed(self) -> None:
        self._agent.modems_changed()

    def _stop(self) -> None:
        self._notifier.stopping()
        self._agent.stop(lambda: self._children.settle(self._end))

    def _end(self) -> None:
        self._sims.close()
        self._api.close()
        self._metrics.close()
        self._store.close()
        self._loop.quit()


def accepted(file: Path | None) -> Accepted:
    """The configuration as it is in the file now.

    Raises:
        ConfigError: bad-setting.
    """
    raw = config.contents(file)
    name = file or config.DEFAULT_FILE
    return Accepted(raw, name, config.read(raw, name))


def _limits(settings: config.Service) -> Limits:
    return Limits(settings.history, settings.outbox_size, settings.outbox_age)


def _return_memory() -> None:
    """Give back what the start needed and the loop does not: 1 to 2 MB of the parser's and the imports' leavings."""
    ctypes.CDLL(None).malloc_trim(0)
