"""`phonecheck completion`: the script that makes a shell complete our verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from phonecheck.cli.console import print_answer


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of SHELL, for its own configuration to read.

    bash: phonecheck completion bash > /etc/bash_completion.d/phonecheck
    """
    from phonecheck.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click.Choice let only shells through that click knows
    print_answer(kind(cli, {}, "phonecheck", "_PHONECHECK_COMPLETE").source())
    return 0
