"""The modem's end of a pseudo-terminal, whose other end ModemManager opens as /dev/cdc-wdm0."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import Callable
from pathlib import Path

_BACKLOG = 64 * 1024


class PtyPort:
    """A pseudo-terminal under the name ``link``, until closed. Needs a running event loop."""

    def __init__(self, link: Path, received: Callable[[bytes], None]) -> None:
        self._link = link
        self._received = received
        self._backlog = bytearray()
        self._loop = asyncio.get_running_loop()
        # The host's end is held open here too: with no one at it, reading our own end would fail with EIO.
        self._fd, self._host_fd = pty.openpty()
        tty.setraw(self._host_fd)
        os.set_blocking(self._fd, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._host_fd))
        self._loop.add_reader(self._fd, self._read)

    def write(self, message: bytes) -> None:
        """Send a message; one that no host reads is dropped whole once 64 KiB wait."""
        if len(self._backlog) + len(message) > _BACKLOG:
            return
        self._backlog += message
        self._drain()

    def close(self) -> None:
        """Take the name away and hang up on whoever has it open."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._link.unlink(missing_ok=True)
        os.close(self._host_fd)
        os.close(self._fd)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._received(os.read(self._fd, 65536))

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._backlog:
                del self._backlog[: os.write(self._fd, self._backlog)]
        if self._backlog:
            self._loop.add_writer(self._fd, self._drain)
        else:
            self._loop.remove_writer(self._fd)
