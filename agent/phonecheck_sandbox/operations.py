"""What each request of ``phonecheck-sandbox ctl`` does."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from phonecheck_sandbox import counters, device, scenarios, topology
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.connections import Connections
from phonecheck_sandbox.control import VERBS, Request, parse
from phonecheck_sandbox.lifetime import exit_status
from phonecheck_sandbox.modem.stack import ModemStack
from phonecheck_sandbox.modem.state import PIN_TRIES
from phonecheck_sandbox.parts import Parts

_PIN = "1234"
_SECONDS = re.compile(r"\d{1,4}(\.\d{1,3})?", re.ASCII)

Reply = dict[str, Any]


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
    ) -> None:
        self._conditions = conditions
        self._parts = parts
        self._stack = stack
        self._connections = connections
        self._ready = ready
        self._keeper = keeper
        self._verbs: dict[str, Callable[[Request], Awaitable[Reply | None]]] = {
            "state": self._state,
            "wait-ready": self._wait_ready,
            "set": self._set,
            "scenario": self._scenario,
            "reset": self._reset,
            "unplug": self._unplug,
            "plug": self._plug,
            "drop-bearer": self._drop_bearer,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "lock-sim": self._lock_sim,
            "pin-lock": self._pin_lock,
            "puk-lock": lambda r: stack.block_sim(r.modem),
            "remove-sim": lambda r: stack.remove_sim(r.modem),
            "insert-sim": lambda r: stack.insert_sim(r.modem),
            "registration": lambda r: stack.set_registration(r.values[0], r.modem),
            "apn": self._apn,
            "activation": self._activation,
            "power": self._power,
            "reset-modem": self._reset_modem,
            "signal": self._signal,
            "manager-stop": lambda _: stack.stop_manager(),
            "manager-kill": lambda _: stack.kill_manager(),
            "manager-start": lambda _: stack.start_manager(),
            "deny": self._deny,
            "allow": self._deny,
            "link-down": lambda r: connections.link_down(r.modem),
            "rp-filter": self._rp_filter,
            "counters": self._counters,
        }

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
            "conditions": dataclasses.asdict(self._conditions),
            "modems": self._connections.show(),
            "ended": self._parts.ended() | {n: exit_status(code) for n, code in self._stack.ended().items()},
            "run": str(device.RUN),
        }

    async def _wait_ready(self, _: Request) -> Reply:
        return {"pid": self._keeper}

    async def _set(self, request: Request) -> None:
        self._become(Conditions.parse(list(request.values), self._conditions))

    async def _scenario(self, request: Request) -> None:
        (name,) = request.values
        scenario = scenarios.named(name)
        scenario.check_running(name)
        if scenario.acts:
            await self._ready.wait()
        self._become(Conditions(**scenario.conditions))
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
        self._become(Conditions())

    def _become(self, conditions: Conditions) -> None:
        self._conditions.update(dataclasses.asdict(conditions))
        self._parts.tell(self._conditions)

    async def _unplug(self, request: Request) -> None:
        await self._connections.pull(request.modem)
        await self._stack.unplug(request.modem)

    async def _plug(self, request: Request) -> None:
        await self._connections.put_back(request.modem)
        await self._stack.plug(request.modem)

    async def _drop_bearer(self, request: Request) -> None:
        await self._stack.drop_bearer(request.modem)
        await self._connections.settled()

    async def _connect(self, request: Request) -> None:
        await self._stack.connect(request.modem)
        await self._connections.settled()

    async def _disconnect(self, request: Request) -> None:
        await self._stack.disconnect(request.modem)
        await self._connections.settled()

    async def _lock_sim(self, request: Request) -> Reply:
        await self._stack.lock_sim(request.modem, _PIN)
        return {"pin": _PIN}

    async def _pin_lock(self, request: Request) -> Reply:
        text = request.values[0] if request.values else str(PIN_TRIES)
        if text not in map(str, range(1, PIN_TRIES + 1)):
            raise ValueError(f"A PIN has no {text} tries left. Give 1 to {PIN_TRIES}; without any, it is ctl puk-lock.")
        await self._stack.lock_sim(request.modem, _PIN, int(text))
        return {"pin": _PIN}

    async def _apn(self, request: Request) -> None:
        self._stack.serve_only(request.values[0], request.modem)

    async def _activation(self, request: Request) -> None:
        match request.values:
            case ("normal",):
                self._stack.take(0.0)
            case ("hang",):
                self._stack.take(math.inf)
            case ("slow", seconds) if _SECONDS.fullmatch(seconds):
                self._stack.take(float(seconds))
            case ("refused", cause) if cause.isdecimal() and 0 < int(cause) < 256:
                self._stack.take(0.0, refusal=int(cause))
            case _:
                takes = VERBS["activation"].takes
                raise ValueError(f"A network does not take requests for a session so. Say: ctl activation {takes}.")

    async def _power(self, request: Request) -> None:
        (word,) = request.values
        if word not in ("on", "off"):
            raise ValueError(f"Power cannot be {word!r}. Say on or off.")
        await self._stack.enable(request.modem, on=word == "on")
        await self._connections.settled()

    async def _reset_modem(self, request: Request) -> None:
        await self._unplug(request)
        await self._plug(request)

    async def _signal(self, request: Request) -> None:
        (text,) = request.values
        if not text.isdecimal() or int(text) > 100:
            raise ValueError("The signal quality is not a percentage. Give a whole number from 0 to 100.")
        await self._stack.set_signal(int(text))

    async def _deny(self, request: Request) -> None:
        self._stack.deny(request.values)

    async def _rp_filter(self, request: Request) -> None:
        (text,) = request.values
        if text not in ("0", "1", "2"):
            raise ValueError("There is no such filter. Give 0 (off), 1 (strict) or 2 (loose).")
        await asyncio.to_thread(topology.set_rp_filter, int(text))

    async def _counters(self, request: Request) -> Reply:
        if request.values:
            if request.values != ("reset",):
                raise ValueError("counters takes one word only. Say: ctl counters, or ctl counters reset.")
            await asyncio.to_thread(counters.reset)
        return {"counters": await asyncio.to_thread(counters.read)}
