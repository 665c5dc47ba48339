"""The steps on stderr: a short list that fills in on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from functools import partial

import click

from phonecheck.cli.console import colour, style
from phonecheck.verify import State, Step

_TITLES: dict[Step, str] = {
    "modem": "read the modem",
    "check": "create the check",
    "chain": "open the check URL",
    "result": "ask for the result",
}


class Steps:
    """Shows the steps of one command. Called from two threads: modem and check go on side by side."""

    def __init__(self, steps: tuple[Step, ...], *, quiet: bool) -> None:
        self._shown: dict[Step, tuple[State | None, str]] = dict.fromkeys(steps, (None, ""))
        self._lock = threading.Lock()
        self._live = colour(sys.stderr) and not quiet
        self._quiet = quiet and not sys.stderr.isatty()
        self._drawn = False

    def __call__(self, step: Step, state: State, words: str) -> None:
        """Take over a step's new state."""
        with self._lock:
            self._shown[step] = (state, words)
            if self._live:
                self._draw()
            elif state != "started" and not self._quiet:
                mark = "ok" if state == "done" else "failed"
                click.echo(f"{_TITLES[step]}: {mark}{f' ({words})' if words else ''}", err=True)

    def end(self) -> None:
        """Set the list apart from the answer that follows."""
        if self._live:
            click.echo(err=True)

    def _draw(self) -> None:
        paint = partial(style, sys.stderr)
        marks = {
            None: paint("·", dim=True),
            "started": paint("…", fg="yellow"),
            "done": paint("✓", fg="green"),
            "failed": paint("✗", fg="red"),
        }
        up = f"\x1b[{len(self._shown)}A" if self._drawn else ""
        lines = [
            f"\x1b[2K  {marks[state]} {_TITLES[step]:<20} {paint(words, dim=True)}"
            for step, (state, words) in self._shown.items()
        ]
        click.echo(up + "\n".join(lines), err=True)
        self._drawn = True
