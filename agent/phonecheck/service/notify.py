"""What the service manager is told, by sd_notify(3); nothing where nobody listens."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_LONGEST = 512


class Notifier:
    """The service manager's socket.

    Args:
        environ: where the manager says what it wants to hear, sd_notify(3) and sd_watchdog_enabled(3).
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of an abstract name; nothing else but a path is a Unix socket.
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""
        self.watchdog_seconds = _watchdog_seconds(environ)
        """How often at least a sign of life is expected; 0 for not at all."""

    def ready(self) -> None:
        """The service serves; also that a reload has come to its end."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; :meth:`ready` is to follow."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._tell("STOPPING=1")

    def watchdog(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def say(self, text: str) -> None:
        """What the service does, in words; `systemctl status` shows it."""
        self._tell(f"STATUS={' '.join(text.split())[:_LONGEST]}")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # Never waited for, and never a reason to fail: a manager that is busy gets the next one.
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sock:
            sock.sendto(message.encode(errors="replace"), self._address)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    try:
        # Inherited from a process that was started so, it is not meant for us.
        if int(environ.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return 0.0
        return max(0.0, int(environ["WATCHDOG_USEC"]) / 1e6)
    except (KeyError, ValueError):
        return 0.0
