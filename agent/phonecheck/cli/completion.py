"""`phonecheck completion`: the scripts that make a shell complete our verbs and options, and what they ask us for."""

from __future__ import annotations

from typing import ClassVar

import click
from click.shell_completion import BashComplete, ShellComplete, get_completion_class

from phonecheck.cli.console import print_answer
from phonecheck.cli.verbs import Verb

_SECONDS = 1.0
"""A shell's patience; ModemManager answers in milliseconds, or does not run."""

# Click's own script takes bash's words as they are. For bash a colon ends a word, and a modem's id has one
# (COMP_WORDBREAKS, bash(1)): so the words are read from the line, and what is before the colon is taken off the replies.
_BASH = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" type value before= words
    read -ra words <<< "$line"
    local last="${words[-1]}" count=$((${#words[@]} - 1))
    [[ $line == *[[:space:]] ]] && last= count=$((count + 1))
    [[ $last == *:* && $COMP_WORDBREAKS == *:* ]] && before="${last%%"${last##*:}"}"
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done < <(env COMP_WORDS="$line" COMP_CWORD=$count %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Click's completion for bash, with a script that can complete a word with a colon in it."""

    source_template: ClassVar[str] = _BASH


def script(command: click.Command, name: str, shell: str) -> str:
    """The script that completes a command in a shell: bash, zsh or fish.

    Args:
        command: what is to be completed.
        name: the program's.
        shell: one that click knows.
    """
    kind: type[ShellComplete] | None = Bash if shell == "bash" else get_completion_class(shell)
    assert kind is not None, shell  # noqa: S101  both callers take the shells from click's own
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    return kind(command, {}, name, variable).source().strip() + "\n"


def modem_ids() -> list[str]:
    """What --modem takes, of each modem that ModemManager knows, whole; nothing where anything goes wrong."""
    from phonecheck.deadline import Deadline
    from phonecheck.wiring import modem_manager

    try:
        modems = modem_manager().modems(Deadline(_SECONDS))
    except Exception:  # noqa: BLE001  a shell shows what a completion prints in the middle of its line
        return []
    ids = []
    for modem in modems:
        if modem.sim and modem.sim.iccid:
            ids.append(f"iccid:{modem.sim.iccid.value}")
        if modem.imei:
            ids.append(f"imei:{modem.imei.value}")
        ids.append(modem.device)
    return [one for one in ids if one]


@click.command(
    "completion",
    cls=Verb,
    short_help="Print the completion script of a shell.",
    examples=(
        ("phonecheck completion bash > /etc/bash_completion.d/phonecheck", "For all users of bash."),
        ("phonecheck completion zsh > ~/.zfunc/_phonecheck", "Where ~/.zfunc is in zsh's fpath, before compinit."),
        ("phonecheck completion fish > ~/.config/fish/completions/phonecheck.fish", "For yourself, in fish."),
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of SHELL, for its own configuration to read.

    Verbs, options, error codes and the ids of the modems that are there are completed. The Debian package has the scripts
    in place already.
    """
    from phonecheck.cli.main import cli

    print_answer(script(cli, "phonecheck", shell).strip())
    return 0
