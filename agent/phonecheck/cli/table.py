"""Text in columns of a terminal: how wide it is, cut and filled, and which columns there is room for. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, a text for each row, and on which side it is filled up.

    ``paint`` is given the text of a cell, cut and filled, and its row; it may add nothing but colour.
    """

    title: str
    cells: Sequence[str]
    right: bool = False
    paint: Callable[[str, int], str] = lambda text, _: text

    @property
    def width(self) -> int:
        """Characters that it takes."""
        return max(map(width, (self.title, *self.cells)))

    @property
    def empty(self) -> bool:
        """Whether no row has anything in it."""
        return not any(self.cells)

    def line(self, row: int | None) -> str:
        """A row's cell, or the title."""
        text = self.title if row is None else self.cells[row]
        fill = " " * (self.width - width(text))
        text = f"{fill}{text}" if self.right else f"{text}{fill}"
        return text if row is None else self.paint(text, row)


def width(text: str) -> int:
    """Columns of a terminal that a text takes: Chinese signs two, accents that are characters of their own none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def cut(text: str, room: int, dots: str = "…") -> str:
    """Text of at most so many columns, above 0; ``dots`` stand for what is left out, where they have room."""
    if width(text) <= room:
        return text
    if width(dots) >= room:
        dots = ""
    while width(text) + width(dots) > room:
        text = text[:-1]
    return text.rstrip() + dots


def total(columns: Iterable[Column]) -> int:
    """Characters of a line of these columns."""
    columns = tuple(columns)
    return sum(column.width for column in columns) + len(_GAP) * max(len(columns) - 1, 0)


def lines(columns: Sequence[Column]) -> list[str]:
    """The titles, and the rows; nothing at their ends."""
    rows = len(columns[0].cells)
    return [_GAP.join(column.line(row) for column in columns).rstrip() for row in (None, *range(rows))]
