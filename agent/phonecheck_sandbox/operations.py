"""What each request of ``phonecheck-sandbox ctl`` does."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from phonecheck_sandbox import counters, device, mwan3, scenarios, snapshot, topology, vpn, walls
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.connections import Connections
from phonecheck_sandbox.control import Reply, Request, parse
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.internet import received
from phonecheck_sandbox.lifetime import exit_status
from phonecheck_sandbox.modem.stack import ModemStack
from phonecheck_sandbox.modem_operations import ModemOperations
from phonecheck_sandbox.parts import Parts

if TYPE_CHECKING:
    from phonecheck_sandbox.network_manager import NetworkManagerPart


class Operations:
    """The running sandbox, as requests act on it."""

    def __init__(
        self,
        *,
        conditions: Conditions,
        parts: Parts,
        stack: ModemStack,
        connections: Connections,
        ready: asyncio.Event,
        keeper: int,
        manager: NetworkManagerPart | None = None,
    ) -> None:
        self.conditions = conditions
        """In force now."""
        self._parts = parts
        self._stack = stack
        self._connections = connections
        self._ready = ready
        self._keeper = keeper
        self._manager = manager
        self._planned: set[asyncio.Task[None]] = set()
        self._verbs: dict[str, Callable[[Request], Awaitable[Reply | None]]] = {
            "state": self._state,
            "wait-ready": self._wait_ready,
            "set": self._set,
            "scenario": self._scenario,
            "reset": self._reset,
            "link-down": lambda r: connections.link_down(r.modem),
            "address-lost": lambda r: connections.address_lost(r.modem),
            "route-lost": lambda r: connections.route_lost(r.modem),
            "device-gone": lambda r: connections.pull(r.modem),
            "configure": self._configure,
            "vpn": lambda r: asyncio.to_thread(vpn.switch, r.values[0]),
            "mwan3": self._mwan3,
            "rp-filter": self._rp_filter,
            "snapshot": lambda _: asyncio.to_thread(snapshot.take),
            "later": self._later,
            "counters": self._counters,
            "bus-stop": self._bus_stop,
            "bus-start": self._bus_start,
            **ModemOperations(stack, connections).verbs,
        }
        if not stack.modems:  # a HAT: ModemManager knows nothing of it
            self._verbs["unplug"] = lambda r: connections.pull(r.modem)
            self._verbs["plug"] = lambda r: connections.put_back(r.modem)

    async def do(self, request: Request) -> Reply:
        """Carry a request out.

        Raises:
            ValueError: a value is wrong, said in cause and cure.
            SandboxError: it could not be done.
        """
        if request.verb not in ("state", "set", "scenario", "reset"):
            await self._ready.wait()
        return await self._verbs[request.verb](request) or {}

    async def _state(self, _: Request) -> Reply:
        return {
            "pid": self._keeper,
            "ready": self._ready.is_set(),
            "conditions": dataclasses.asdict(self.conditions),
            "modems": self._connections.show(),
            "network_manager": self._manager.kind if self._manager else "",
            "ended": self._parts.ended() | {n: exit_status(code) for n, code in self._ended().items()},
            "run": str(device.RUN),
            "reports": received.read(device.REPORTS),
        }

    def _ended(self) -> dict[str, int]:
        return self._stack.ended() | (self._manager.ended() if self._manager else {})

    async def _wait_ready(self, _: Request) -> Reply:
        return {"pid": self._keeper}

    async def _set(self, request: Request) -> None:
        await self._become(Conditions.parse(list(request.values), self.conditions))

    async def _scenario(self, request: Request) -> None:
        (name,) = request.values
        scenario = scenarios.named(name)
        scenario.check_running(name)
        if scenario.acts:
            await self._ready.wait()
        await self._become(Conditions(**scenario.conditions))
        await self.act(scenario.acts)

    async def act(self, acts: Iterable[str]) -> None:
        """Carry out requests in their order, without waiting for the sandbox to be ready.

        Raises:
            ValueError, SandboxError: as do.
        """
        for words in acts:
            request = parse(words.split(), self._stack.modems)
            await self._verbs[request.verb](request)

    async def _reset(self, _: Request) -> None:
        await self._become(Conditions())

    async def _become(self, conditions: Conditions) -> None:
        before = dataclasses.replace(self.conditions)
        self.conditions.update(dataclasses.asdict(conditions))
        self._parts.tell(self.conditions)
        await asyncio.to_thread(walls.apply, conditions, before)

    async def _configure(self, request: Request) -> None:
        (word,) = request.values
        if word not in ("on", "off"):
            raise ValueError(f"Configuring cannot be {word!r}. Say on or off.")
        self._connections.configure = word == "on"

    async def _mwan3(self, request: Request) -> None:
        link = str(self._connections.show()[0]["interface"])
        await asyncio.to_thread(mwan3.switch, request.values[0], link)

    async def _bus_stop(self, _: Request) -> None:
        if self._manager:
            await self._manager.stop()
        await self._stack.stop_bus()

    async def _bus_start(self, _: Request) -> None:
        await self._stack.start_bus()
        if self._manager:
            await self._manager.start()

    async def _rp_filter(self, request: Request) -> None:
        (text,) = request.values
        if text not in ("0", "1", "2"):
            raise ValueError("There is no such filter. Give 0 (off), 1 (strict) or 2 (loose).")
        await asyncio.to_thread(topology.set_rp_filter, int(text))

    async def _later(self, request: Request) -> None:
        text, *words = request.values
        if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text):
            raise ValueError(f"The time {text!r} is no number of seconds. Say: ctl later 2 drop-bearer.")
        wanted = parse(words, self._stack.modems)  # now, while somebody is there to hear what is wrong with it
        task = asyncio.ensure_future(self._do_later(float(text), wanted))
        self._planned.add(task)  # the event loop itself holds only a weak reference
        task.add_done_callback(self._planned.discard)

    async def _do_later(self, seconds: float, request: Request) -> None:
        await self._ready.wait()
        await asyncio.sleep(seconds)
        try:
            await self.do(request)
        except (SandboxError, ValueError) as error:
            print(f"phonecheck-sandbox: {request.verb}, as planned: {error}", file=sys.stderr)

    async def _counters(self, request: Request) -> Reply:
        if request.values:
            if request.values != ("reset",):
                raise ValueError("counters takes one word only. Say: ctl counters, or ctl counters reset.")
            await asyncio.to_thread(counters.reset)
        return {"counters": await asyncio.to_thread(counters.read)}
