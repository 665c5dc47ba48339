"""`phonecheck status`: what the service is at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from phonecheck.cli.console import print_answer, print_error, print_json, start_log, style
from phonecheck.cli.leaving import guarded

if TYPE_CHECKING:
    from phonecheck.errors import AgentError

_COLOURS = {"unconfigured": "yellow", "idle": "green", "checking": "cyan", "waiting": "yellow"}


@click.command("status", short_help="What the service is doing, its last outcome, its next run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(as_json: bool, verbose: bool) -> int:
    """Show what the service phonecheck-agent is doing: its last outcome, its next run, the reports it still has to bring.

    Any user may ask. The exit status is 0 where the service answers, whatever came of its checks.
    """
    from phonecheck.service.client import AgentClient

    start_log(verbose=verbose)

    def work() -> int:
        with AgentClient() as agent:
            properties = agent.properties()
        if as_json:
            print_json(_object(properties))
        else:
            print_answer(page(properties, time.time()))
        return 0

    return guarded(work, lambda error: fail(error, as_json=as_json))


def fail(error: AgentError, *, as_json: bool) -> int:
    """A failure's cause and cure, or its JSON object; returns its exit status."""
    from phonecheck import document

    if as_json:
        print_json(document.of_failure(error))
    else:
        print_error(error)
    return int(error.exit_status)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    from phonecheck import document
    from phonecheck.cli.record import as_object, when

    last = properties["LastResult"]
    return {
        "schema": document.SCHEMA,
        "state": properties["State"],
        "version": properties["Version"],
        "next_run": when(properties["NextRun"]) if properties["NextRun"] else None,
        "outbox": properties["Outbox"],
        "dropped": properties["Dropped"],
        "problem": properties["Problem"] or None,
        "last": as_object(last) if last else None,
    }


def page(properties: dict[str, Any], now: float) -> str:
    """The same for a person; ``now`` is in seconds since the epoch."""
    import sys

    from phonecheck.cli.record import ago, line, when

    state, last, due = properties["State"], properties["LastResult"], properties["NextRun"]
    reports = f"{properties['Outbox']} to bring"
    if properties["Dropped"]:
        reports += f", {properties['Dropped']} given up"
    rows = [
        ("state", style(sys.stdout, state, fg=_COLOURS.get(state), bold=True)),
        ("problem", properties["Problem"]),
        ("last", line(last, now) if last else "no check yet"),
        ("next", f"{when(due)} ({ago(due, now)})" if due else "when it is asked for"),
        ("reports", reports),
        ("version", properties["Version"]),
    ]
    return "\n".join(f"{name:<8} {value}" for name, value in rows if value)
