"""The ladder climbed: independent rungs side by side, the consequences of a failure hidden behind their cause."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Diagnosis, Finding, Reading, Rung
from phonecheck.errors import AgentError, DeadlineExceeded, ExitStatus

Tell = Callable[[Rung, Reading | None], None]
"""Told of each rung as it begins (None) and ends; always from the thread that climbs."""


def climb(rungs: Sequence[Rung], device: Device, deadline: Deadline, tell: Tell = lambda *_: None) -> Diagnosis:
    """Look at every rung whose needs are met, as soon as they are, and explain those that fail.

    Args:
        rungs: each after those that it names.
        device: what they look at.
        deadline: for all of it; a rung that is not done by then has failed.
        tell: for progress.
    """
    started = time.monotonic()
    done: queue.SimpleQueue[tuple[Rung, Finding, float]] = queue.SimpleQueue()
    readings: dict[str, Reading] = {}
    under_way: dict[str, float] = {}

    def settle(rung: Rung, reading: Reading) -> None:
        readings[rung.slug] = reading
        tell(rung, reading)

    while len(readings) < len(rungs):
        for rung in rungs:
            if rung.slug in readings or rung.slug in under_way:
                continue
            if (known := _without_looking(rung, readings, traffic=device.traffic)) is not None:
                settle(rung, known)
            elif all(slug in readings for slug in (*rung.needs, *rung.explained_by)):
                tell(rung, None)
                under_way[rung.slug] = time.monotonic()
                _begin(rung, device, deadline, done)
        if not under_way:
            continue
        try:
            rung, finding, ended = done.get(timeout=deadline.remaining() + _GRACE)
        except queue.Empty:
            for rung in [rung for rung in rungs if rung.slug in under_way]:
                settle(rung, _reading(rung, _late(rung), readings, time.monotonic() - under_way.pop(rung.slug)))
            continue
        began = under_way.pop(rung.slug, None)
        if began is not None:
            settle(rung, _reading(rung, finding, readings, ended - began))
    ordered = tuple(readings[rung.slug] for rung in rungs)
    return Diagnosis(ordered, (time.monotonic() - started) * 1000)


_GRACE = 1.0
"""Seconds after the deadline in which a rung may say itself what it waited for."""


def _without_looking(rung: Rung, readings: Mapping[str, Reading], *, traffic: bool) -> Reading | None:
    """The reading of a rung that is not to be looked at; None for one that is, or not yet known to be."""
    for slug in rung.needs:
        needed = readings.get(slug)
        if needed is not None and needed.state in ("failed", "hidden"):
            return Reading(rung, "hidden", because=needed.because or slug)
    if rung.traffic and not traffic:
        return Reading(rung, "idle", "not looked at: it costs traffic")
    return None


def _begin(
    rung: Rung, device: Device, deadline: Deadline, done: queue.SimpleQueue[tuple[Rung, Finding, float]]
) -> None:
    def look() -> None:
        try:
            finding = rung.look(device, deadline)
        except AgentError as error:
            finding = Finding("failed", "", error)
        except Exception as error:  # noqa: BLE001  a bug in one rung must not cost the others
            finding = Finding(
                "failed", "", AgentError("internal-error", f"Unexpected {type(error).__name__} in {rung.slug}.")
            )
        done.put((rung, finding, time.monotonic()))

    Aside(look, f"rung-{rung.slug}")


def _reading(rung: Rung, finding: Finding, readings: Mapping[str, Reading], seconds: float) -> Reading:
    state, because = finding.state, ""
    if state == "failed":
        explained = (readings[slug] for slug in rung.explained_by if slug in readings)
        cause = next((r for r in explained if r.state == "failed" or (r.state == "hidden" and r.because)), None)
        if cause is not None:
            because = cause.because or cause.rung.slug
    return Reading(
        rung,
        "hidden" if because else state,
        finding.words,
        finding.error,
        finding.command,
        finding.facts,
        because,
        seconds * 1000,
    )


def _late(rung: Rung) -> Finding:
    error = DeadlineExceeded(
        f"The time allowed passed before this was seen: {rung.title}.", exit_status=ExitStatus.CHECK
    )
    return Finding("failed", "", error)
