"""The chain as a waterfall: a line a hop, with where it went and where its time went; in characters that all terminals have.

It is drawn from the JSON objects of the hops (docs/json.md), so that a check of the service looks like one made here, and
nothing can be shown that may not be.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from phonecheck.cli.console import as_written, fit, style

_STEPS = (("dns", "d", "cyan"), ("connect", "c", "yellow"), ("tls", "t", "magenta"), ("first_byte", "w", "green"))
_LEGEND = ("d dns", "c connect", "t tls", "w wait")
_NARROW = 60
"""Below so many columns, a hop takes several lines."""
_LEAST, _WIDEST = 20, 160
_LEAST_BAR, _FAIR_BAR = 10, 20
_LEAST_PLACE = 14
_FIXED = 21
"""Columns of indent, number, status, mark, milliseconds, and of the spaces between."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A fact of each hop that has a column of its own where there is room, and is said below where there is none."""

    head: str
    cells: tuple[str, ...]
    words: str

    @property
    def width(self) -> int:
        return max(len(self.head), *map(len, self.cells)) + 1


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    status: str
    mark: str
    place: str
    ms: float
    steps: tuple[float, ...]
    peer: str
    below: tuple[str, ...] = field(default=())


def waterfall(hops: Sequence[Mapping[str, Any]], width: int) -> str:
    """The hops of a chain, in lines of at most so many columns; what must be copied whole is not cut.

    ``d`` DNS, ``c`` connect, ``t`` TLS, ``w`` waiting for the first byte, ``.`` the rest; ``!`` marks cleartext, ``+`` a
    connection that was kept.
    """
    width = min(max(width, _LEAST), _WIDEST)
    rows = [_row(hop) for hop in hops]
    if width < _NARROW:
        lines, shown = list(_stacked(rows, width)), set()
    else:
        columns = _fitting(_columns(hops, rows), rows, width)
        lines, shown = list(_table(rows, columns, width)), {column.head for column in columns}
    return "\n".join([*lines, *(_dim(line) for line in _legend(hops, rows, shown, width))])


def _row(hop: Mapping[str, Any]) -> _Row:
    spelled = partial(as_written, sys.stdout)
    ms = hop.get("ms") or {}
    steps = tuple(float(ms.get(name) or 0.0) for name, _, _ in _STEPS)
    return _Row(
        number=hop["n"],
        status=str(hop.get("status") or "---"),
        mark="!" if hop.get("cleartext") else "+" if hop.get("reused") else " ",
        # Hosts tell the chain's story; paths are in --json, and the query is nobody's.
        place=spelled(hop["url"].partition("://")[2].partition("/")[0].partition("?")[0]),
        ms=max(float(ms.get("total") or 0.0), sum(steps)),
        steps=steps,
        peer=str(hop.get("peer") or "-"),
        below=tuple(spelled(f"{name}: {value}") for name, value in (hop.get("trace_ids") or {}).items()),
    )


def _columns(hops: Sequence[Mapping[str, Any]], rows: Sequence[_Row]) -> list[_Column]:
    """The facts of each hop, those that are missed most first."""

    def of(head: str, words: str, cells: Sequence[object]) -> _Column:
        return _Column(head, tuple(str(cell or "-") for cell in cells), words)

    return [
        of("peer", "", [row.peer for row in rows]),
        of("scheme", "", [hop["url"].partition(":")[0] for hop in hops]),
        of("IP", "IPv{}", [_family(row.peer) for row in rows]),
        of("link", "all bound to {}", [hop.get("bound_to") for hop in hops]),
        of("TLS", "", [(hop.get("tls") or "").removeprefix("TLSv") for hop in hops]),
        of("DNS server", "DNS server {}", [hop.get("dns_server") for hop in hops]),
    ]


def _family(peer: str) -> str:
    return "" if peer == "-" else "6" if ":" in peer else "4"


def _fitting(columns: Sequence[_Column], rows: Sequence[_Row], width: int) -> list[_Column]:
    room = width - _FIXED - max(len(row.place) for row in rows) - _FAIR_BAR
    chosen: list[_Column] = []
    for column in columns:
        if column.width > room:
            break  # what is missed less does not take the place of what is missed more
        room -= column.width
        chosen.append(column)
    return chosen


def _table(rows: Sequence[_Row], columns: Sequence[_Column], width: int) -> Iterator[str]:
    ms_width = max(6, *(len(f"{row.ms:.0f}") for row in rows))
    room = width - _FIXED + 6 - ms_width - sum(column.width for column in columns)
    place_width = min(max(4, *(len(row.place) for row in rows)), max(_LEAST_PLACE, room // 2))
    bar_width = max(_LEAST_BAR, room - place_width)
    total = _total(rows)
    heads = "".join(f"{column.head:<{column.width}}" for column in columns)
    axis = f"0{total:>{bar_width - 4}.0f} ms"
    yield _dim(f"  {'hop':<3} {'HTTP':>4}   {'host':<{place_width}} {heads}{'ms':>{ms_width}} {axis}")
    elapsed = 0.0
    for number, row in enumerate(rows):
        cells = "".join(f"{column.cells[number]:<{column.width}}" for column in columns)
        place = f"{fit(row.place, place_width, sys.stdout):<{place_width}}"
        bar = _bar(row, elapsed / total, total, bar_width)
        yield f"  {row.number:>3} {_status(row)} {_mark(row)} {place} {cells}{row.ms:>{ms_width}.0f} {bar}"
        if not columns and row.peer != "-":
            yield _dim(f"{'':13}{row.peer}")
        yield from (_dim(f"{'':13}{line}") for line in row.below)
        elapsed += row.ms


def _stacked(rows: Sequence[_Row], width: int) -> Iterator[str]:
    total, elapsed = _total(rows), 0.0
    for row in rows:
        yield f"{row.number:>2} {_status(row)} {_mark(row)} {row.ms:.0f} ms"
        yield f"   {fit(row.place, width - 3, sys.stdout)}"
        if row.peer != "-":
            yield _dim(f"   {row.peer}")
        yield f"   {_bar(row, elapsed / total, total, width - 3)}"
        yield from (_dim(f"   {line}") for line in row.below)
        elapsed += row.ms


def _total(rows: Sequence[_Row]) -> float:
    return max(sum(row.ms for row in rows), 0.001)


def _legend(hops: Sequence[Mapping[str, Any]], rows: Sequence[_Row], shown: set[str], width: int) -> Iterator[str]:
    words = list(_LEGEND)
    if any(row.mark == "!" for row in rows):
        words.append("! cleartext, http")
    if any(row.mark == "+" for row in rows):
        words.append("+ connection kept")
    # By which device each hop left is what the whole picture is to prove, and is said in words at any width.
    said = (
        _summed(column)
        for column in _columns(hops, rows)
        if column.words and (column.head not in shown or column.head == "link")
    )
    indent = "     " if width >= _NARROW else ""
    joint = "\0" if width >= _NARROW // 2 else " "
    for parts in (words, [one for one in said if one]):
        # A name and its letter stay together.
        line = "   ".join(part.replace(" ", joint) for part in parts)
        filled = textwrap.wrap(line, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        yield from (each.replace("\0", " ") for each in filled)


def _summed(column: _Column) -> str:
    """What all hops have in common, or which of them has what."""
    values = [value for value in dict.fromkeys(column.cells) if value != "-"]
    if len(values) <= 1:
        return column.words.format(values[0]) if values else ""
    which = {
        value: ", ".join(str(number) for number, cell in enumerate(column.cells, 1) if cell == value)
        for value in values
    }
    return "; ".join(
        f"{column.words.format(value).removeprefix('all ')} (hop {numbers})" for value, numbers in which.items()
    )


def _status(row: _Row) -> str:
    bad = row.status == "---" or row.status >= "400"
    return style(sys.stdout, f"{row.status:>4}", fg="red") if bad else f"{row.status:>4}"


def _mark(row: _Row) -> str:
    return style(sys.stdout, row.mark, fg="yellow", bold=True) if row.mark == "!" else row.mark


def _dim(text: str) -> str:
    return style(sys.stdout, text, dim=True)


def _bar(row: _Row, start: float, total: float, width: int) -> str:
    offset = min(round(start * width), width - 1)
    end = min(round(start * width + row.ms / total * width), width)
    parts = []
    at, drawn = 0.0, offset
    for (_, letter, colour_name), ms in zip(_STEPS, row.steps, strict=True):
        at += ms
        # Rounding the running sum keeps the whole bar as long as the hop, however many steps it has.
        upto = min(round((start + at / total) * width), end)
        if ms and upto > drawn:
            parts.append(style(sys.stdout, letter * (upto - drawn), fg=colour_name))
            drawn = upto
    parts.append("." * (end - drawn))
    return " " * offset + ("".join(parts) or "|")
