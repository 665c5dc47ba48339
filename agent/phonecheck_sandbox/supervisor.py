"""The order in which a sandbox comes up, runs its command, and ends. lifetime.py tells who is around it and why."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from phonecheck_sandbox import counters, device, leases, mobile_link, pki, topology, walls, world
from phonecheck_sandbox.connections import Connections
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.lifetime import CALLER, exit_status
from phonecheck_sandbox.modem.stack import ModemStack
from phonecheck_sandbox.modem.system_bus import MachineBus
from phonecheck_sandbox.namespaces import with_system_paths
from phonecheck_sandbox.operations import Operations
from phonecheck_sandbox.parts import Parts, inherited_environment, on_node, say_ended
from phonecheck_sandbox.plan import Plan
from phonecheck_sandbox.programs import as_started
from phonecheck_sandbox.switchboard import Switchboard

if TYPE_CHECKING:
    from phonecheck_sandbox.network_manager import NetworkManagerPart

_GRACE = 2.0
"""Seconds that COMMAND has after a signal; an interactive shell ignores SIGTERM altogether."""


def supervise(plan: Plan, link: socket.socket, keeper: int) -> int:
    """Be the sandbox until its end, and return the exit status.

    Raises:
        SandboxError: a part did not start.
    """
    os.environ["PATH"] = with_system_paths(os.environ.get("PATH"))
    # Not asyncio.run: its careful closing is for programs that live on. When this process ends the kernel ends all.
    return asyncio.Runner().run(_Supervisor(plan, link, keeper).live())


class _Supervisor:
    def __init__(self, plan: Plan, link: socket.socket, keeper: int) -> None:
        self._plan = plan
        self._link = link
        self._keeper = keeper
        self._ready = asyncio.Event()
        self._commanding = False

    async def live(self) -> int:
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)
        self._prepare()
        loop.add_reader(self._link, self._on_link)
        if self._plan.while_stdin:
            loop.add_reader(0, self._on_stdin)
        starting = asyncio.ensure_future(self._start())
        with _progress():
            await asyncio.wait((starting, self._end), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return 128 + self._end.result()
        starting.result()
        self._ready.set()
        if self._plan.verbose:
            print(f"phonecheck-sandbox: pid {self._keeper}; inside, the logs are {device.RUN}/*/*.log", file=sys.stderr)
        if self._plan.command:
            return await self._run_command(self._plan.command)
        print(f"ready {self._keeper}", flush=True)
        await self._end
        return 0

    def _prepare(self) -> None:
        device.LOGS.mkdir(parents=True)
        topology.build_nodes()
        env = inherited_environment()
        self._parts = Parts(device.LOGS, env)
        plan = self._plan
        # A HAT's modem is behind the HAT's own router; to the device there is none.
        modems = 0 if plan.link_kind == "hat" else plan.modems
        self._certificates = plan.state or device.RUN
        self._sessions = [
            mobile_link.session_of(modem, kind=plan.link_kind, ip=plan.ip, method=plan.ip_method)
            for modem in range(plan.links)
        ]
        self._connections = Connections(self._sessions, configure=plan.configure and not plan.manager)
        self._stack = ModemStack(
            device.RUN / "modem",
            self._parts.spawn,
            world.SIMS[:modems],
            system_bus=MachineBus() if plan.here else None,
            ip=plan.ip,
            ip_method=plan.ip_method,
            on_session=self._connections.on_session,
            on_death=self._on_death,
        )
        ca = pki.in_run_directory(self._certificates).ca_file
        self._env = device.set_up(env, bus_address=self._stack.bus_address, ca=ca)
        self._manager = self._network_manager() if plan.manager else None
        self._operations = Operations(
            conditions=plan.conditions,
            parts=self._parts,
            stack=self._stack,
            connections=self._connections,
            ready=self._ready,
            keeper=self._keeper,
            manager=self._manager,
        )
        self._switchboard = Switchboard(self._operations, plan.links, self._env, self._ready)
        self._switchboard.open(device.CONTROL)

    async def _start(self) -> None:
        # ModemManager probes a modem for three seconds whatever we do; all else is up long before, beside it.
        await asyncio.gather(self._stack.start(), self._start_network())
        if self._manager:
            await self._manager.start()
        if self._plan.link_kind == "hat":
            self._connections.on_session(0, True)
        elif self._plan.connect:
            await asyncio.gather(*(self._stack.connect(modem) for modem in range(self._stack.modems)))
        await self._connections.settled()
        await self._operations.act(self._plan.acts)

    async def _start_network(self) -> None:
        _, (ends, nat64) = await asyncio.gather(
            asyncio.to_thread(pki.ready, self._certificates),
            asyncio.to_thread(_build_network, self._sessions, gateway=self._plan.gateway, with_6="6" in self._plan.ip),
        )
        conditions = self._plan.conditions
        await asyncio.to_thread(walls.apply, conditions)
        run = ("--run", str(self._certificates))
        carrier = (*run, *(f"--nat64={fd}" for fd in nat64))
        await asyncio.gather(
            self._start_radio(ends),
            self._parts.start(
                *("internet", "serve", "internet", *run, "--reports", str(device.REPORTS)),
                node="internet",
                conditions=conditions,
            ),
            self._parts.start(
                "carrier", "serve", "carrier", *carrier, node="carrier", conditions=conditions, fds=nat64
            ),
        )
        for fd in nat64:
            os.close(fd)
        for session in self._sessions:
            if session.leased and "4" in self._plan.ip:
                argv = leases.server(session, device.RUN)
                await self._parts.keep(f"udhcpd-{session.modem}", argv, node="carrier")

    async def _start_radio(self, ends: list[tuple[int, int]]) -> None:
        if not ends:
            return
        air = [*(["--ethernet"] if self._sessions[0].ethernet else []), *(f"{near}:{far}" for near, far in ends)]
        fds = [fd for pair in ends for fd in pair]
        await self._parts.start("radio", "radio", *air, node=None, conditions=self._plan.conditions, fds=fds)
        for fd in fds:
            os.close(fd)

    async def _run_command(self, command: tuple[str, ...]) -> int:
        if self._plan.welcome:
            print(self._plan.welcome, file=sys.stderr, flush=True)
        # Before it can run: asyncio hands the process over some time after the fork, and COMMAND may have begun by then.
        self._commanding = True
        argv, env = as_started(command, self._env, self._operations.conditions)
        try:
            process = await asyncio.create_subprocess_exec(*on_node("device", argv), env=env)
        except OSError as error:
            raise SandboxError(f"The command cannot be started: {error.strerror}.", hint="Shorten it.") from None
        ending = asyncio.ensure_future(process.wait())
        await asyncio.wait((ending, self._end), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            number = self._end.result()
            process.send_signal(number)
            await asyncio.wait((ending,), timeout=_GRACE)
            if not ending.done():
                return 128 + number
        return exit_status(ending.result())

    def _network_manager(self) -> NetworkManagerPart:
        from phonecheck_sandbox.network_manager import NetworkManagerPart

        run = device.RUN / "network-manager"
        return NetworkManagerPart(run, self._parts.spawn, self._stack.bus_address, on_death=self._on_death)

    def _on_death(self, name: str, code: int, log: Path) -> None:
        if self._ready.is_set():  # before, it is the error that the start ends with
            say_ended(name, code, log)

    def _on_signal(self, number: signal.Signals) -> None:
        # From the keyboard, these are sent to COMMAND too, and are for it alone; see lifetime.py.
        if self._commanding and number in (signal.SIGINT, signal.SIGQUIT):
            return
        self._end_with(number)

    def _on_link(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._link, 1, 1)
        if not message:
            os._exit(1)  # the keeper was killed, and nobody is left to tell
        if message == CALLER:
            for descriptor in descriptors:
                self._switchboard.take(socket.socket(fileno=descriptor))
        else:
            self._on_signal(signal.Signals(message[0]))

    def _on_stdin(self) -> None:
        if not os.read(0, 1 << 16):
            asyncio.get_running_loop().remove_reader(0)
            self._end_with(signal.SIGTERM)

    def _end_with(self, number: int) -> None:
        if not self._end.done():
            self._end.set_result(number)


def _build_network(
    sessions: Sequence[mobile_link.Session], *, gateway: str, with_6: bool
) -> tuple[list[tuple[int, int]], list[int]]:
    """Lay the whole network; the descriptors of each radio's two ends, and of the NAT64 where there is one."""
    topology.build()
    nat64 = [topology.build_6()] if with_6 else []
    ends = []
    if gateway:
        (session,) = sessions
        mobile_link.adopt(session, gateway)
    else:
        ends = [mobile_link.build(session) for session in sessions]
    counters.install(["lan0", *(session.interface for session in sessions)])
    return ends, nat64


@contextmanager
def _progress() -> Iterator[None]:
    """Say on a terminal what the wait is for, and take it back afterwards."""
    if not sys.stderr.isatty():
        yield
        return
    print("Starting a modem, ModemManager, a carrier and an Internet …", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
