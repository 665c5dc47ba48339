"""How a scene is shown: drawn in place on a terminal, a line a change elsewhere, an object a change for programs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from phonecheck.cli import scene as scenes
from phonecheck.cli.console import as_written, style
from phonecheck.cli.record import when
from phonecheck.cli.scene import Scene

_REMEMBERED = 400
"""Signals, which is more than the widest line."""
_CLEAR_LINE, _CLEAR_BELOW, _CLEAR_ALL = "\x1b[2K", "\x1b[J", "\x1b[H\x1b[2J"


class View(Protocol):
    """Shows scenes."""

    def show(self, scene: Scene) -> None:
        """Show one, if it is another than the last.

        Raises:
            OSError: it cannot be written.
        """

    def again(self, *, elsewhere: bool) -> None:
        """Show the last one again: the terminal has another size, or the cursor is ``elsewhere``."""


class Objects:
    """An object a line."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._last: Scene | None = None
        self._ascii = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"

    def show(self, scene: Scene) -> None:
        """Print one that is another."""
        if scene != self._last:
            self._last = scene
            shown = scenes.as_object(scene, time.time(), time.monotonic() - self._begun)
            write(json.dumps(shown, ensure_ascii=self._ascii) + "\n")

    def again(self, *, elsewhere: bool) -> None:
        """Nothing: a stream has no size."""


class Lines:
    """A line with the time, which is whole: to cut it is the reader's."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, scene: Scene) -> None:
        """Print one that reads another."""
        line = scenes.line(scene)
        if line != self._last:
            self._last = line
            write(f"{when(time.time())}  {line}\n")

    def again(self, *, elsewhere: bool) -> None:
        """Nothing: what was written stands."""


class Page:
    """A page that is drawn over itself.

    After each drawing the cursor is at the beginning of the line below, and nothing else of the terminal is changed, so
    that whatever ends the process leaves it as a command does that has printed its answer.
    """

    def __init__(self) -> None:
        self._canvas = Canvas(write)
        self._signals: deque[int | None] = deque(maxlen=_REMEMBERED)
        self._scene: Scene | None = None
        self._at = ""

    def show(self, scene: Scene) -> None:
        """Draw one that is another."""
        if scene == self._scene:
            return
        if self._scene is None or scene.signal != self._scene.signal:
            self._signals.append(scene.signal)
        self._scene, self._at = scene, when(time.time())
        self._draw()

    def again(self, *, elsewhere: bool) -> None:
        """Draw the last one again."""
        if elsewhere:
            self._canvas.forget()
        if self._scene is not None:
            self._draw()

    def _draw(self) -> None:
        assert self._scene is not None  # noqa: S101  for mypy: who draws has a scene
        columns, rows = shutil.get_terminal_size((80, 24))
        # The last column is left free: some terminals wrap at it.
        room = max(columns - 1, 1)
        page = scenes.page(self._scene, list(self._signals), room, sys.stdout.encoding)
        page.append(scenes.Row("changed", self._at, "  Ctrl-C ends"))
        self._canvas.draw([self._painted(row, room) for row in page], (columns, rows))

    def _painted(self, row: scenes.Row, room: int) -> str:
        spelled = scenes.Row(row.name, as_written(sys.stdout, row.coloured), as_written(sys.stdout, row.plain))
        name, coloured, plain = scenes.written(spelled, room, as_written(sys.stdout, "…"))
        if row.colour:
            coloured = style(sys.stdout, coloured, fg=row.colour, bold=True)
        return f"{style(sys.stdout, name, dim=True)}{coloured}{plain}".rstrip()


class Canvas:
    """Lines on a terminal that are drawn over those before.

    Args:
        write: writes to the terminal, at once.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._drawn = 0
        self._size: tuple[int, int] | None = None

    def draw(self, lines: list[str], size: tuple[int, int]) -> None:
        """Draw lines, none of them longer than the terminal is wide.

        Args:
            lines: as many as there is room for are drawn.
            size: columns and rows of the terminal.
        """
        lines = lines[: max(size[1] - 1, 1)]
        if self._size is not None and size != self._size:
            # Where the old lines are now is the terminal's secret: some break them anew, some cut them, some scroll.
            begin = _CLEAR_ALL
        else:
            begin = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._write(begin + "".join(f"{_CLEAR_LINE}{line}\n" for line in lines) + _CLEAR_BELOW)
        self._drawn, self._size = len(lines), size

    def forget(self) -> None:
        """Draw the next lines where the cursor is then."""
        self._drawn, self._size = 0, None


def write(text: str) -> None:
    """Text on stdout, at once.

    Raises:
        OSError: it cannot be written.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def view(*, as_json: bool, verbose: bool) -> View:
    """The view that suits stdout; a log on the same terminal would be drawn over."""
    import os

    if as_json:
        return Objects()
    live: Any = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not verbose
    return Page() if live else Lines()
