"""`phonecheck doctor`: the ladder, printed as it is climbed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from phonecheck.cli.console import Chosen, link_options, options, print_answer, print_error, print_json, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb

if TYPE_CHECKING:
    from phonecheck.doctor.model import Diagnosis
    from phonecheck.errors import AgentError


@click.command(
    "doctor",
    cls=Verb,
    short_help="Find out why a SIM does not verify: one cause, one cure.",
    examples=(
        ("phonecheck doctor", "Everything, from the kernel to the app server."),
        ("phonecheck doctor --connect --apn internet", "Have the modem connected for it, as verify would."),
        ("phonecheck doctor --no-traffic", "Send nothing over the link: what the device itself knows."),
        ("phonecheck doctor --json > doctor.json", "For a program."),
    ),
)
@click.option("--server", metavar="URL", help="The app server; https, or http on this device itself.")
@click.option("--no-traffic", is_flag=True, help="Send nothing over the link, and connect nothing.")
@link_options
@options
def command(
    server: str | None,
    no_traffic: bool,
    config: Path | None,
    as_json: bool,
    verbose: bool,
    **chosen: Unpack[Chosen],
) -> int:
    """Climb the ladder from the kernel to the app server, and name what keeps this device from verifying its SIM.

    Nothing is verified and no check is created. What verify would set up for its exchange is set up and taken down again;
    about 25 kB go over the link. What a failure explains is not shown as another one. The exit status is 0 where all is
    well, else that of the first rung that failed. Any user may ask; what they may not see is said.
    """
    from phonecheck.wiring import Choice, load

    start_log(verbose=verbose)
    lingering: list[Callable[[], None]] = []

    def work() -> int:
        from phonecheck import document
        from phonecheck.cli.ladder import Ladder
        from phonecheck.deadline import Deadline
        from phonecheck.doctor.ladder import climb
        from phonecheck.doctor.rungs import RUNGS
        from phonecheck.eyes.open import open_eyes

        settings = load(
            config,
            Choice(server=server, **chosen),
        )
        eyes = open_eyes(settings, traffic=not no_traffic)
        lingering.append(eyes.linger)
        try:
            page = Ladder(RUNGS, shutil.get_terminal_size((80, 24)).columns, sys.stdout)
            seconds = settings.chain.timeout + settings.modem.wait
            diagnosis = eyes.weigh(
                climb(RUNGS, eyes.device, Deadline(seconds), page.tell if not as_json else lambda *_: None)
            )
            if as_json:
                print_json(document.of_diagnosis(diagnosis))
            else:
                print_answer(page.verdict(diagnosis))
            return _status(diagnosis)
        finally:
            eyes.settle()

    return guarded(work, lambda error: _fail(error, as_json=as_json), lingering)


def _status(diagnosis: Diagnosis) -> int:
    cause = diagnosis.cause
    return int(cause.error.exit_status) if cause is not None and cause.error is not None else 0


def _fail(error: AgentError, *, as_json: bool) -> int:
    from phonecheck import document

    if as_json:
        print_json(document.of_failure(error))
    else:
        print_error(error)
    return int(error.exit_status)
