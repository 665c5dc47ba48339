"""What was measured, as a table: to be read, or as JSON with every sample."""  # noqa: INP001  a script

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A line: the samples of each column, none where the line says nothing in it, and the most that they may be."""

    name: str
    unit: str
    columns: tuple[list[float], ...]
    budget: float | None = None


@dataclass(frozen=True)
class Table:
    """One part of the benchmark.

    Attributes:
        title: what it holds for.
        columns: their names.
        rows: the lines.
        worst: whether the worst of the samples counts: it is shown beside the median, and held against the budget.
        facts: more for the JSON.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    worst: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def kept(self, row: Row) -> bool | None:
        """Whether every column of a line keeps to its budget; None where there is none."""
        budget, figure = row.budget, max if self.worst else statistics.median
        return None if budget is None else all(figure(samples) <= budget for samples in row.columns if samples)

    def show(self) -> str:
        """The table as text."""
        name_width, width = max(len(row.name) for row in self.rows) + 2, 20 if self.worst else 12
        budget = ["budget"] if any(row.budget is not None for row in self.rows) else []
        heads = (f"{name:>{width}}" for name in (*self.columns, *budget))
        lines = [self.title, " " * name_width + "".join(heads)]
        for row in self.rows:
            digits = 3 if row.unit == "x" else 1
            cells = [self._cell(samples, digits, row.unit) for samples in row.columns]
            cells.append("" if row.budget is None else f"{row.budget:g} {row.unit:<3}")
            verdict = {None: "", True: "ok", False: "over"}[self.kept(row)]
            text = f"{row.name:<{name_width}}{''.join(f'{cell:>{width}}' for cell in cells)}  {verdict}"
            lines.append(text.rstrip())
        return "\n".join(lines)

    def _cell(self, samples: list[float], digits: int, unit: str) -> str:
        if not samples:
            return ""
        figures = [statistics.median(samples), *([max(samples)] if self.worst else [])]
        return f"{' / '.join(f'{figure:.{digits}f}' for figure in figures)} {unit:<3}"

    def to_json(self) -> dict[str, Any]:
        """The same with every sample, by the columns' names."""
        return self.facts | {
            "title": self.title,
            "rows": [
                {"name": row.name.strip(), "unit": row.unit, "budget": row.budget, "kept": self.kept(row)}
                | {"samples": dict(zip(self.columns, row.columns, strict=True))}
                for row in self.rows
            ],
        }
