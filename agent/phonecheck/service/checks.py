"""Checks as processes of their own, `phonecheck verify --json`; and what takes down in the place of one that was killed."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from phonecheck.config import Settings
from phonecheck.errors import ExitStatus
from phonecheck.modem import brought
from phonecheck.service.children import Child, Children, sealed
from phonecheck.service.model import Finished, Request
from phonecheck.service.ports import Cancel

GRACE_SECONDS = 20.0
"""What a check may take beyond its own time: to import on a small device, to take down a bearer."""
_AFTERMATH_SECONDS = 20.0
_AFTERMATHS = 3
"""How often it is begun anew where somebody kills what takes down: whoever killed the check may mean all of ours."""
_LARGEST = 1 << 16
_PROGRAM = (sys.executable, "-P", "-m", "phonecheck")
_AFTERMATH = (sys.executable, "-P", "-m", "phonecheck.aftermath")
# What systemd gave to this process alone, and what a check is told in other ways.
_NOT_INHERITED = frozenset(
    {
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "JOURNAL_STREAM",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        "PHONECHECK_CONFIG",
        "PHONECHECK_MODEM",
    }
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A configuration that the service has taken over: the file's bytes, its name, and what they say."""

    raw: bytes
    name: Path
    settings: Settings


class ChildChecks:
    """Makes checks in processes; implements :class:`phonecheck.service.ports.Checks`.

    At its begin, and after a process that a signal ended, what such a process left up is taken down; a check that is asked
    for meanwhile starts afterwards.

    Args:
        children: this process's.
        accepted: the configuration to check by, as it is now.
        directory: where a check notes what it brings up.
        environ: this process's environment.
        program: the command line of `phonecheck`.
        aftermath: that of what takes down.
    """

    def __init__(
        self,
        children: Children,
        accepted: Callable[[], Accepted],
        directory: Path,
        *,
        environ: Mapping[str, str] = os.environ,
        program: Sequence[str] = _PROGRAM,
        aftermath: Sequence[str] = _AFTERMATH,
    ) -> None:
        self._children, self._accepted, self._file = children, accepted, directory / "brought.json"
        self._program, self._aftermath = program, aftermath
        inherited = {name: value for name, value in environ.items() if name not in _NOT_INHERITED}
        self.environment = inherited | {brought.VARIABLE: str(self._file)}
        self._waiting: list[_Check] = []
        self._clearing = True
        children.loop.soon(partial(self._clear, links=False))

    def start(self, request: Request, done: Callable[[Finished], None]) -> Cancel:
        """Start a check; ``done`` is called once, from the loop, also after a cancel."""
        check = _Check(self, request, done)
        if self._clearing:
            self._waiting.append(check)
        else:
            self._begin(check)
        return check

    def call_off(self, check: _Check) -> None:
        """End a check, or its waiting for its turn."""
        if check.child is not None:
            check.child.cancel()
        elif check in self._waiting:
            self._waiting.remove(check)
            self._children.loop.soon(lambda: check.done(Finished(cancelled=True)))

    def _begin(self, check: _Check) -> None:
        request, accepted = check.request, self._accepted()
        timeout = accepted.settings.chain.timeout if request.timeout is None else request.timeout
        environment = dict(self.environment)
        if request.modem is not None:
            environment["PHONECHECK_MODEM"] = request.modem
        try:
            # The file itself may be nonsense by now, or another one.
            config = sealed(accepted.raw, "phonecheck-config")
        except OSError as error:
            finished = Finished(failed=error.strerror or type(error).__name__)
            self._children.loop.soon(lambda: check.done(finished))
            return
        try:
            check.child = self._children.start(
                [
                    *self._program,
                    *("verify", "--json", "--config", f"/proc/self/fd/{config}", "--timeout", str(timeout)),
                    *([] if request.number is None else ["-"]),
                ],
                stdin=b"" if request.number is None else f"{request.number.digits}\n".encode(),
                env=environment,
                fds=(config,),
                seconds=timeout + accepted.settings.modem.wait + GRACE_SECONDS,
                done=partial(self._ended, check),
            )
        finally:
            os.close(config)

    def _ended(self, check: _Check, finished: Finished) -> None:
        if finished.stderr:
            strange = finished.signal is not None or finished.status == ExitStatus.BUG
            said = finished.stderr.decode(errors="replace").strip()
            _log.log(logging.WARNING if strange else logging.DEBUG, "The check's process said: %s", said)
        killed = finished.signal is not None
        if check.child is not None and (killed or self._noted()):
            # SIGTERM left it the time to have its links and its bearer seen to, by a process that is waited for now.
            self._clearing = True
            check.child.left(partial(self._clear, links=killed and finished.signal != signal.SIGTERM))
        check.done(finished)

    def _clear(self, *, links: bool, tries: int = 1) -> None:
        """Take down what is noted; with ``links``, also what was set up in the kernel and is noted nowhere else."""
        noted = self._noted()
        if not noted and not links:
            self._cleared()
            return
        self._children.start(
            self._aftermath,
            stdin=noted or b"null",
            env=self.environment,
            seconds=_AFTERMATH_SECONDS,
            cap=0,
            done=partial(self._taken_down, links, tries),
        )

    def _noted(self) -> bytes:
        try:
            with self._file.open("rb") as file:
                return file.read(_LARGEST)
        except OSError:
            return b""

    def _taken_down(self, links: bool, tries: int, finished: Finished) -> None:
        if finished.signal is not None and not (finished.hung or finished.cancelled) and tries < _AFTERMATHS:
            self._clear(links=links, tries=tries + 1)
            return
        if finished.status != 0:
            said = finished.stderr.decode(errors="replace").strip() or finished.failed
            _log.warning("What a check that was killed had brought up may still be up. %s", said)
        if not finished.failed:
            # Once is enough: a note that cannot be read, or a modem that hangs, is no better at the next start.
            with contextlib.suppress(OSError):
                self._file.unlink()
        self._cleared()

    def _cleared(self) -> None:
        self._clearing = False
        waiting, self._waiting = self._waiting, []
        for check in waiting:
            self._begin(check)


class _Check:
    """One check, under way or waiting for its turn."""

    child: Child | None = None

    def __init__(self, checks: ChildChecks, request: Request, done: Callable[[Finished], None]) -> None:
        self._checks, self.request, self.done = checks, request, done

    def cancel(self) -> None:
        self._checks.call_off(self)
