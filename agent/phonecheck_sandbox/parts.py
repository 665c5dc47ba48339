"""The processes that the sandbox consists of: started on a node, in a session of their own, each with a log."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import NETNS
from phonecheck_sandbox.lifetime import exit_status

_READY_SECONDS = 20.0
_TAIL_LINES = 15


def on_node(node: str, argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` in a node's network namespace. nsenter replaces itself: the pid stays."""
    return ["nsenter", f"--net={NETNS / node}", "--", *argv]


def tail(log: Path) -> str:
    """The last lines of a log, indented, for an error."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        lines = []
    return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"


def say_ended(name: str, code: int, log: Path) -> None:
    """Tell whoever sits before the sandbox that it is not whole any more."""
    print(f"phonecheck-sandbox: its {name} ended with status {exit_status(code)}.\n{tail(log)}", file=sys.stderr)


class Parts:
    """All parts of one sandbox.

    Args:
        logs: the directory for the logs.
        env: the environment of every part.
    """

    def __init__(self, logs: Path, env: Mapping[str, str]) -> None:
        self.logs = logs
        self._env = dict(env)
        self._steered: dict[str, Process] = {}
        self._kept: dict[str, Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def spawn(
        self, argv: Sequence[str], *, node: str, log: Path, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a program that is not of this package; its output goes to the log."""
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *on_node(node, argv),
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                env=self._env | dict(env or {}),
                cwd="/",
                start_new_session=True,
            )

    async def keep(self, name: str, argv: Sequence[str], *, node: str) -> None:
        """Start another's program that is to run as long as the sandbox; its end is reported."""
        log = self.logs / f"{name}.log"
        process = self._kept[name] = await self.spawn(argv, node=node, log=log)

        async def report() -> None:
            say_ended(name, await process.wait(), log)

        self._follow_up(report())

    async def start(
        self, name: str, module: str, *arguments: str, node: str | None, conditions: Conditions, fds: Sequence[int] = ()
    ) -> None:
        """Start a module of this package that takes conditions on its standard input, and wait for its "ready".

        Raises:
            SandboxError: it ended, or did not become ready; with the end of its log.
        """
        # -P: nothing in the directory where the user stands is to be imported by mistake.
        argv = [sys.executable, "-P", "-m", f"{__package__}.{module}", *arguments]
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(on_node(node, argv) if node else argv),
                stdin=PIPE,
                stdout=PIPE,
                stderr=output,
                env=self._env,
                cwd="/",
                start_new_session=True,
                pass_fds=fds,
            )
        self._steered[name] = process
        _send(process, conditions)
        assert process.stdout is not None  # noqa: S101  for mypy: PIPE was asked for
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while (line := await process.stdout.readline()) not in (b"ready\n", b""):
                    _append(log, line)
        except TimeoutError:
            line = b""
        if not line:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await process.wait()
            what = "did not start" if process.returncode is None else f"ended with status {process.returncode}"
            raise SandboxError(f"The sandbox's {name} {what}.", hint=f"The end of its log:\n{tail(log)}")
        self._follow_up(self._follow(name, process, log))

    def tell(self, conditions: Conditions) -> None:
        """Send the conditions, whole, to every part that takes them."""
        for process in self._steered.values():
            _send(process, conditions)

    def ended(self) -> dict[str, int]:
        """The parts that have ended, and their statuses. In a sound sandbox there is none."""
        parts = self._steered | self._kept
        return {n: exit_status(p.returncode) for n, p in parts.items() if p.returncode is not None}

    def _follow_up(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the event loop itself holds only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, name: str, process: Process, log: Path) -> None:
        """Write what it prints to its log, so that it never waits for a reader, and report its end."""
        assert process.stdout is not None  # noqa: S101  for mypy: PIPE was asked for
        while line := await process.stdout.readline():
            _append(log, line)
        say_ended(name, await process.wait(), log)


def _send(process: Process, conditions: Conditions) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.write(json.dumps(dataclasses.asdict(conditions)).encode() + b"\n")


def _append(log: Path, line: bytes) -> None:
    with log.open("ab") as file:
        file.write(line)


def inherited_environment() -> dict[str, str]:
    """The user's environment without what would lead a part or a command out of the sandbox.

    A proxy is a host that is not in it; the session bus, the runtime directory and systemd's credentials are the host's.
    """
    proxies = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}
    host = {"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "CREDENTIALS_DIRECTORY"}
    return {k: v for k, v in os.environ.items() if k.lower() not in proxies and k not in host}
