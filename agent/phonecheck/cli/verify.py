"""`phonecheck verify`: the whole flow."""

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
    "verify",
    cls=Verb,
    short_help="Verify that this device holds the SIM of a number.",
    examples=(
        ("phonecheck verify +447700900123", "With the app server and the modem of the configuration."),
        (
            "phonecheck verify +447700900123 --connect --apn internet",
            "Connect the modem for it, and disconnect it.",
        ),
        (
            "phonecheck verify --interface usb0 --dns 10.0.0.1 +447700900123",
            "Over a HAT that ModemManager does not manage.",
        ),
        ("phonecheck verify --json > result.json", "The configured number, for a program."),
    ),
)
@click.argument("number", required=False)
@click.option("--server", metavar="URL", help="The app server: https, or http to loopback.")
@link_options
@click.option(
    "--via-service", is_flag=True, help="Have the service phonecheck-agent make the check, with its configuration."
)
@options
@click.pass_context
def command(
    context: click.Context,
    number: str | None,
    server: str | None,
    config: Path | None,
    via_service: bool,
    as_json: bool,
    verbose: bool,
    **chosen: Unpack[Chosen],
) -> int:
    """Verify that this device holds the SIM of NUMBER.

    NUMBER is in E.164 form, with or without '+'; '-' reads it from standard input, where no process list shows it.
    Without it, the configured number is verified, or the number that the SIM itself stores.

    Prints match or no match (exit status 0 or 1), or why neither could be found out.

    With --via-service the check is made by the service phonecheck-agent, which root and the members of the group
    phonecheck may ask; NUMBER, --modem and --timeout are passed on to it, and its configuration says the rest.
    """
    from phonecheck.cli.answer import answer, fail
    from phonecheck.cli.progress import Steps
    from phonecheck.deadline import Deadline
    from phonecheck.model import PhoneNumber
    from phonecheck.verify import verify
    from phonecheck.wiring import Choice, load, wire

    if number is not None:
        try:
            asked = PhoneNumber.parse(first_line(sys.stdin) if number == "-" else number)
        except ValueError as error:
            raise click.UsageError(f"NUMBER is {error}.") from None
    else:
        asked = None
    start_log(verbose=verbose)
    if via_service:
        from phonecheck.cli.via_service import verify_there

        _refuse_what_is_the_services(context)
        return verify_there(asked, chosen["modem"], chosen["timeout"], as_json=as_json)
    lingering: list[Callable[[], None]] = []

    def work() -> int:
        choice = Choice(number=asked, server=server, **chosen)
        settings = load(config, choice)
        deadline = Deadline(settings.chain.timeout)
        steps = Steps(("modem", "check", "chain", "result"), quiet=as_json)
        parts = wire(settings, with_server=True)
        lingering.append(parts.linger)
        try:
            outcome = verify(parts, deadline, steps)
            steps.end()
            return answer(outcome, as_json=as_json)
        finally:
            parts.settle()

    return guarded(work, lambda error: fail(error, as_json=as_json), lingering)


_PASSED_ON = {"number", "modem", "timeout", "via_service", "as_json", "verbose"}


def _refuse_what_is_the_services(context: click.Context) -> None:
    """An option that would have no effect is an error, not a wrong expectation."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in _PASSED_ON and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[-1]} is the service's own to say; leave it out with --via-service."
            )
