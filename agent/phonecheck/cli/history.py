"""`phonecheck history`: the checks that the service made, and what they come to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from phonecheck.cli.console import as_written, columns, print_answer, print_json, start_log, style
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb


@click.command(
    "history",
    cls=Verb,
    short_help="The checks that the service made.",
    examples=(
        ("phonecheck history -n 100", "The last hundred, and how many of them failed by what."),
        ("phonecheck history --json | jq '.checks[] | [.at, .signal, .error_code]'", "Three columns for a program."),
    ),
)
@click.option(
    "-n", "count", type=click.IntRange(0, 100_000), default=20, show_default=True, help="How many; 0 for all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(count: int, as_json: bool, verbose: bool) -> int:
    """Show the checks that the service phonecheck-agent made, the newest first, and below them what they come to.

    The curves begin with the oldest check: of durations from 0 to the longest, of the signal from 0 to 100 %. Where the
    terminal is narrow, columns are left out; --json has them all. Times are UTC.

    For root and the members of the group phonecheck.
    """
    from phonecheck import document
    from phonecheck.cli.record import as_object
    from phonecheck.cli.status import fail
    from phonecheck.service.client import AgentClient

    start_log(verbose=verbose)

    def work() -> int:
        with AgentClient() as agent:
            checks = agent.history(count)
        if as_json:
            return print_json({"schema": document.SCHEMA, "checks": [as_object(check) for check in checks]})
        return print_answer(page(checks, columns(sys.stdout)) if checks else "No check was made yet.")

    return guarded(work, lambda error: fail(error, as_json=as_json))


def page(checks: Sequence[dict[str, Any]], room: int) -> str:
    """The table, and the line below it; a line has so many characters."""
    from phonecheck.cli.record import table
    from phonecheck.cli.trend import trend

    written = [check | {"operator": as_written(sys.stdout, check.get("operator", ""))} for check in checks]
    titles, *rows = table(written, room, as_written(sys.stdout, "…"))
    return "\n".join([style(sys.stdout, titles, dim=True), *rows, "", trend(checks, room, sys.stdout.encoding)])
