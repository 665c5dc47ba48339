"""`phonecheck open`: step 5 of the guide alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import click

from phonecheck.cli.console import Chosen, first_line, link_options, options, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb


@click.command(
    "open",
    cls=Verb,
    short_help="Open a check URL over the link and show each hop.",
    examples=(
        (
            "phonecheck open 'https://eu.api.tru.id/phone_check/v0.2/checks/CHECK-ID/redirect'",
            "The shell wants the quotes.",
        ),
        ("phonecheck open - < url.txt", "Where no process list shows it."),
        ("phonecheck open --interface wwan0 --dns 10.0.0.1 https://example.com/", "Any URL, to see how the link does."),
    ),
)
@click.argument("url")
@link_options
@options
def command(
    url: str,
    config: Path | None,
    as_json: bool,
    verbose: bool,
    **chosen: Unpack[Chosen],
) -> int:
    """Open a check URL over the link, follow every redirect, and show each hop.

    No app server is asked, so nothing is said of a match. '-' reads URL from standard input, where no process list
    shows it. A check URL is spent by its first request.
    """
    from phonecheck.cli.answer import answer, fail
    from phonecheck.cli.progress import Steps
    from phonecheck.deadline import Deadline
    from phonecheck.verify import open_url
    from phonecheck.wiring import Choice, load, wire

    start_log(verbose=verbose)
    lingering: list[Callable[[], None]] = []

    def work() -> int:
        choice = Choice(**chosen)
        settings = load(config, choice)
        target = first_line(sys.stdin) if url == "-" else url
        deadline = Deadline(settings.chain.timeout)
        steps = Steps(("modem", "chain"), quiet=as_json)
        parts = wire(settings, with_server=False)
        lingering.append(parts.linger)
        try:
            outcome = open_url(parts, target, deadline, steps)
            steps.end()
            return answer(outcome, as_json=as_json)
        finally:
            parts.settle()

    return guarded(work, lambda error: fail(error, as_json=as_json), lingering)
