"""`phonecheck link show` and `phonecheck link cleanup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phonecheck.cli.console import modem_ids, options, print_answer, print_error, print_json, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb, VerbGroup

if TYPE_CHECKING:
    from phonecheck.errors import AgentError
    from phonecheck.model import Link

_SECONDS = 10.0


@click.group(
    "link",
    cls=VerbGroup,
    short_help="Show the link, or remove what a killed run left on it.",
    examples=(
        ("phonecheck link show", "What has the link, and what does it lack?"),
        ("phonecheck link cleanup", "Take away what a killed run left."),
    ),
)
def command() -> None:
    """Show the link of a modem as the kernel has it, or remove what a run that was killed left behind."""


@command.command(
    "show",
    cls=Verb,
    short_help="The link's addresses, DNS servers, and what it lacks.",
    examples=(
        ("phonecheck link show", "The link of the configured modem, or of the only one."),
        ("phonecheck link show --interface usb0 --dns 10.0.0.1", "That of a HAT that ModemManager does not manage."),
    ),
)
@click.argument("modem_id", metavar="[ID]", required=False, shell_complete=modem_ids)
@click.option("--interface", metavar="NAME", help="A link that ModemManager does not manage.")
@click.option("--dns", multiple=True, metavar="ADDRESS", help="A DNS server on the link; may be given again.")
@options
def show(
    modem_id: str | None,
    interface: str | None,
    dns: tuple[str, ...],
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Show the link of the modem ID, of the configured or only modem, or of an interface.

    Nothing is changed and nothing is sent. 'lacks' is what verify would do for the time of the exchange, 'ours' what runs
    of phonecheck have set up. If the exchange could not be taken over the link, the last lines say why and what to type;
    the exit status is then that of the error.
    """
    from phonecheck import document
    from phonecheck.deadline import Deadline
    from phonecheck.wiring import Choice, load, look_at_link

    start_log(verbose=verbose)

    def work() -> int:
        settings = load(config, Choice(modem=modem_id, interface=interface, dns=dns))
        view = look_at_link(settings, Deadline(_SECONDS))
        if as_json:
            print_json(document.of_link(view.link, view.lacks, view.ours, view.error))
        else:
            print_answer(_page(view.link, view.lacks, view.ours))
            if view.error is not None:
                print_error(view.error)
        return int(view.error.exit_status) if view.error else 0

    return guarded(work, lambda error: _fail(error, as_json=as_json))


@command.command(
    "cleanup",
    cls=Verb,
    short_help="Remove what a killed run left on its link.",
    examples=(
        ("phonecheck link cleanup", "Says what it removed; takes CAP_NET_ADMIN if there is anything."),
        ("phonecheck link cleanup --json", "The same for a program."),
    ),
)
@options
def cleanup(config: Path | None, as_json: bool, verbose: bool) -> int:
    """Remove the rules, routes and addresses that a killed run of phonecheck left, and no other ones.

    What belongs to a run that is still alive stays.
    """
    from phonecheck import document
    from phonecheck.wiring import clean_links

    start_log(verbose=verbose)
    del config  # an option of every verb; there is nothing to choose here

    def work() -> int:
        removed = clean_links()
        if as_json:
            print_json({"schema": document.SCHEMA, "removed": list(removed)})
        else:
            print_answer("\n".join(removed) or "Nothing was left behind.")
        return 0

    return guarded(work, lambda error: _fail(error, as_json=as_json))


def _fail(error: AgentError, *, as_json: bool) -> int:
    from phonecheck import document

    if as_json:
        print_json(document.of_failure(error))
    else:
        print_error(error)
    return int(error.exit_status)


def _page(link: Link, lacks: tuple[str, ...], ours: tuple[str, ...]) -> str:
    rows = [
        ("interface", link.interface),
        *(("address", str(address)) for address in link.addresses),
        *(("gateway", str(gateway)) for gateway in link.gateways),
        *(("dns", str(server)) for server in link.dns),
        ("mtu", str(link.mtu) if link.mtu else ""),
        *(("lacks", command) for command in lacks),
        *(("ours", words) for words in ours),
    ]
    return "\n".join(f"{name:<11} {value}" for name, value in rows if value)
