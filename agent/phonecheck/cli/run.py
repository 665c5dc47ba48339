"""`phonecheck run`: the unattended device."""

from __future__ import annotations

import os
from pathlib import Path

import click

from phonecheck.cli.verbs import Verb

_DIRECTORY = "/var/lib/phonecheck"


@click.command(
    "run",
    cls=Verb,
    short_help="Verify unattended: at start, on schedule, when the SIM changes.",
    examples=(
        ("phonecheck run --state-directory ./state --config ./agent.toml -v", "In a terminal, to see what it does."),
        ("phonecheck run", "As the unit phonecheck-agent.service calls it."),
    ),
)
@click.option(
    "--state-directory",
    type=click.Path(path_type=Path),
    envvar="STATE_DIRECTORY",
    help=f"Where history and reports are kept.  [default: {_DIRECTORY}]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PHONECHECK_CONFIG",
    help="The settings file.  [default: /etc/phonecheck/agent.toml]",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what happens in detail.")
def command(state_directory: Path | None, config: Path | None, verbose: bool) -> int:
    """Verify unattended, as the systemd service phonecheck-agent does.

    A check is made at start, when another SIM is in the modem, as often as service.every says, and when it is asked for:
    phonecheck verify --via-service, or SIGUSR1. SIGHUP reads the configuration again. phonecheck status and phonecheck
    history tell what came of it.
    """
    from phonecheck.cli.console import print_error
    from phonecheck.errors import AgentError
    from phonecheck.service.journal import start_log

    start_log(verbose=verbose)
    # The service keeps one of what systemd may give several of.
    directory = Path(str(state_directory or _DIRECTORY).partition(":")[0])
    os.umask(0o077)
    try:
        from phonecheck.service.loop import Service

        return Service(config, directory).run()
    except AgentError as error:
        print_error(error)
        return int(error.exit_status)
