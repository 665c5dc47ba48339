"""The programs of the modem side: where they are, how they are started and ended, and what they said before they died."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from phonecheck_sandbox.errors import SandboxError

PACKAGES = {"dbus-daemon": "dbus", "mbim-proxy": "libmbim-proxy", "ModemManager": "modemmanager"}
"""The programs needed, and the Debian package of each."""

# Debian's search path for ordinary users leaves out the directories of daemons; libmbim has its proxy in libexec.
_SEARCH_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec:/usr/local/bin:/usr/bin:/bin"


class Spawn(Protocol):
    """Starts a program inside the sandbox."""

    async def __call__(
        self, argv: Sequence[str], *, node: str, log: Path, env: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Start ``argv`` in the network namespace of ``node``, in a session of its own.

        Output goes to ``log``; ``env`` is added to the environment.
        """
        ...


def find(program: str) -> str:
    """The path of a program.

    Raises:
        SandboxError: it is not installed.
    """
    found = shutil.which(program, path=_SEARCH_PATH)
    if not found:
        raise SandboxError(f"{program} is not installed.", hint=f"Install it: sudo apt install {PACKAGES[program]}")
    return found


class Daemons:
    """The programs started so far, by name; each logs to ``NAME.log`` in the directory given.

    Args:
        spawn: starts a program.
        node: where they all run.
        logs: the directory.
        environment: of each of them.
        on_death: called with the name, the return code and the log of a program that ended and was not told to.
    """

    def __init__(
        self,
        spawn: Spawn,
        *,
        node: str,
        logs: Path,
        environment: Mapping[str, str],
        on_death: Callable[[str, int, Path], None],
    ) -> None:
        self._spawn = spawn
        self._node = node
        self._logs = logs
        self._environment = environment
        self._on_death = on_death
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}

    def running(self, name: str) -> bool:
        """Whether it was started and has not ended."""
        process = self._processes.get(name)
        return process is not None and process.returncode is None

    async def start(self, name: str, argv: Sequence[str]) -> None:
        """Start a program under a name."""
        process = await self._spawn(argv, node=self._node, log=self._log(name), env=self._environment)
        self._processes[name] = process
        self._watches[name] = asyncio.ensure_future(self._watch(name, process))

    def ended(self) -> dict[str, int]:
        """The programs that ended and were not told to, and their return codes."""
        return {n: p.returncode for n, p in self._processes.items() if p.returncode is not None}

    async def terminate(self, name: str, *, grace: float) -> None:
        """End it with SIGTERM, or with SIGKILL after ``grace`` seconds."""
        if self.running(name):
            process = self._processes[name]
            self._watches.pop(name).cancel()
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace)
        await self.kill(name)

    async def kill(self, name: str) -> None:
        """End it with SIGKILL; nothing happens where it is not running."""
        if watch := self._watches.pop(name, None):
            watch.cancel()
        process = self._processes.pop(name, None)
        if process:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def kill_all(self) -> None:
        """End them all with SIGKILL, the last started first."""
        for name in reversed(list(self._processes)):
            await self.kill(name)

    async def within(self, seconds: float, name: str, happens: Awaitable[object], complaint: str) -> None:
        """Await something of a program, for so long and while the program lives.

        Raises:
            SandboxError: it did not happen, with the complaint, or the program ended; both with the end of its log.
        """
        happening: asyncio.Future[Any] = asyncio.ensure_future(happens)
        death: asyncio.Future[Any] = asyncio.ensure_future(self._end_of(name))
        try:
            await asyncio.wait({happening, death}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if happening.done():
                happening.result()
                return
            cause = f"ended with status {death.result()}" if death.done() else f"{complaint} after {seconds:g} s"
            raise SandboxError(f"{name} {cause}.", hint=f"The end of its log:\n{_tail(self._log(name))}")
        finally:
            for future in (happening, death):
                future.cancel()
            await asyncio.wait({happening, death})

    async def _end_of(self, name: str) -> int:
        process = self._processes.get(name)
        if process is None:  # another request has just ended it
            raise SandboxError(f"{name} is not running.", hint="Start it first.")
        return await process.wait()

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._on_death(name, await process.wait(), self._log(name))

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(there is no log)"
