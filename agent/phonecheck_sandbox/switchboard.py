"""The sandbox's end of the control connections (control.py holds the protocol)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from phonecheck_sandbox import world
from phonecheck_sandbox.control import decode, encode, parse
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.lifetime import exit_status
from phonecheck_sandbox.operations import Operations
from phonecheck_sandbox.parts import on_node
from phonecheck_sandbox.programs import as_started

_STDIO = 3


class Switchboard:
    """Answers control connections, those that the keeper hands in and those that a program on the device opens.

    Args:
        operations: carries requests out.
        modems: how many there are.
        env: the environment of the device; an exec adds its own to it.
        ready: set once the device can run commands.
    """

    def __init__(self, operations: Operations, modems: int, env: Mapping[str, str], ready: asyncio.Event) -> None:
        self._operations = operations
        self._modems = modems
        self._env = env
        self._ready = ready
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, path: Path) -> None:
        """Take connections at a path, which is the sandbox's own: whoever can name it is inside."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        asyncio.get_running_loop().add_reader(listener, lambda: self.take(listener.accept()[0]))

    def take(self, caller: socket.socket) -> None:
        """Serve a connection."""
        task = asyncio.ensure_future(self._serve(caller))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, caller: socket.socket) -> None:
        line = _Line(caller)
        try:
            reply = {"ok": True, **await self._answer(line)}
        except SandboxError as error:
            reply = {"ok": False, "error": error.message, "hint": error.hint}
        except ValueError as error:
            reply = {"ok": False, "error": str(error), "usage": True}
        except ConnectionError:
            return
        except Exception as error:  # noqa: BLE001  a bug in one request must not leave its caller waiting
            reply = {"ok": False, "error": f"A bug: {error!r}", "hint": "Please report it."}
        finally:
            line.drop_descriptors()
        with caller, suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(caller, encode(reply))

    async def _answer(self, line: _Line) -> dict[str, Any]:
        message = await line.read()
        if "exec" in message:
            return {"status": await self._exec(line, message["exec"])}
        words = message.get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("The request has no words. Send a list of them.")
        return await self._operations.do(parse(words, self._modems))

    async def _exec(self, line: _Line, wanted: dict[str, Any]) -> int:
        if wanted["node"] not in world.NODES:
            raise ValueError(f"There is no node {wanted['node']!r}. Known are: {', '.join(world.NODES)}.")
        if len(line.descriptors) != _STDIO:
            raise ValueError("An exec comes with three descriptors. Send standard input, output and error.")
        await self._ready.wait()
        stdin, stdout, stderr = line.descriptors
        argv, env = wanted["argv"], {**self._env, **wanted["env"]}
        if wanted["node"] == "device":
            argv, env = as_started(argv, env, self._operations.conditions)
        try:
            process = await asyncio.create_subprocess_exec(
                *on_node(wanted["node"], argv),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=env,
                cwd=wanted["cwd"],
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(
                f"The command cannot be started: {error.strerror}.", hint="Check it and the directory you are in."
            ) from None
        line.drop_descriptors()  # or a pipe to the caller would stay open after the command
        listening = asyncio.ensure_future(_pass_signals(line, process.pid))
        status = await process.wait()
        listening.cancel()
        return exit_status(status)


async def _pass_signals(line: _Line, group: int) -> None:
    """Send the group the signals that the caller asks for, and kill it when the caller goes."""
    try:
        while True:
            _signal(group, int((await line.read())["signal"]))
    except (ConnectionError, ValueError, KeyError, TypeError):
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with suppress(OSError):  # it has ended; or there is no such signal
        os.killpg(group, number)


class _Line:
    """Messages and descriptors from a connection. asyncio's streams have no place for descriptors."""

    def __init__(self, caller: socket.socket) -> None:
        caller.setblocking(False)
        self._caller = caller
        self._pending = b""
        self.descriptors: list[int] = []

    async def read(self) -> dict[str, Any]:
        """The next message.

        Raises:
            ConnectionError: the caller has gone.
            ValueError: not a message.
        """
        while b"\n" not in self._pending:
            await _readable(self._caller)
            try:
                received, descriptors, _, _ = socket.recv_fds(self._caller, 1 << 16, _STDIO)
            except BlockingIOError:
                continue
            self.descriptors += descriptors
            if not received:
                raise ConnectionResetError
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        return decode(line)

    def drop_descriptors(self) -> None:
        """Close the descriptors that came."""
        while self.descriptors:
            os.close(self.descriptors.pop())


async def _readable(caller: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(caller, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(caller)
