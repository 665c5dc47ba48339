"""The steps on stderr: a short list that fills in on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial

from phonecheck.cli.console import as_written, colour, fit, say, style
from phonecheck.verify import State, Step

_TITLES: dict[Step, str] = {
    "modem": "make the modem ready",
    "check": "create the check",
    "chain": "open the check URL",
    "result": "ask for the result",
}
_TITLED = 26
"""Columns of a line before its words, and the last one, which some terminals wrap at."""


class Steps:
    """Shows the steps of one command. Called from two threads: modem and check go on side by side."""

    def __init__(self, steps: tuple[Step, ...], *, quiet: bool) -> None:
        self._shown: dict[Step, tuple[State | None, str]] = dict.fromkeys(steps, (None, ""))
        self._lock = threading.Lock()
        self._room = os.get_terminal_size(sys.stderr.fileno()).columns - _TITLED if colour(sys.stderr) else 0
        self._live = self._room > 0 and not quiet
        self._quiet = quiet and not sys.stderr.isatty()
        self._drawn = self._ended = False

    def __call__(self, step: Step, state: State, words: str) -> None:
        """Take over a step's new state."""
        with self._lock:
            if self._ended:
                return
            self._shown[step] = (state, words)
            if self._live:
                self._draw()
            elif state != "started" and not self._quiet:
                if state == "waiting":
                    say(f"{_TITLES[step]}: {words} …")
                else:
                    mark = "ok" if state == "done" else "failed"
                    say(f"{_TITLES[step]}: {mark}{f' ({words})' if words else ''}")

    def end(self) -> None:
        """Set the list apart from the answer that follows; a step that was left behind says nothing more."""
        with self._lock:
            self._ended = True
        if self._live:
            say("")

    def _draw(self) -> None:
        paint = partial(style, sys.stderr)
        marks = {
            None: paint(_mark("·"), dim=True),
            "started": paint(_mark("…"), fg="yellow"),
            "waiting": paint(_mark("…"), fg="yellow"),
            "done": paint(_mark("✓"), fg="green"),
            "failed": paint(_mark("✗"), fg="red"),
        }
        up = f"\x1b[{len(self._shown)}A" if self._drawn else ""
        lines = [
            # A line that wraps would be two for the way back up.
            f"\x1b[2K  {marks[state]} {_TITLES[step]:<20} {paint(fit(words, self._room, sys.stderr), dim=True)}"
            for step, (state, words) in self._shown.items()
        ]
        say(up + "\n".join(lines))
        self._drawn = True


def _mark(sign: str) -> str:
    """A sign of one column, also where it takes three to spell it."""
    return as_written(sys.stderr, sign)[:1]
