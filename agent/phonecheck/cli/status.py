"""`phonecheck status`: what the service is at, for people, programs and Prometheus."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from phonecheck.cli.console import columns, print_answer, print_error, print_json, start_log, style
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb

if TYPE_CHECKING:
    from phonecheck.errors import AgentError

_COLOURS = {"unconfigured": "yellow", "idle": "green", "checking": "cyan", "waiting": "yellow"}
_NARROW = 40


@click.command(
    "status",
    cls=Verb,
    short_help="What the service is doing, its last outcome, its next run.",
    examples=(
        ("phonecheck status", "For a person."),
        ("phonecheck status --json | jq .next_run", "For a program."),
        ("phonecheck status --prometheus", "For a scraper; service.metrics has the service write the same to a file."),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--prometheus", is_flag=True, help="Print metrics in Prometheus' text format.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(as_json: bool, prometheus: bool, verbose: bool) -> int:
    """Show what the service phonecheck-agent is doing: its last outcome, its next run, the reports it still has to bring.

    Any user may ask. The exit status is 0 where the service answers, whatever came of its checks.
    """
    from phonecheck.service.client import AgentClient

    if as_json and prometheus:
        raise click.UsageError("--json and --prometheus are two forms of one answer: give one of them.")
    start_log(verbose=verbose)

    def work() -> int:
        with AgentClient() as agent:
            properties = agent.properties()
        if as_json:
            return print_json(_object(properties))
        if prometheus:
            from phonecheck.service.metrics import exposition

            return print_answer(exposition(properties).rstrip())
        # A line of a pipe is broken by nobody who searches it.
        room = columns(sys.stdout) if sys.stdout.isatty() else None
        return print_answer(page(properties, time.time(), room))

    return guarded(work, lambda error: fail(error, as_json=as_json))


def fail(error: AgentError, *, as_json: bool) -> int:
    """A failure's cause and cure, or its JSON object; returns its exit status."""
    from phonecheck import document

    if as_json:
        print_json(document.of_failure(error))
    else:
        print_error(error)
    return int(error.exit_status)


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    from phonecheck import document
    from phonecheck.cli.record import as_object, stamp

    last = properties["LastResult"]
    return {
        "schema": document.SCHEMA,
        "state": properties["State"],
        "version": properties["Version"],
        "next_run": stamp(properties["NextRun"]),
        "outbox": properties["Outbox"],
        "dropped": properties["Dropped"],
        "problem": properties["Problem"] or None,
        "last_success": stamp(properties["LastSuccess"]),
        "totals": [
            {"outcome": outcome, "error_code": code or None, "checks": count, "seconds": round(seconds, 3)}
            for outcome, code, count, seconds in properties["Totals"]
        ],
        "last": as_object(last) if last else None,
    }


def page(properties: Mapping[str, Any], now: float, room: int | None = None) -> str:
    """The same for a person.

    Args:
        properties: those of the D-Bus interface.
        now: seconds since the epoch.
        room: characters of a line; None for no end.
    """
    from phonecheck.cli.record import line, told, word
    from phonecheck.cli.trend import in_words

    state, last, due = properties["State"], properties["LastResult"], properties["NextRun"]
    reports = f"{properties['Outbox']} to bring"
    if properties["Dropped"]:
        reports += f", {properties['Dropped']} given up"
    counted = {(outcome, code): count for outcome, code, count, _ in properties.get("Totals", ())}
    colours = {"state": _COLOURS.get(state), "last": word(last)[1] if last else None}
    rows = [
        ("state", state),
        ("problem", properties["Problem"]),
        ("last", line(last, now) if last else "no check yet"),
        ("cause", f"{last['error_message']} ({last['error_code']})" if "error_message" in last else ""),
        ("cure", last.get("error_hint", "")),
        ("next", told(due, now) if due else "when it is asked for"),
        ("checks", f"{in_words(counted)} since the service's start" if counted else ""),
        ("reports", reports),
        ("version", properties["Version"]),
    ]
    return "\n".join(_row(name, value, colours.get(name), room) for name, value in rows if value)


def _row(name: str, value: str, colour_name: str | None, room: int | None) -> str:
    """A row in as many lines as it takes; what has a colour has it up to the first double space."""
    text = f"{name:<9}{value}"
    if room is not None and len(text) > room:
        # Where a line is short, what stands at its left is a waste.
        indent = " " * 9 if room >= _NARROW else " "
        begin = f"{name:<9}" if room >= _NARROW else f"{name}\n "
        wrapped = textwrap.wrap(value, max(room - len(indent), 8), break_on_hyphens=False)
        text = begin + f"\n{indent}".join(wrapped)
    if colour_name is None:
        return text
    head = value.partition("  ")[0]
    return name + text[len(name) :].replace(head, style(sys.stdout, head, fg=colour_name, bold=True), 1)
