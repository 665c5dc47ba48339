"""Processes whose parent ended before them, and which the kernel then gives to the service."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from phonecheck.service.ports import Cancel, Loop

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class _Orphan:
    session: int
    pidfd: int
    watch: Cancel


class Orphans:
    """The orphans of this process's children, whose parent it becomes (PR_SET_CHILD_SUBREAPER, prctl(2)).

    Every child of this process that is not known to have been started by it counts as one.

    Args:
        loop: where everything is called from.
        ended: called after each that ended and was reaped.
    """

    def __init__(self, loop: Loop, ended: Callable[[], None]) -> None:
        self._loop, self._ended = loop, ended
        self._adopted: dict[int, _Orphan] = {}
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    @property
    def pids(self) -> tuple[int, ...]:
        """Those that were adopted and live."""
        return tuple(self._adopted)

    def any_of(self, session: int) -> bool:
        """Whether one of a session is among them."""
        return any(orphan.session == session for orphan in self._adopted.values())

    def adopt(self, known: Container[int]) -> None:
        """Look for new ones, which come about whenever one of us ends."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return  # no child at all, as nearly always: there is no need to look through /proc
        with contextlib.suppress(OSError):  # no descriptor left: the next end looks again
            for pid, session in _children():
                if pid not in known and pid not in self._adopted:
                    pidfd = os.pidfd_open(pid)
                    self._adopted[pid] = _Orphan(session, pidfd, self._loop.readable(pidfd, partial(self._reap, pid)))

    def _reap(self, pid: int) -> None:
        orphan = self._adopted.pop(pid)
        orphan.watch.cancel()
        os.close(orphan.pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        self._ended()


def _children() -> Iterator[tuple[int, int]]:
    """Process id and session of each child of this process.

    /proc/self/task/*/children would tell more cheaply, where the kernel was built with CONFIG_PROC_CHILDREN.
    """
    ours = os.getpid()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_bytes()
        except OSError:
            continue  # gone meanwhile
        # proc_pid_stat(5): pid (name) state ppid pgrp session …; the name may hold anything.
        _, parent, _, session = stat.rpartition(b")")[2].split()[:4]
        if int(parent) == ours:
            yield int(entry.name), int(session)
