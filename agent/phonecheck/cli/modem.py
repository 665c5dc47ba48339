"""`phonecheck modem list`, `show` and `unlock`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phonecheck.cli.console import first_line, modem_ids, options, print_answer, print_error, print_json, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb, VerbGroup

if TYPE_CHECKING:
    from phonecheck.errors import AgentError
    from phonecheck.model import Bearer, Modem

_SECONDS = 10.0
_UNLOCK_SECONDS = 30.0


@click.group(
    "modem",
    cls=VerbGroup,
    short_help="Show the modems that ModemManager sees, or unlock a SIM.",
    examples=(
        ("phonecheck modem list", "Which modems are there, and in what state?"),
        ("phonecheck modem show", "Why has it no data connection?"),
    ),
)
def command() -> None:
    """Show the modems that ModemManager sees, identities by their last four digits; or unlock a SIM."""


@command.command(
    "list",
    cls=Verb,
    short_help="One line a modem.",
    examples=(
        ("phonecheck modem list", "Id, state, operator, technology, signal."),
        ("phonecheck modem list --json", "All that is known of each, for a program."),
    ),
)
@options
def list_(config: Path | None, as_json: bool, verbose: bool) -> int:
    """One line a modem: id, state, operator, technology, signal."""
    from phonecheck import document
    from phonecheck.deadline import Deadline
    from phonecheck.wiring import modem_manager

    start_log(verbose=verbose)
    del config  # an option of every verb; listing needs none of it

    def work() -> int:
        modems = modem_manager().modems(Deadline(_SECONDS))
        if as_json:
            print_json({"schema": document.SCHEMA, "modems": [document.of_modem(modem) for modem in modems]})
        else:
            print_answer("\n".join(map(_line, modems)) or "ModemManager sees no modem.")
        return 0

    return guarded(work, lambda error: _fail(error, as_json=as_json))


@command.command(
    "show",
    cls=Verb,
    short_help="All that is known of a modem.",
    examples=(
        ("phonecheck modem show", "The configured modem, or the only one."),
        ("phonecheck modem show iccid:8944001012345678909", "The one with this SIM in it."),
    ),
)
@click.argument("modem_id", metavar="[ID]", required=False, shell_complete=modem_ids)
@options
def show(modem_id: str | None, config: Path | None, as_json: bool, verbose: bool) -> int:
    """All that is known of a modem, its SIM, registration and bearers.

    ID is iccid:…, imei:… or a device path; without it, the configured modem, or the only one.
    """
    from phonecheck import document
    from phonecheck.deadline import Deadline
    from phonecheck.wiring import Choice, load, modem_manager

    start_log(verbose=verbose)

    def work() -> int:
        settings = load(config, Choice(modem=modem_id))
        modem = modem_manager().find(settings.modem.id, Deadline(_SECONDS))
        if as_json:
            print_json({"schema": document.SCHEMA, "modem": document.of_modem(modem)})
        else:
            print_answer(_page(modem))
        return 0

    return guarded(work, lambda error: _fail(error, as_json=as_json))


@command.command(
    "unlock",
    cls=Verb,
    short_help="Give a SIM its PIN.",
    examples=(
        ("phonecheck modem unlock", "The PIN is asked for."),
        ("phonecheck modem unlock imei:490154203237518 < pin.txt", "It is read from a file; the SIM is this modem's."),
    ),
)
@click.argument("modem_id", metavar="[ID]", required=False, shell_complete=modem_ids)
@click.option("--last-try", is_flag=True, help="Also with one try left, or where the modem does not tell how many are.")
@options
def unlock(modem_id: str | None, last_try: bool, config: Path | None, as_json: bool, verbose: bool) -> int:
    """Give the SIM of a modem its PIN, which is asked for, or read from standard input where that is no terminal.

    ID is iccid:…, imei:… or a device path; without it, the configured modem, or the only one. With one try left nothing
    is sent unless that is allowed: a wrong PIN would then block the SIM until its PUK is entered.
    """
    from phonecheck import document
    from phonecheck.deadline import Deadline
    from phonecheck.wiring import Choice, load, unlock_sim

    start_log(verbose=verbose)
    # Here, and not in the work's thread: the prompt is the terminal's, and Ctrl-C at it this thread's.
    typed = click.prompt("PIN", hide_input=True, err=True) if sys.stdin.isatty() else first_line(sys.stdin)

    def work() -> int:
        settings = load(config, Choice(modem=modem_id))
        modem = unlock_sim(settings, typed, Deadline(_UNLOCK_SECONDS), last_try=last_try)
        if as_json:
            print_json({"schema": document.SCHEMA, "modem": document.of_modem(modem)})
        else:
            print_answer(f"{modem.id} is unlocked: {modem.state.word}.")
        return 0

    return guarded(work, lambda error: _fail(error, as_json=as_json))


def _fail(error: AgentError, *, as_json: bool) -> int:
    from phonecheck import document

    if as_json:
        print_json(document.of_failure(error))
    else:
        print_error(error)
    return int(error.exit_status)


def _line(modem: Modem) -> str:
    signal = f"{modem.signal} %" if modem.signal is not None else ""
    facts = [modem.state.word, modem.operator_name, "/".join(modem.technologies), signal, modem.model]
    return f"{modem.id:<14} " + "  ".join(fact for fact in facts if fact)


def _page(modem: Modem) -> str:
    from phonecheck.model import FailedReason, Lock

    sim = modem.sim
    rows = [
        ("modem", modem.id),
        ("hardware", " ".join(filter(None, [modem.manufacturer, modem.model]))),
        ("device", modem.device),
        ("imei", str(modem.imei or "")),
        ("state", modem.state.word),
        ("failed", "" if modem.failed_reason == FailedReason.NONE else modem.failed_reason.word),
        ("lock", "" if modem.lock in (Lock.NONE, Lock.UNKNOWN) else modem.lock.word),
        ("retries", ", ".join(f"{lock.word} {left}" for lock, left in modem.retries)),
        ("sim", f"iccid {sim.iccid or 'unknown'}, imsi {sim.imsi or 'unknown'}" if sim else "none"),
        ("number", ", ".join(map(str, modem.own_numbers))),
        ("network", " ".join(filter(None, [modem.operator_name, modem.operator_code, modem.registration.word]))),
        ("data", modem.packet_service.word),
        ("technology", "/".join(modem.technologies)),
        ("signal", f"{modem.signal} %" if modem.signal is not None else ""),
        *(("bearer", _bearer(bearer)) for bearer in modem.bearers),
    ]
    return "\n".join(f"{name:<11} {value}" for name, value in rows if value)


def _bearer(bearer: Bearer) -> str:
    state = "suspended" if bearer.suspended else "connected" if bearer.connected else "not connected"
    facts = [bearer.interface, state, f"apn {bearer.apn}" if bearer.apn else ""]
    for config in (bearer.ip4, bearer.ip6):
        if config is not None:
            facts.append(f"{config.method.word} {config.address or ''}".strip())
            facts.append("DNS " + " ".join(map(str, config.dns)) if config.dns else "")
    return ", ".join(fact for fact in facts if fact)
