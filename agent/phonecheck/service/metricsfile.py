"""The file of metrics for node_exporter's textfile collector: whole at any moment, and gone when the service is."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from phonecheck.service.metrics import exposition
from phonecheck.service.ports import Loop

_log = logging.getLogger(__name__)


class MetricsFile:
    """Writes the metrics anew when something has changed, and never by a timer; all methods are called from the loop.

    A file that cannot be written is one warning, and another when the reason is another one.

    Args:
        loop: the service's.
        properties: those of the D-Bus interface, as they are now.
    """

    def __init__(self, loop: Loop, properties: Callable[[], Mapping[str, Any]]) -> None:
        self._loop, self._properties = loop, properties
        self._file: Path | None = None
        self._due = self._written = False
        self._warned = ""

    def configure(self, file: Path | None) -> None:
        """Which file; None for none. One that was written under another name is removed."""
        if file != self._file:
            self._remove()
            self._file, self._warned = file, ""
        self.changed()

    def changed(self) -> None:
        """Have the file written in the loop's next turn, once, however often this is called before."""
        if self._file is not None and not self._due:
            self._due = True
            self._loop.soon(self._write)

    def close(self) -> None:
        """Remove the file: that there are no metrics tells more than old ones would."""
        self._remove()
        self._file = None

    def _write(self) -> None:
        self._due = False
        if self._file is None:
            return
        try:
            _replace(self._file, exposition(self._properties()).encode())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if reason != self._warned:
                _log.warning("The metrics cannot be written to %s: %s.", self._file, reason)
            self._warned = reason
        else:
            self._written, self._warned = True, ""

    def _remove(self) -> None:
        if self._file is not None and self._written:
            with contextlib.suppress(OSError):
                self._file.unlink()
        self._written = False


def _replace(file: Path, content: bytes) -> None:
    """Put a new file in the place of the old one. Not synced: after a power cut the metrics are new anyway."""
    # Hidden, and without the suffix .prom that the collector looks for. A fixed name, so that a kill leaves one at most;
    # whatever has it is removed and never opened, for the directory may be one that others write to.
    beside = file.with_name(f".{file.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(content)
            os.fchmod(fd, 0o644)  # past the umask of the service: the collector is another user
        beside.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
