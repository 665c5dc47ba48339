"""The reports that the sandbox's app server has, for whoever wants to see whether a device's story arrived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonecheck_server.reports import Report


class Received:
    """Keeps the last reports in a file, in the order of their first delivery. Implements phonecheck_server's ``Reports``.

    Args:
        file: a JSON list; see :func:`read`.
        most: so many.
    """

    def __init__(self, file: Path, *, most: int = 2000) -> None:
        self._file, self._most = file, most
        self._reports: dict[tuple[str, str], dict[str, Any]] = {}

    async def take(self, report: Report) -> bool:
        """Count a delivery."""
        key = report.device, report.id
        new = key not in self._reports
        entry = self._reports.setdefault(
            key,
            {
                "report": report.id,
                "outcome": report.outcome,
                "error_code": report.error_code,
                "trigger": report.trigger,
                "deliveries": 0,
            },
        )
        entry["deliveries"] += 1
        if len(self._reports) > self._most:
            del self._reports[next(iter(self._reports))]
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps(list(self._reports.values())))
        beside.replace(self._file)  # whoever reads it reads a whole one
        return new


def read(file: Path) -> list[dict[str, Any]]:
    """The reports in a file; none where no report has come yet."""
    try:
        reports: list[dict[str, Any]] = json.loads(file.read_text())
    except FileNotFoundError:
        return []
    return reports
