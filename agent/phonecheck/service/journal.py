"""The service's log: to the journal with priorities and fields where that reads our stderr, else in lines to stderr.

The journal's own protocol is one datagram of fields an entry: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Mapping

from phonecheck import redact

SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # syslog(3)
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_LONGEST = 16 * 1024
"""Characters of a value, so that an entry always fits a datagram (net.core.wmem_default, 208 KiB)."""


def start_log(*, verbose: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Send the log to where it is read, redacted: what happens, or with ``verbose`` everything of ours."""
    handler: logging.Handler
    if reads_stderr(environ):
        handler = JournalHandler()
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(redact.RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # A record that cannot be formatted or written is dropped, not shown with its arguments as they are.
    logging.raiseExceptions = False
    logging.getLogger("phonecheck").setLevel(logging.DEBUG if verbose else logging.INFO)


def reads_stderr(environ: Mapping[str, str], fd: int = 2) -> bool:
    """Whether our stderr is the journal's, and not one that was redirected since; systemd.exec(5), JOURNAL_STREAM."""
    try:
        stat = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


class JournalHandler(logging.Handler):
    """Writes entries with the ``fields`` that a record brings along (``extra={"fields": {"PHONECHECK_ID": …}}``).

    Args:
        address: the journal's socket.
    """

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.setFormatter(redact.RedactingFormatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry; without the journal's socket, a line on stderr that keeps its priority (sd-daemon(3))."""
        try:
            message = self.format(record)
            priority = priority_of(record.levelno)
            try:
                self._socket.sendto(entry(message, priority, getattr(record, "fields", {})), self._address)
            except BlockingIOError:
                pass  # a journal that hangs must not hang the service: the watchdog would take it for dead
            except OSError:
                sys.stderr.write(f"<{priority}>{' | '.join(message.splitlines())}\n")
        except Exception:  # noqa: BLE001  as every handler: a log that cannot be written stops nobody
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def priority_of(level: int) -> int:
    """The syslog priority of a logging level."""
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def entry(message: str, priority: int, fields: Mapping[str, object]) -> bytes:
    """The datagram of one entry. A field whose name the journal would not take is left out."""
    named = {name: str(value) for name, value in fields.items() if _NAME.fullmatch(name)}
    whole = {**named, "MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "phonecheck"}
    return b"".join(_field(name, value[:_LONGEST].encode(errors="replace")) for name, value in whole.items())


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
