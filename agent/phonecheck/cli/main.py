"""The `phonecheck` command: finds the verb, and turns whatever goes wrong into a sentence and an exit status.

`phonecheck --help` must stay near the cost of an empty click program, so a verb's module is imported when it is called;
the help's one-liners stand here.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

try:
    import click
except KeyboardInterrupt:  # on a small device this import takes the half of a second in which people change their mind
    os._exit(130)

from phonecheck import __version__
from phonecheck.cli import spelling
from phonecheck.cli.verbs import VerbGroup

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_VERBS = {
    "verify": "Verify that this device holds the SIM of a number.",
    "open": "Open a check URL over the link and show each hop.",
    "modem": "Show the modems that ModemManager sees, or unlock a SIM.",
    "link": "Show the link, or remove what a killed run left on it.",
    "doctor": "Find out why a SIM does not verify: one cause, one cure.",
    "run": "Verify unattended: at start, on schedule, when the SIM changes.",
    "status": "What the service is doing, its last outcome, its next run.",
    "history": "The checks that the service made.",
    "monitor": "Watch modem, signal and service as they change.",
    "report": "Make one file to send to a vendor or an operator.",
    "explain": "What an error code means, and what to do.",
    "completion": "Print the completion script of a shell.",
}
_HIDDEN = ("deliver",)
"""Those that only the service calls."""


class LazyGroup(VerbGroup):
    """Imports `phonecheck.cli.VERB` when the verb is called, and takes `command` from it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The verbs, in the order a newcomer meets them."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The verb's own module's command."""
        if cmd_name not in _VERBS and cmd_name not in _HIDDEN:
            return None
        command: click.Command = importlib.import_module(f"phonecheck.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  likewise
        """The table of verbs, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs and their one-liners for a shell, likewise."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(name, help=what) for name, what in _VERBS.items() if name.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=(
        ("phonecheck modem list", "Is the modem there?"),
        ("phonecheck verify +447700900123 --server https://app.example", "Is this number's SIM in it?"),
        ("phonecheck explain not-connected", "What does this error mean, and what is to be done?"),
    ),
)
@click.version_option(__version__, prog_name="phonecheck", message="%(prog)s %(version)s")
def cli() -> None:
    """Prove that this Linux device holds the SIM of a phone number.

    One HTTP exchange over the modem, with evidence of the path; nothing else on the device is moved.

    Exit status: 0 match or success, 1 no match, 2 usage, 3 configuration, 4 modem, SIM or bearer, 5 link or name
    resolution, 6 check, 7 app server, 8 service, 70 a bug, 130 interrupted.
    """


def run() -> NoReturn:
    """The console entry point."""
    _open_standard_streams()
    status = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            # The reader of our answer may have left; there is nobody to tell.
            stream.flush()
    # Not sys.exit: a command that ends early leaves threads behind, in a call of OpenSSL's or GLib's that cannot be
    # stopped, and an interpreter that is taken down under them crashes (seen: 1 in 100 ended with SIGSEGV).
    os._exit(status)


def _open_standard_streams() -> None:
    """Give streams that were closed at our start to /dev/null, and let every character be written somehow.

    A socket would get the number of a closed stream else, and what a library prints would go to the peer.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123  open for as long as the process
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=spelling.HANDLER)
    if spelling.plain_by_choice():
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="ascii", errors=spelling.HANDLER)


def main(arguments: list[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        result: Any = cli.main(arguments, prog_name="phonecheck", standalone_mode=False)
    except click.Abort:
        return 130
    except click.ClickException as error:
        # Only now: the errors module is not part of the price of --help.
        from phonecheck.cli.console import print_usage_error

        print_usage_error(error)
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as left:  # a shell that was given its completions
        return left.code if isinstance(left.code, int) else 0
    except OSError:  # the help or the version could not be written; a verb's answer sees to itself
        return 70
    return result if isinstance(result, int) else 0
