"""`phonecheck report`: one file to send to a vendor or an operator."""

from __future__ import annotations

import datetime as dt
import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from phonecheck.cli.console import Chosen, link_options, print_answer, print_error, say, start_log
from phonecheck.cli.leaving import guarded
from phonecheck.cli.verbs import Verb

if TYPE_CHECKING:
    from phonecheck.config import Settings
    from phonecheck.errors import AgentError
    from phonecheck.report.contents import Source
    from phonecheck.wiring import Choice

_SECONDS = 10.0
"""For what is only read: modem and link."""
_SEND = (
    "Look through it in a browser, then send it along with your question; nobody's identity is in it, and no secret."
)


@click.command(
    "report",
    cls=Verb,
    short_help="Make one file to send to a vendor or an operator.",
    examples=(
        ("sudo phonecheck report", "A page in this directory; as root, the service's log and checks are in it too."),
        ("phonecheck report --show | less", "Read what would be sent before anything is."),
        ("phonecheck report --no-traffic -o report.json", "The same for a program, and nothing sent over the link."),
    ),
)
@click.option(
    "-o",
    "--output",
    "name",
    metavar="FILE",
    help="Where to: .html, or .json for the JSON alone; '-' is standard output.  [default: phonecheck-report-TIME.html]",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--show", is_flag=True, help="Print exactly the JSON that would be sent, and write nothing.")
@click.option("--no-traffic", is_flag=True, help="Send nothing over the link, and connect nothing.")
@click.option("--server", metavar="URL", help="The app server; https, or http on this device itself.")
@link_options
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PHONECHECK_CONFIG",
    help="The settings file.  [default: /etc/phonecheck/agent.toml]",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
def command(
    name: str | None,
    force: bool,
    show: bool,
    no_traffic: bool,
    server: str | None,
    config: Path | None,
    verbose: bool,
    **chosen: Unpack[Chosen],
) -> int:
    """Put what a vendor or an operator asks for into one file that can be sent.

    In it are the doctor's findings, modem, link, the service's checks with their hops, versions, configuration and log.
    Nobody's identity is in it and no secret: numbers show their last four digits; names of the device and its users, MAC
    addresses and other networks are left out. The file is sent nowhere; the doctor's questions take about 25 kB over the
    link. Why something is missing is said in its place. The exit status is 0 where the file was written, whatever the
    doctor found.
    """
    from phonecheck.wiring import Choice

    if show and (name is not None or force):
        raise click.UsageError("--show writes no file; leave out -o and --force.")
    start_log(verbose=verbose)
    choice = Choice(server=server, **chosen)
    lingering: list[Callable[[], None]] = []

    def work() -> int:
        from phonecheck.report.contents import as_json, compose
        from phonecheck.report.file import check, write
        from phonecheck.report.surroundings import surroundings

        now = dt.datetime.now(dt.UTC)
        file = Path(f"phonecheck-report-{now:%Y%m%dT%H%M%SZ}.html" if name is None else name)
        to_stdout = show or name == "-"
        if not to_stdout:
            check(file, replace=force)
        if not no_traffic:
            say("Looking at the device; about 25 kB go over the link …")
        report = compose(_sources(config, choice, lingering, traffic=not no_traffic), surroundings(), now)
        if show or file.suffix.lower() == ".json":
            data = as_json(report).encode()
        else:
            from phonecheck.report.page import page

            data = page(report).encode()
        if to_stdout:
            _print(data)
            return 0
        write(file, data, replace=force)
        print_answer("\n".join([f"{file}  {_size(len(data))}", *_not_collected(report), _SEND]))
        return 0

    return guarded(work, _fail, lingering)


def _sources(
    config: Path | None, choice: Choice, lingering: list[Callable[[], None]], *, traffic: bool
) -> dict[str, Source]:
    """What each part of the report comes from."""
    from phonecheck import document
    from phonecheck.deadline import Deadline
    from phonecheck.errors import AgentError
    from phonecheck.report import log
    from phonecheck.report.settings import in_force
    from phonecheck.report.versions import versions
    from phonecheck.wiring import load, look_at_link, modem_manager

    read: Settings | AgentError
    try:
        read = load(config, choice)
    except AgentError as error:  # the report is made all the same, and says so
        read = error

    def settings() -> Settings:
        if isinstance(read, AgentError):
            raise read
        return read

    def modem() -> dict[str, Any] | None:
        if settings().link.interface is not None:
            return None
        with modem_manager() as manager:
            return document.of_modem(manager.find(settings().modem.id, Deadline(_SECONDS)))

    def link() -> dict[str, Any]:
        view = look_at_link(settings(), Deadline(_SECONDS))
        return document.of_link(view.link, view.lacks, view.ours, view.error)

    return {
        "diagnosis": lambda: _diagnosis(settings(), lingering, traffic=traffic),
        "modem": modem,
        "link": link,
        "service": _service,
        "history": _history,
        "versions": versions,
        "configuration": lambda: in_force(settings()),
        "log": log.lines,
    }


def _diagnosis(settings: Settings, lingering: list[Callable[[], None]], *, traffic: bool) -> dict[str, Any]:
    from phonecheck import document
    from phonecheck.deadline import Deadline
    from phonecheck.doctor.ladder import climb
    from phonecheck.doctor.rungs import RUNGS
    from phonecheck.eyes.open import open_eyes

    eyes = open_eyes(settings, traffic=traffic)
    lingering.append(eyes.linger)
    try:
        deadline = Deadline(settings.chain.timeout + settings.modem.wait)
        return document.of_diagnosis(eyes.weigh(climb(RUNGS, eyes.device, deadline)))
    finally:
        eyes.settle()


def _service() -> dict[str, Any]:
    from phonecheck.cli.record import stamp
    from phonecheck.service.client import AgentClient

    with AgentClient() as agent:
        properties = agent.properties()
    return {
        "state": properties.get("State"),
        "version": properties.get("Version"),
        "next_run": stamp(properties.get("NextRun") or 0),
        "outbox": properties.get("Outbox"),
        "dropped": properties.get("Dropped"),
        "problem": properties.get("Problem") or None,
    }


def _history() -> dict[str, Any]:
    from phonecheck.cli.record import as_object
    from phonecheck.report.contents import CHECKS, history
    from phonecheck.service.client import AgentClient

    with AgentClient() as agent:
        return history([as_object(check) for check in agent.history(CHECKS)])


def _print(data: bytes) -> None:
    """The bytes as they are: a terminal's or a locale's own way with characters would make another document of them."""
    from phonecheck.errors import ConfigError

    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        pass  # the reader has what it wanted
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise ConfigError("file-unwritable", f"Standard output cannot be written: {reason}.") from None


def _not_collected(report: Mapping[str, Any]) -> list[str]:
    return [f"  without {entry['what']}: {entry['why']}" for entry in report["missing"]]


def _size(count: int) -> str:
    return f"{count / 1000:.0f} kB" if count >= 1000 else f"{count} bytes"


def _fail(error: AgentError) -> int:
    print_error(error)
    return int(error.exit_status)
