"""A sandbox for tests: ``with Box("--rtt", "60") as box: box.exec(["phonecheck", "verify"])``."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from phonecheck_sandbox import control
from phonecheck_sandbox.errors import SandboxError

_START_SECONDS = 90.0
_STOP_SECONDS = 10.0


class Box:
    """A running sandbox, from ``with`` to its end; it also ends when this process is killed.

    Args:
        options: those of ``phonecheck-sandbox up``.

    Raises:
        SandboxError: it did not start; the message is what it said.
    """

    def __init__(self, *options: str) -> None:
        argv = [sys.executable, "-P", "-m", "phonecheck_sandbox.cli", "up", "--while-stdin", *options]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  open as long as the sandbox; stop() closes it
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        self.pid = self._process.pid
        """The keeper's: killing it ends everything."""
        self._address = control.address_of(os.getuid(), self.pid)
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self) -> None:
        out = self._process.stdout
        assert out is not None  # noqa: S101  for mypy: PIPE was asked for
        ready, _, _ = select.select([out], [], [], _START_SECONDS)
        if not (ready and out.readline()):
            self._errors.seek(0)
            raise SandboxError(self._errors.read().strip() or "The sandbox did not start.", hint="Run it by hand.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ctl(self, *words: object) -> dict[str, Any]:
        """Make a request as ``phonecheck-sandbox ctl`` does.

        Raises:
            ValueError, SandboxError: as control.ask.
        """
        return control.ask(self._address, [str(word) for word in words])

    def exec(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        node: str = "device",
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        input: str | None = None,  # noqa: A002  as subprocess.run names it
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a node as subprocess.run does with captured output. ``env`` is added to the device's.

        Raises:
            subprocess.TimeoutExpired: it ran longer than ``timeout`` seconds, and was killed.
            SandboxError: it could not be started.
        """
        words = [os.fspath(word) for word in argv]
        with (
            tempfile.TemporaryFile("w+") as stdin,
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            stdin.write(input or "")
            stdin.seek(0)
            files = (stdin, out, err)
            try:
                with control.dial(self._address, timeout) as line:
                    control.begin_exec(
                        line,
                        words,
                        node=node,
                        env=env or {},
                        stdio=[file.fileno() for file in files],
                    )
                    status = control.receive(line)["status"]
            except TimeoutError:
                raise subprocess.TimeoutExpired(words, timeout, _text(out), _text(err)) from None
            return subprocess.CompletedProcess(words, status, _text(out), _text(err))

    def stop(self) -> None:
        """End it, and return when nothing of it is left."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()


def _text(file: Any) -> str:
    file.seek(0)
    text: str = file.read()
    return text
