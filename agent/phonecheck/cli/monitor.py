"""`phonecheck monitor`: modem and service as they change, for whoever aims an antenna or waits for coverage."""

from __future__ import annotations

import dataclasses
import queue
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phonecheck.cli.console import modem_ids, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb

if TYPE_CHECKING:
    from phonecheck.cli.sources import Event, Word
    from phonecheck.cli.views import View
    from phonecheck.deadline import Deadline
    from phonecheck.errors import AgentError

_GRACE = 1.0
"""Seconds that the first reading of one of the two may take while the other one waits to be shown."""


@click.command(
    "monitor",
    cls=Verb,
    short_help="Watch modem, signal and service as they change.",
    examples=(
        ("phonecheck monitor", "Turn the antenna and see the signal."),
        ("phonecheck monitor --for 600 >coverage.txt", "Ten minutes of it, a line for each change."),
        ("phonecheck monitor --json | jq -c '[.at, .modem.signal]'", "For a program."),
    ),
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0, 1e7, min_open=True),
    metavar="S",
    help="End after so many seconds, with exit status 0.",
)
@click.option(
    "--modem",
    "modem_id",
    metavar="ID",
    envvar="PHONECHECK_MODEM",
    show_envvar=True,
    shell_complete=modem_ids,
    help="iccid:…, imei:… or a device path.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PHONECHECK_CONFIG",
    help="The settings file.  [default: /etc/phonecheck/agent.toml]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each change, in a line.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(seconds: float | None, modem_id: str | None, config: Path | None, as_json: bool, verbose: bool) -> int:
    """Watch state, operator, technology, signal and bearer of the modem, and the service's last outcome, until Ctrl-C.

    On a terminal the page is drawn over itself, with a curve of the signals that were seen; elsewhere each change is a line,
    with --json an object. Nothing is polled: ModemManager and the service tell when something is another. The signal is as
    fresh as ModemManager has it, which asks the modem about every 30 s unless the modem tells by itself.

    A modem, a ModemManager or a service that goes is waited for. What is shown is as it is; nothing is connected.
    """
    from phonecheck.cli import sources
    from phonecheck.cli.views import view
    from phonecheck.deadline import Deadline

    start_log(verbose=verbose)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    shown = view(as_json=as_json, verbose=verbose)
    # Before there is any thread, for they inherit it.
    signal.pthread_sigmask(signal.SIG_BLOCK, sources.TERMINAL_SIGNALS)

    def work() -> int:
        wanted = _wanted(config, modem_id)
        sources.open_all(wanted, lambda word, facts: events.put((word, facts)))
        return follow(events, shown, Deadline(seconds) if seconds is not None else None)

    return guarded(work, lambda error: _fail(error, as_json=as_json))


def follow(events: queue.SimpleQueue[Event], shown: View, deadline: Deadline | None) -> int:
    """Show what comes, until the deadline or until nobody reads it; returns the exit status.

    Raises:
        ModemError: ambiguous-modem, before a modem was chosen.
        ConfigError: file-unwritable.
    """
    from phonecheck.deadline import Deadline
    from phonecheck.errors import ConfigError

    scene: Any = None
    missing, grace = {"modem", "service"}, Deadline(_GRACE)
    try:
        while not (deadline and deadline.expired):
            waits = [each.remaining() for each in (deadline, grace if missing else None) if each]
            try:
                word, facts = events.get(timeout=min(waits) if waits else None)
            except queue.Empty:
                if missing and scene is not None:
                    shown.show(scene)
                missing.clear()
                continue
            if word == "left":
                return 0
            if word in ("resized", "resumed"):
                shown.again(elsewhere=word == "resumed")
                continue
            scene = _changed(scene, word, facts)
            missing.discard(word)
            if not missing:
                shown.show(scene)
    except BrokenPipeError:
        pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            "file-unwritable", f"The output could not be written: {reason}.", hint="Make room for it, or let it go."
        ) from None
    return 0


def _changed(scene: Any, word: Word, facts: Any) -> Any:
    """The scene with what came."""
    from phonecheck import document
    from phonecheck.cli.scene import Scene, service_of
    from phonecheck.errors import AgentError

    before: Scene = scene or Scene()
    if word == "service":
        if isinstance(facts, AgentError):
            return dataclasses.replace(before, service=None, absent="does not answer")
        return Scene(before.modem, before.error, service_of(facts) if facts else None)
    if isinstance(facts, AgentError):
        if facts.code == "ambiguous-modem" and before == Scene(service=before.service):
            raise facts
        return dataclasses.replace(before, modem=None, error=document.of_error(facts))
    return dataclasses.replace(before, modem=document.of_modem(facts), error=None)


def _wanted(config: Path | None, modem_id: str | None) -> str | None:
    """The modem that is asked for.

    Raises:
        ConfigError: bad-setting.
    """
    import contextlib

    from phonecheck.errors import ModemError
    from phonecheck.modem.select import select
    from phonecheck.wiring import Choice, load

    wanted = load(config, Choice(modem=modem_id)).modem.id
    with contextlib.suppress(ModemError):  # what has the wrong form would be waited for in vain
        select((), wanted)
    return wanted


def _fail(error: AgentError, *, as_json: bool) -> int:
    from phonecheck.cli.status import fail

    return fail(error, as_json=as_json)
