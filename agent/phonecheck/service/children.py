"""The service's child processes: started, watched, ended in time, and reaped with whatever they leave behind.

Nothing here waits. What a child reads lies in a sealed memfd, for a pipe that nobody reads would fill; that it ended, its
pidfd tells, for a pipe stays open as long as any grandchild holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from phonecheck.service.model import Finished
from phonecheck.service.orphans import Orphans
from phonecheck.service.ports import Cancel, Loop

KILL_SECONDS = 15.0
"""From SIGTERM to SIGKILL."""
SETTLE_SECONDS = 15.0
"""How long those that a child left behind are waited for: one that takes down a bearer needs up to 12 s."""
_OVERDUE_SECONDS = 10.0
_TAIL = 4096
_CHUNK = 1 << 16
_DRAIN = 16
"""Readings of a chunk after the end: what a pipe holds at most, where a grandchild goes on to fill it."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed(content: bytes, name: str) -> int:
    """A descriptor of a file in memory that nobody can change any more, at its begin.

    Raises:
        OSError: there is no memory or descriptor for it.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd


class Children:
    """The children of this process, and their orphans.

    A check that a signal ended leaves a process that takes down what it had set up; whoever is to wait for it has to be
    its parent.

    Args:
        loop: where everything is called from.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._running: set[Child] = set()
        self._orphans = Orphans(loop, self._look)
        self._awaited: list[_Awaited] = []

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str],
        fds: Sequence[int] = (),
        seconds: float,
        cap: int = 1 << 20,
        done: Callable[[Finished], None],
    ) -> Child:
        """Start a program in a session of its own; it is ended where its time is up or its output too long.

        Args:
            argv: the program, by its path, and its arguments.
            stdin: what it may read.
            env: its whole environment.
            fds: descriptors that it inherits.
            seconds: until SIGTERM; SIGKILL follows after ``KILL_SECONDS``. Both go to its process group.
            cap: bytes that it may print; 0 where nobody reads them. Of what it logs, the end is kept.
            done: called once, from the loop, also where it could not be started.
        """
        child = Child(self, done, cap)
        try:
            child.begin(argv, stdin, env, fds, seconds)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.loop.soon(lambda: done(Finished(failed=reason)))
        except ValueError:  # of Popen: a NUL, or what cannot be encoded
            self.loop.soon(lambda: done(Finished(failed="an argument or a variable is no text")))
        else:
            self._running.add(child)
        return child

    @property
    def overdue(self) -> bool:
        """Whether a child lives on although it was killed some time ago."""
        return any(child.overdue for child in self._running)

    def settle(self, done: Callable[[], None]) -> None:
        """Call ``done``, from the loop, when there is no child and no orphan any more, or after ``SETTLE_SECONDS``."""
        self._await(lambda: not self._running and not self._orphans.pids, done)

    def left(self, session: int, done: Callable[[], None]) -> None:
        """The same for the orphans of one child that has ended, as far as they are still of its session."""
        self._await(lambda: not self._orphans.any_of(session), done)

    def ended(self, child: Child) -> None:
        """A child has been reaped."""
        self._running.discard(child)
        self.loop.soon(self._look)  # after its own end has been told

    def _await(self, over: Callable[[], bool], done: Callable[[], None]) -> None:
        awaited = _Awaited(over, done)
        awaited.timer = self.loop.later(SETTLE_SECONDS, partial(self._over, awaited))
        self._awaited.append(awaited)
        self.loop.soon(self._look)

    def _over(self, awaited: _Awaited) -> None:
        if awaited in self._awaited:
            self._awaited.remove(awaited)
            awaited.timer.cancel()
            awaited.done()

    def _look(self) -> None:
        """Take in new orphans; then see who has nothing to wait for any more."""
        self._orphans.adopt({child.pid for child in self._running})
        for awaited in tuple(self._awaited):
            if awaited.over():
                self._over(awaited)


class Child:
    """One child; :class:`Children` makes it.

    Args:
        children: whose it is.
        done: called with how it ended.
        cap: bytes that it may print.
    """

    pid = 0

    def __init__(self, children: Children, done: Callable[[Finished], None], cap: int) -> None:
        self._children, self._loop, self._done, self._cap = children, children.loop, done, cap
        self._stdout, self._stderr = bytearray(), bytearray()
        self._process: subprocess.Popen[bytes] | None = None
        self._watches: dict[int, Cancel] = {}
        self._timer: Cancel | None = None
        self._hung = self._cancelled = self._overflow = self._ending = False
        self.overdue = False

    def begin(
        self, argv: Sequence[str], stdin: bytes, env: Mapping[str, str], fds: Sequence[int], seconds: float
    ) -> None:
        """Start it.

        Raises:
            OSError, ValueError: it could not be; nothing is left of it.
        """
        given = sealed(stdin, "phonecheck-stdin") if stdin else None
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if given is None else given,
                stdout=subprocess.PIPE if self._cap else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=env,
                close_fds=True,
                pass_fds=fds,
                start_new_session=True,
            )
        finally:
            if given is not None:
                os.close(given)
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            with process:  # waits for it, and closes the pipes
                raise
        self._process, self.pid = process, process.pid
        self._watches[self._pidfd] = self._loop.readable(self._pidfd, self._exited)
        for stream, keep in ((process.stdout, self._keep_stdout), (process.stderr, self._keep_stderr)):
            if isinstance(stream, io.FileIO):
                os.set_blocking(stream.fileno(), False)
                self._watches[stream.fileno()] = self._loop.readable(stream.fileno(), partial(self._read, stream, keep))
        self._timer = self._loop.later(seconds, self._expire)

    def cancel(self) -> None:
        """End it: by SIGTERM, and then by SIGKILL."""
        if self._process is not None and not self._ending:
            self._cancelled = True
            self._end()

    def left(self, done: Callable[[], None]) -> None:
        """Call ``done``, from the loop, when those that it left behind are gone as well, or after ``SETTLE_SECONDS``."""
        self._children.left(self.pid, done)

    def _expire(self) -> None:
        self._hung = True
        self._end()

    def _end(self) -> None:
        self._ending = True
        self._signal(signal.SIGTERM)
        self._set_timer(KILL_SECONDS, self._kill)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._set_timer(_OVERDUE_SECONDS, self._note_overdue)

    def _note_overdue(self) -> None:
        self.overdue = True

    def _set_timer(self, seconds: float, do: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.later(seconds, do)

    def _signal(self, number: signal.Signals) -> None:
        # As long as it is not reaped, no other process and no other group gets its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _read(self, stream: io.FileIO, keep: Callable[[bytes], None]) -> None:
        """Take what is there; a chunk in each turn of the loop, for a child may print without end."""
        chunk: bytes | None = stream.read(_CHUNK)
        if chunk:
            keep(chunk)
        elif chunk is not None:
            self._close(stream)

    def _drain(self, stream: io.FileIO, keep: Callable[[bytes], None]) -> None:
        """Take what is left in a pipe, whose other end a grandchild may still hold."""
        for _ in range(_DRAIN):
            chunk: bytes | None = stream.read(_CHUNK)
            if not chunk:
                break
            keep(chunk)
        self._close(stream)

    def _close(self, stream: io.FileIO) -> None:
        self._watches.pop(stream.fileno()).cancel()
        stream.close()

    def _keep_stdout(self, chunk: bytes) -> None:
        room = self._cap - len(self._stdout)
        self._stdout += chunk[:room]
        if len(chunk) > room and not self._overflow:
            self._overflow = True
            if not self._ending:
                self._end()

    def _keep_stderr(self, chunk: bytes) -> None:
        self._stderr = (self._stderr + chunk)[-_TAIL:]

    def _exited(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101  for mypy: only what was started can end
        self._process, self._ending = None, True
        if self._timer is not None:
            self._timer.cancel()
        self._watches.pop(self._pidfd).cancel()
        os.close(self._pidfd)
        code = process.wait()  # at once, it has ended
        for stream, keep in ((process.stdout, self._keep_stdout), (process.stderr, self._keep_stderr)):
            if isinstance(stream, io.FileIO) and not stream.closed:
                self._drain(stream, keep)
        self._children.ended(self)
        self._done(
            Finished(
                status=code if code >= 0 else None,
                signal=-code if code < 0 else None,
                stdout=bytes(self._stdout),
                stderr=bytes(self._stderr),
                hung=self._hung,
                cancelled=self._cancelled,
                overflow=self._overflow,
            )
        )


class _Awaited:
    timer: Cancel

    def __init__(self, over: Callable[[], bool], done: Callable[[], None]) -> None:
        self.over, self.done = over, done
