"""Brings reports to the app server, by `phonecheck deliver` in a process of its own: here there is no HTTP."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Protocol

from phonecheck import redact
from phonecheck.config import Settings
from phonecheck.service import postbag
from phonecheck.service.children import sealed
from phonecheck.service.model import Delivery, Finished, Report
from phonecheck.service.ports import Cancel, Loop

_GRACE = 30.0
"""Seconds for its start, and for taking down what it brought up."""

_log = logging.getLogger("phonecheck.service")


class Children(Protocol):
    """Starts processes (service/children.py)."""

    @property
    def loop(self) -> Loop:
        """The service's loop."""

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes,
        env: Mapping[str, str],
        fds: Sequence[int],
        seconds: float,
        done: Callable[[Finished], None],
    ) -> Cancel:
        """Start one; ``done`` is called once."""


class Configuration(Protocol):
    """The configuration that the service accepted, as bytes and as settings."""

    @property
    def raw(self) -> bytes:
        """The file's bytes."""

    @property
    def settings(self) -> Settings:
        """What they say."""


class ChildCourier:
    """A courier for as long as the service runs.

    Args:
        children: starts processes.
        configuration: the one that holds now.
        environ: the environment of its processes. With PHONECHECK_BROUGHT in it (modem/brought.py), what a killed one had
            brought up is taken down as a check's is.
    """

    def __init__(
        self,
        children: Children,
        configuration: Callable[[], Configuration],
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._children = children
        self._configuration = configuration
        self._environ = environ
        self._said = ""

    def start(self, reports: Sequence[Report], done: Callable[[Sequence[Delivery]], None]) -> Cancel:
        """Bring reports in order, up to the first that fails.

        A report that no app server could be handed, for its size, is refused at once and here: ``done`` hears of it with
        the others.
        """
        lines = {report.id: postbag.report_line(report) for report in reports}
        fit = [report for report in reports if len(lines[report.id]) <= postbag.LINE_CAP]
        accepted = self._configuration()

        def ended(finished: Finished) -> None:
            done(self._heard(reports, fit, finished))

        try:
            config = sealed(accepted.raw, "phonecheck-config")
        except OSError as error:
            # No memory or no descriptor: there would be no process either.
            failed = Finished(failed=error.strerror or type(error).__name__)
            self._children.loop.soon(lambda: ended(failed))
            return _Nothing()
        try:
            return self._children.start(
                [sys.executable, "-P", "-m", "phonecheck", "deliver", "--config", f"/proc/self/fd/{config}"],
                stdin=b"".join(lines[report.id] for report in fit),
                env=self._environ,
                fds=(config,),
                seconds=_seconds(accepted.settings),
                done=ended,
            )
        finally:
            os.close(config)

    def _heard(self, reports: Sequence[Report], fit: Sequence[Report], finished: Finished) -> list[Delivery]:
        told, why = outcome(fit, finished)
        self._say(told, why, finished)
        large = {report.id for report in reports} - {report.id for report in fit}
        decided = {delivery.id: delivery for delivery in told}
        decided |= {key: Delivery(key, "refused", "report-too-large") for key in large}
        return [decided[report.id] for report in takewhile(lambda report: report.id in decided, reports)]

    def _say(self, told: Sequence[Delivery], why: str, finished: Finished) -> None:
        """Log why reports are not taken: once, and again after one was taken, as for days it may be the same."""
        if any(delivery.result == "delivered" for delivery in told):
            self._said = ""
        if why and why != self._said and not finished.cancelled:
            self._said = why
            code = next((delivery.code for delivery in reversed(told) if delivery.code), "")
            _log.warning("A report was not taken: %s", why, extra={"fields": {"PHONECHECK_ERROR": code}})


class _Nothing:
    """What cannot be called off, for it has ended."""

    def cancel(self) -> None:
        pass


def outcome(reports: Sequence[Report], finished: Finished) -> tuple[list[Delivery], str]:
    """What became of reports, from the process' lines and its end, and why of the last that was not taken.

    A line that was printed counts, however the process ended. The first report without one has failed.
    """
    lines = finished.stdout.splitlines()
    told: list[Delivery] = []
    why = ""
    for report in reports:
        try:
            delivery, sentence = postbag.delivery_of(lines[len(told)])
        except (IndexError, ValueError):
            break
        if delivery.id != report.id:
            break
        told.append(delivery)
        why = sentence or why
        if delivery.result == "failed":
            return told, why
    if len(told) < len(reports):
        failure = _failure(lines[len(told) :], finished)
        why = failure.message
        told.append(Delivery(reports[len(told)].id, "failed", failure.code, failure.retry_after))
    return told, why


def _failure(rest: Sequence[bytes], finished: Finished) -> postbag.Failure:
    if finished.cancelled:
        return postbag.Failure("delivery-cancelled", "It was called off.")
    if finished.hung:
        return postbag.Failure("delivery-hung", "The process that delivers had not done so in its time.")
    try:
        return postbag.failure_of(rest[0])
    except (IndexError, ValueError):
        pass
    if finished.failed:
        return postbag.Failure("delivery-crashed", f"The process that delivers cannot be started: {finished.failed}.")
    if finished.signal is not None:
        return postbag.Failure("delivery-killed", f"The process that delivers was ended by signal {finished.signal}.")
    last = redact.text(finished.stderr.decode(errors="replace")).strip().rpartition("\n")[2][:300]
    return postbag.Failure(
        "delivery-crashed", f"The process that delivers ended with status {finished.status}. {last}".strip()
    )


def _seconds(settings: Settings) -> float:
    """What the process may take at most, and never needs."""
    reaching = settings.chain.timeout + settings.modem.wait if settings.server.over == "modem" else 0.0
    return reaching + postbag.POSTING_SECONDS + _GRACE
