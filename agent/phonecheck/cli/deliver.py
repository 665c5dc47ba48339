"""`phonecheck deliver`: brings reports to the app server, for the service (service/postbag.py tells the lines)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

from phonecheck.cli.console import print_answer, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.errors import AgentError
from phonecheck.service import postbag
from phonecheck.service.model import Report


@click.command("deliver", hidden=True)
@click.option("--config", type=click.Path(path_type=Path), envvar="PHONECHECK_CONFIG", help="The settings file.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(config: Path | None, verbose: bool) -> int:
    """Post the reports on standard input to the app server, in order, up to the first that fails."""
    from phonecheck.deadline import Deadline
    from phonecheck.wiring import Choice, load, wire_reports

    start_log(verbose=verbose)
    lingering: list[Callable[[], None]] = []

    def work() -> int:
        settings = load(config, Choice())
        reporting = wire_reports(settings)
        reports = _reports(sys.stdin.buffer)
        first = next(reports, None)
        if first is None:
            return 0  # and no modem was brought up for it
        lingering.append(reporting.linger)
        try:
            deliver = reporting.reach(Deadline(settings.chain.timeout))
            for key, verdict in deliver(chain([first], reports), Deadline(postbag.POSTING_SECONDS)):
                print_answer(postbag.verdict_line(key, verdict.result, verdict.error))
        finally:
            reporting.settle()
        return 0

    return guarded(work, _fail, lingering)


def _reports(stream: BinaryIO) -> Iterator[Report]:
    """The reports, as they are asked for; a line that is none is refused in its turn."""
    while line := stream.readline(postbag.LINE_CAP + 1):
        if len(line) > postbag.LINE_CAP:
            while line and not line.endswith(b"\n"):
                line = stream.readline(postbag.LINE_CAP)
            line = b""
        try:
            report = postbag.report_of(line)
        except ValueError:
            print_answer(postbag.verdict_line(None, "refused", code="bad-report"))
        else:
            yield report


def _fail(error: AgentError) -> int:
    from phonecheck import document

    print_answer(json.dumps(document.of_failure(error)))
    return int(error.exit_status)
