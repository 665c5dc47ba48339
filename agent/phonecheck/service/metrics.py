"""The service's properties in Prometheus' text format: `phonecheck status --prometheus` prints it, the file holds it. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/, "Text-based format". No label holds an identity, and none a
value that others than this program choose, but for the codes of errors, which are a closed set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

_OUTCOMES = ("match", "no_match", "inconclusive")
_STATES = ("unconfigured", "idle", "checking", "waiting")

_Sample = tuple[str, Mapping[str, str], float | None]
"""What is appended to the family's name, the labels, and the value; None where it is not known."""


def exposition(properties: Mapping[str, Any]) -> str:
    """The metrics of the properties of ``org.phonecheck.Agent1``, by name and as D-Bus gives them."""
    last: Mapping[str, Any] = properties.get("LastResult") or {}
    totals = list(properties.get("Totals") or ())
    counted = {(outcome, code): count for outcome, code, count, _ in totals}
    # Each outcome from the first scrape on, for a rate cannot be taken of a series that begins with 1.
    known = counted | {(outcome, ""): counted.get((outcome, ""), 0) for outcome in _OUTCOMES[:2]}
    checks = [("", {"outcome": outcome, "code": code}, known[outcome, code]) for outcome, code in sorted(known)]
    states = [("", {"state": state}, float(state == properties["State"])) for state in _STATES]
    families: Iterable[tuple[str, str, str, Iterable[_Sample]]] = (
        (
            "checks_total",
            "counter",
            "Checks since the service's start, by outcome, and by error code where that is inconclusive.",
            checks,
        ),
        (
            "check_seconds",
            "summary",
            "How long the checks since the service's start took.",
            [("_sum", {}, sum(seconds for *_, seconds in totals)), ("_count", {}, sum(counted.values()))],
        ),
        (
            "last_check_seconds",
            "gauge",
            "How long the last check took.",
            [("", {}, last["ms"] / 1000 if "ms" in last else None)],
        ),
        (
            "last_check_timestamp_seconds",
            "gauge",
            "When the last check was begun; 0 where none was.",
            [("", {}, last.get("at", 0))],
        ),
        (
            "last_success_timestamp_seconds",
            "gauge",
            "When the last check was begun that was a match; 0 where none is remembered.",
            [("", {}, properties.get("LastSuccess", 0))],
        ),
        (
            "signal_percent",
            "gauge",
            "The modem's signal quality, as the last check found it; missing where it found none.",
            [("", {}, last.get("signal"))],
        ),
        (
            "outbox_reports",
            "gauge",
            "Reports that the app server is still to be told.",
            [("", {}, properties["Outbox"])],
        ),
        (
            "reports_dropped_total",
            "counter",
            "Reports that were given up: too old, too many, or refused by the app server.",
            [("", {}, properties["Dropped"])],
        ),
        ("state", "gauge", "1 for what the service is doing, 0 for what it is not.", states),
        (
            "problem",
            "gauge",
            "1 where something is wrong with the service itself; phonecheck status says what.",
            [("", {}, float(bool(properties["Problem"])))],
        ),
        ("info", "gauge", "1, with the service's version.", [("", {"version": properties["Version"]}, 1)]),
    )
    return "".join(_family(f"phonecheck_{name}", kind, words, samples) for name, kind, words, samples in families)


def _family(name: str, kind: str, words: str, samples: Iterable[_Sample]) -> str:
    lines = [
        f"{name}{suffix}{_labels(labels)} {_number(value)}\n" for suffix, labels, value in samples if value is not None
    ]
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n{''.join(lines)}" if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else json.dumps(round(value, 6))
