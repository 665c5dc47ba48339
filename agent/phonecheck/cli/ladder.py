"""The doctor's ladder for a person: a line for each rung, as soon as those before it are known, and a verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from phonecheck.cli.console import print_answer, style
from phonecheck.doctor.model import Diagnosis, Reading, Rung

_WORDS = {"well": ("ok", "green"), "failed": ("FAILED", "red"), "unseen": ("unseen", "yellow"), "idle": ("-", None)}
_STATE, _NARROW, _WIDEST = 6, 60, 120


class Ladder:
    """Prints the rungs of one climb.

    Args:
        rungs: in their order.
        columns: of the terminal.
        stream: decides about colour.
    """

    def __init__(self, rungs: Sequence[Rung], columns: int, stream: Any) -> None:
        self._rungs, self._stream = rungs, stream
        self._columns = max(20, min(columns, _WIDEST))
        self._readings: dict[str, Reading] = {}
        self._printed = 0
        self._unwritable = False

    def tell(self, rung: Rung, reading: Reading | None) -> None:
        """Hear of a rung's end, and print what can be printed by now."""
        if reading is None:
            return
        self._readings[rung.slug] = reading
        while self._printed < len(self._rungs):
            following = self._readings.get(self._rungs[self._printed].slug)
            if following is None:
                return
            self._printed += 1
            # What cannot be written is said once, and again of the verdict.
            if following.state != "hidden" and not self._unwritable:
                self._unwritable = print_answer(self.lines(following)) != 0

    def lines(self, reading: Reading) -> str:
        """One rung's lines: its state, its title, what was found; below, of a failure, cure, command and code."""
        word, colour = _WORDS[reading.state]
        aligned = word if self._columns < _NARROW else f"{word:<{_STATE}}"
        state = style(self._stream, aligned, fg=colour, bold=reading.state == "failed")
        said = reading.words if reading.error is None else reading.error.message
        if reading.ms >= 1000:
            said += f" ({reading.ms / 1000:.1f} s)"
        titles = max(len(rung.title) for rung in self._rungs)
        if self._columns < _NARROW:
            lines = [f"{state} {reading.rung.title}", *self._wrapped(said, "  ")]
        else:
            indent = " " * (_STATE + titles + 5)
            first, *more = self._wrapped(said, indent) or [""]
            lines = [f"  {state} {reading.rung.title:<{titles}}  {first.strip()}".rstrip(), *more]
        return "\n".join([*lines, *self._below(reading)])

    def verdict(self, diagnosis: Diagnosis) -> str:
        """What it all comes to."""
        hidden = [reading for reading in diagnosis.readings if reading.state == "hidden"]
        lines, more = [], []
        for cause in dict.fromkeys(reading.because for reading in hidden):
            names = ", ".join(reading.rung.title for reading in hidden if reading.because == cause)
            by = next(reading.rung.title for reading in diagnosis.readings if reading.rung.slug == cause)
            lines += self._wrapped(f"Behind {by}: {names}.", "  ")
        took = f"{diagnosis.ms / 1000:.1f} s"
        if diagnosis.traffic is not None:
            took += f", {diagnosis.traffic / 1000:.0f} kB over the link"
        tail = f" ({took})"
        cause_reading = diagnosis.cause
        if cause_reading is None:
            unseen = [reading.rung.title for reading in diagnosis.readings if _unseen(reading)]
            verdict = style(self._stream, "ALL WELL", fg="green", bold=True)
            if unseen:
                lines += ["", *self._wrapped(f"Not seen: {', '.join(unseen)}.", "  ")]
                tail = f"but for what was not seen {tail}"
        else:
            verdict = style(self._stream, f"CAUSE: {cause_reading.rung.title}", fg="red", bold=True)
            if cause_reading.error is not None:
                more = [f"phonecheck explain {cause_reading.error.code}"]
        narrow = self._columns < _NARROW
        ends = [verdict, *self._wrapped(tail.strip(), "")] if narrow else [f"{verdict} {tail}"]
        return "\n".join([*lines, "", *ends, *more])

    def _below(self, reading: Reading) -> list[str]:
        indent = "  " if self._columns < _NARROW else " " * (_STATE + 3)
        rows: list[str] = []
        if reading.error is not None:
            error = reading.error
            rows += self._wrapped(error.hint, indent, "cure  ")
            rows += self._pasted(reading.command, indent)
            rows += self._wrapped(f"{error.code} (exit status {int(error.exit_status)})", indent, "code  ")
        elif reading.command and reading.state == "unseen":
            rows += self._pasted(reading.command, indent)
        return rows

    @staticmethod
    def _pasted(command: str, indent: str) -> list[str]:
        """A command stands in one line, however long: it is to be pasted."""
        return [f"{indent}try   {command}"] if command else []

    def _wrapped(self, text: str, indent: str, head: str = "") -> list[str]:
        return textwrap.wrap(
            text,
            max(self._columns - 1, len(indent) + len(head) + 12),
            initial_indent=indent + head,
            subsequent_indent=indent + " " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )


def _unseen(reading: Reading) -> bool:
    """Whether nobody knows how it is there: nobody could look, or nobody was to, as it costs traffic."""
    return reading.state == "unseen" or (reading.state == "idle" and reading.rung.traffic > 0)
