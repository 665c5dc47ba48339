"""What every verb shares at the terminal: options, log, errors, and leaving at once on Ctrl-C."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from phonecheck.errors import AgentError, ExitStatus
from phonecheck.redact import RedactingFormatter

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


def link_options(command: F) -> F:
    """The options that choose modem, link and time: those of `verify` and `open`."""
    for option in (
        click.option("--timeout", type=click.FloatRange(0, 3600, min_open=True), help="Seconds for the whole command."),
        click.option("--dns", multiple=True, metavar="ADDRESS", help="A DNS server on the link; may be given again."),
        click.option("--interface", metavar="NAME", help="A link that ModemManager does not manage."),
        click.option("--modem", "modem_id", metavar="ID", help="iccid:…, imei:… or a device path."),
    ):
        command = option(command)
    return command


def start_log(*, verbose: bool) -> None:
    """Send the log to stderr, redacted: warnings, or with ``verbose`` everything of ours."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(relativeCreated)6.0f ms  %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
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


def print_json(value: object) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_error(error: AgentError) -> None:
    """Cause, cure and code, on stderr."""
    paint = partial(style, sys.stderr)
    click.echo(f"{paint('phonecheck:', bold=True, fg='red')} {error.message}", err=True)
    click.echo(f"  cure  {error.hint}", err=True)
    again = ", worth another try" if error.retryable else ""
    click.echo(f"  code  {error.code} (exit status {int(error.exit_status)}{again})", err=True)


def print_usage_error(error: click.ClickException) -> None:
    """The same for a command line that cannot be read."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "phonecheck"
    click.echo(f"{style(sys.stderr, 'phonecheck:', bold=True, fg='red')} {error.format_message()}", err=True)
    click.echo(f"  cure  {path} --help", err=True)
    click.echo("  code  usage (exit status 2)", err=True)


def guarded(work: Callable[[], int], failed: Callable[[AgentError], int]) -> int:
    """Do a verb's work, leaving at once on Ctrl-C.

    The work is done in a thread: a D-Bus call, a TLS handshake and getaddrinfo each hold up Python's signal handlers
    until they end, and in the main thread Ctrl-C would wait for them (measured: libraries.md 0.4).

    Args:
        work: returns the exit status.
        failed: shows an error and returns its exit status.
    """
    status: list[int] = []

    def run() -> None:
        try:
            status.append(work())
        except AgentError as error:
            status.append(failed(error))
        except BrokenPipeError:
            status.append(ExitStatus.MATCH)
        except Exception as error:  # a bug must end in a sentence too, and its text may hold anything
            logging.getLogger("phonecheck").debug("internal error", exc_info=True)
            where = _where(error)
            status.append(failed(AgentError("internal-error", f"Unexpected {type(error).__name__} in {where}.")))

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    try:
        worker.join()
    except KeyboardInterrupt:
        click.echo("\nphonecheck: interrupted", err=True)
        sys.stdout.flush()
        # Not sys.exit: it would wait for the worker. The kernel closes the sockets.
        os._exit(ExitStatus.INTERRUPTED)
    return status[0]


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "phonecheck"
