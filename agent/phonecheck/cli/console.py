"""What every verb shares at the terminal: options, log, answers and errors."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypedDict, TypeVar

import click

from phonecheck import redact
from phonecheck.cli import spelling
from phonecheck.errors import AgentError, ExitStatus

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """The options that every verb has: `--config`, `--json`, `-v`."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            envvar="PHONECHECK_CONFIG",
            help="The settings file.  [default: /etc/phonecheck/agent.toml]",
        ),
    ):
        command = option(command)
    return command


def modem_ids(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """What a shell may complete --modem or ID with: the ids of the modems that are there, or nothing."""
    from phonecheck.cli import completion

    return [one for one in completion.modem_ids() if one.startswith(incomplete)]


class Chosen(TypedDict):
    """What :func:`link_options` hand over, by the names of wiring.Choice."""

    modem: str | None
    interface: str | None
    dns: tuple[str, ...]
    connect: bool | None
    apn: str | None
    wait: float | None
    timeout: float | None


def link_options(command: F) -> F:
    """The options that choose modem, link and time: those of `verify` and its like."""
    for option in (
        click.option(
            "--wait",
            type=click.FloatRange(0, 3600),
            metavar="S",
            help="Seconds more for a modem, a registration or a bearer that is not there yet, as at boot.",
        ),
        click.option("--apn", metavar="APN", help="The APN to connect to; the operator's own otherwise."),
        click.option(
            "--connect/--no-connect",
            default=None,
            help="Unlock, enable and connect the modem as needed, and take it down again.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, 3600, min_open=True),
            metavar="S",
            help="Seconds for the whole command.",
        ),
        click.option("--dns", multiple=True, metavar="ADDRESS", help="A DNS server on the link; may be given again."),
        click.option("--interface", metavar="NAME", help="A link that ModemManager does not manage."),
        click.option(
            "--modem",
            "modem",
            metavar="ID",
            envvar="PHONECHECK_MODEM",
            show_envvar=True,
            shell_complete=modem_ids,
            help="iccid:…, imei:… or a device path.",
        ),
    ):
        command = option(command)
    return command


def first_line(stream: TextIO) -> str:
    """What '-' stands for: a line, without the space around it; of one that never ends, enough to be refused."""
    return stream.readline(10_000).strip()


def start_log(*, verbose: bool) -> None:
    """Send the log to stderr, redacted: warnings, or with ``verbose`` everything of ours."""
    handler = logging.StreamHandler()
    handler.setFormatter(redact.RedactingFormatter("%(relativeCreated)6.0f ms  %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # A record that cannot be formatted or written is dropped, not shown with its arguments as they are.
    logging.raiseExceptions = False
    logging.getLogger("phonecheck").setLevel(logging.DEBUG if verbose else logging.WARNING)
    # Both log whole URLs, queries and all, at INFO and DEBUG.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def colour(stream: Any) -> bool:
    """Whether a stream takes colour: a terminal, and NO_COLOR (no-color.org) not set."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(stream: Any, text: str, **styles: Any) -> str:
    """Text in colour where the stream takes it."""
    return click.style(text, **styles) if colour(stream) else text


def columns(stream: Any) -> int:
    """How wide a terminal is; 80 for what is none and for one that does not say. COLUMNS goes before."""
    if stream is sys.stdout:
        return shutil.get_terminal_size((80, 24)).columns
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def as_written(stream: Any, text: str) -> str:
    """Text as a stream will show it: one that is not UTF-8 spells an ellipsis with three characters."""
    return spelling.as_written(text, getattr(stream, "encoding", "utf-8"))


def fit(text: str, width: int, stream: Any = None) -> str:
    """Text of at most so many characters, above 0, where it is written to the stream."""
    text, dots = (text, "…") if stream is None else (as_written(stream, text), as_written(stream, "…"))
    if len(text) <= width:
        return text
    return text[: width - len(dots)] + dots if width > len(dots) else text[:width]


def print_answer(text: str) -> int:
    """The answer on stdout. That it cannot be written is said, and changes nothing of what was found out.

    Returns:
        The exit status of a command whose answer is all that it is for: 0, or that of file-unwritable.
    """
    try:
        click.echo(text, file=sys.stdout)  # without file=, click writes UTF-8 to a stream that is ASCII
    except BrokenPipeError:
        pass  # the reader has what it wanted
    except OSError as error:
        say(f"phonecheck: the answer could not be written: {error.strerror}")
        return int(ExitStatus.CONFIG)
    return 0


def print_json(value: object) -> int:
    """One JSON object on stdout; returns as print_answer does."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    return print_answer(json.dumps(value, ensure_ascii=ascii_only, indent=2 if sys.stdout.isatty() else None))


def say(text: str) -> None:
    """A line on stderr, if anybody is there to read it: a check goes on without a listener."""
    with contextlib.suppress(OSError):
        click.echo(text, file=sys.stderr)


def print_error(error: AgentError) -> None:
    """Cause, cure and code, on stderr."""
    print_cause(error.message, error.hint, error.code, int(error.exit_status), retryable=error.retryable)


def print_cause(message: str, hint: str, code: str, exit_status: int, *, retryable: bool) -> None:
    """The same for an error that another process had."""
    again = ", worth another try" if retryable else ""
    _print_failure(message, hint, f"{code} (exit status {exit_status}{again})", _more(code))


def print_usage_error(error: click.ClickException) -> None:
    """The same for a command line that cannot be read."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2's; its message is the help itself
        say(error.format_message())
        return
    cure = f"{context.command_path if context else 'phonecheck'} --help"
    message = error.format_message()
    if meant := getattr(error, "possibilities", None):
        # Of a word of ours that is nearly right, and of click's options alike; click's own words differ by its version.
        message, cure = error.message, f"Did you mean {' or '.join(meant)}? See {cure}"
    # What was typed in the wrong place may be a number or a check URL.
    _print_failure(redact.text(message), cure, "usage (exit status 2)")


def _more(code: str) -> str:
    """Where a person at a terminal finds the code's page."""
    if not sys.stderr.isatty():
        return ""
    from phonecheck.cli.explain import kinds

    return f"phonecheck explain {code}" if code in kinds() else ""


def _print_failure(cause: str, cure: str, code: str, more: str = "") -> None:
    lines = [f"{style(sys.stderr, 'phonecheck:', bold=True, fg='red')} {cause}", f"  cure  {cure}", f"  code  {code}"]
    if more:
        # A line that is broken in two cannot be copied as well.
        in_line = f"{lines[-1]} · more: {more}"
        lines[-1:] = [in_line] if len(in_line) < columns(sys.stderr) else [lines[-1], f"  more  {more}"]
    say("\n".join(lines))
