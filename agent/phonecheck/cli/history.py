"""`phonecheck history`: the checks that the service made."""

from __future__ import annotations

import click

from phonecheck.cli.console import print_answer, print_json, start_log
from phonecheck.cli.leaving import guarded


@click.command("history", short_help="The checks that the service made.")
@click.option(
    "-n", "count", type=click.IntRange(0, 100_000), default=20, show_default=True, help="How many; 0 for all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(count: int, as_json: bool, verbose: bool) -> int:
    """Show the checks that the service phonecheck-agent made, the newest first.

    For root and the members of the group phonecheck.
    """
    from phonecheck import document
    from phonecheck.cli.record import as_object, line
    from phonecheck.cli.status import fail
    from phonecheck.service.client import AgentClient

    start_log(verbose=verbose)

    def work() -> int:
        with AgentClient() as agent:
            checks = agent.history(count)
        if as_json:
            print_json({"schema": document.SCHEMA, "checks": [as_object(check) for check in checks]})
        else:
            print_answer("\n".join(map(line, checks)) or "No check was made yet.")
        return 0

    return guarded(work, lambda error: fail(error, as_json=as_json))
