"""What `phonecheck monitor` shows: the modem and the service at one moment, as an object, a line, or a page. Pure.

It is made of the objects of document.py and of the D-Bus API, in which identities are short already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phonecheck import document
from phonecheck.cli.record import stamp, word
from phonecheck.cli.table import cut
from phonecheck.cli.trend import bar, curve

_NAMED = 9
"""Columns of a row's name."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known now.

    Attributes:
        modem: the object of `modem show`; None where there is none.
        error: why there is none; None where there is one, and before the first reading.
        service: of the D-Bus properties what :func:`service_of` takes; None where the service does not run.
        absent: in words, where it does not, or does not answer.
    """

    modem: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    service: Mapping[str, Any] | None = None
    absent: str = "not running"

    @property
    def signal(self) -> int | None:
        """The signal quality in per cent; None where it is not known."""
        return self.modem["signal"] if self.modem else None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page: what comes before ``plain`` may have a colour."""

    name: str
    coloured: str
    plain: str = ""
    colour: str | None = None


def service_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of the service."""
    last = properties["LastResult"]
    return {
        "state": properties["State"],
        "next_run": stamp(properties["NextRun"]),
        "outbox": properties["Outbox"],
        "problem": properties["Problem"] or None,
        "last": {
            "id": last["id"],
            "trigger": last["trigger"],
            "at": stamp(last["at"]),
            "outcome": last["outcome"],
            "ms": round(last["ms"], 1),
            "error_code": last.get("error_code"),
        }
        if last
        else None,
    }


def as_object(scene: Scene, now: float, seconds: float) -> dict[str, Any]:
    """A line of `--json`; ``now`` is in seconds since the epoch, ``seconds`` counts from the begin, by no wall clock."""
    return {
        "schema": document.SCHEMA,
        "at": stamp(now),
        "seconds": round(seconds, 3),
        "modem": scene.modem,
        "error": scene.error,
        "service": scene.service,
    }


def line(scene: Scene) -> str:
    """All of it in one line, for what is no terminal."""
    modem, service = scene.modem, scene.service
    if modem:
        signal = "" if modem["signal"] is None else f"{modem['signal']} %"
        facts = [_state(modem), _operator(modem), modem["registration"], modem["technology"] or "", signal]
        facts.append(_bearer(modem)[0])
    else:
        facts = [scene.error["message"].rstrip(".") if scene.error else "no modem"]
    facts.append(f"service {service['state'] if service else scene.absent}")
    if service and (last := service["last"]):
        facts.append("  ".join(["last", word(last)[0], *_last(last)]))
    return "  ".join(fact for fact in facts if fact)


def page(scene: Scene, signals: Sequence[int | None], room: int, encoding: str | None) -> list[Row]:
    """A row for each fact, what matters most at an antenna first.

    Args:
        scene: what is known.
        signals: those that were seen, the newest last.
        room: characters of a row.
        encoding: of the terminal.
    """
    return [*_of_modem(scene, signals, room - _NAMED, encoding), *_of_service(scene)]


def written(row: Row, room: int, dots: str) -> tuple[str, str, str]:
    """A row in so many columns: its name, what may have a colour, and the rest."""
    name = cut(f"{row.name:<{_NAMED}}", room, dots)
    coloured = cut(row.coloured, max(room - _NAMED, 1), dots)
    left = room - _NAMED - len(coloured)
    return name, coloured, cut(row.plain, left, dots) if left > len(dots) else ""


def _of_modem(scene: Scene, signals: Sequence[int | None], room: int, encoding: str | None) -> list[Row]:
    modem, signal = scene.modem, scene.signal
    if modem is None:
        error = scene.error
        why = [Row("", error["message"]), Row("", error["hint"])] if error else []
        return [Row("modem", "none", colour="red"), *why, *_history(signals, room, encoding)]
    state = _state(modem)
    good = {"connected": "green", "registered": "green", "failed": "red", "locked": "red"}
    network = modem["registration"]
    bearer, up = _bearer(modem)
    colour = "red" if signal is None or signal < 20 else "yellow" if signal < 50 else "green"
    strength = bar(signal, min(40, room - 6), encoding) if signal is not None else ""
    return [
        Row("signal", "unknown" if signal is None else f"{signal:>3} %", f" {strength}", colour),
        *_history(signals, room, encoding),
        Row("modem", state, colour=good.get(modem["state"], "yellow")),
        Row("network", network, colour="green" if network in ("home", "roaming") else "yellow"),
        Row("operator", _operator(modem) or "none"),
        Row("radio", modem["technology"] or "unknown"),
        Row("bearer", bearer or "none", colour="green" if up else "yellow"),
    ]


def _of_service(scene: Scene) -> list[Row]:
    service = scene.service
    if service is None:
        return [Row("service", scene.absent)]
    rows = [Row("service", service["state"], f"  next {service['next_run']}" if service["next_run"] else "")]
    if last := service["last"]:
        outcome, colour = word(last)
        rows.append(Row("last", outcome, "".join(f"  {fact}" for fact in _last(last)), colour))
    return rows


def _history(signals: Sequence[int | None], room: int, encoding: str | None) -> list[Row]:
    known = [signal for signal in signals if signal is not None]
    if len(known) < 2:
        return []
    seen = f"  {min(known)}-{max(known)} %"
    if room < 2 * len(seen):
        seen = ""
    return [Row("", curve(signals[-max(room - len(seen), 1) :], 100.0, encoding), seen)]


def _state(modem: Mapping[str, Any]) -> str:
    more = {"locked": modem["lock"], "failed": modem["failed_reason"]}.get(modem["state"])
    return f"{modem['state']}: {more}" if more else str(modem["state"])


def _operator(modem: Mapping[str, Any]) -> str:
    name, code = modem["operator"], modem["operator_code"]
    return f"{name} ({code})" if name and code else name or code


def _bearer(modem: Mapping[str, Any]) -> tuple[str, bool]:
    """The bearer that is up, else the last one, in words; and whether it is up."""
    bearers = modem["bearers"]
    bearer = next((one for one in bearers if one["connected"]), bearers[-1] if bearers else None)
    if bearer is None:
        return "", False
    up = bearer["connected"] and not bearer["suspended"]
    state = "suspended" if bearer["suspended"] else "connected" if up else "not connected"
    apn = f"apn {bearer['apn']}" if bearer["apn"] else ""
    error = "" if up else bearer["connection_error"]
    return ", ".join(fact for fact in (state, bearer["interface"], apn, error) if fact), up


def _last(last: Mapping[str, Any]) -> list[str]:
    return [fact for fact in (last["error_code"], f"{last['ms']:.0f} ms", last["at"]) if fact]
