"""What each request about the modems, their network and ModemManager does."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable

from phonecheck_sandbox.connections import Connections
from phonecheck_sandbox.control import VERBS, Reply, Request
from phonecheck_sandbox.modem.stack import ModemStack
from phonecheck_sandbox.modem.state import PIN_TRIES

_PIN = "1234"
_SECONDS = re.compile(r"\d{1,4}(\.\d{1,3})?", re.ASCII)


class ModemOperations:
    """The modems of a running sandbox, as requests act on them."""

    def __init__(self, stack: ModemStack, connections: Connections) -> None:
        self._stack = stack
        self._connections = connections
        self.verbs: dict[str, Callable[[Request], Awaitable[Reply | None]]] = {
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
            "swap-sim": self._swap_sim,
            "registration": self._registration,
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
        }
        """By name; each raises ValueError for a wrong value, said in cause and cure, SandboxError where it cannot be."""

    async def _unplug(self, request: Request) -> None:
        await self._connections.pull(request.modem)
        await self._stack.unplug(request.modem)

    async def _plug(self, request: Request) -> None:
        await self._connections.put_back(request.modem)
        await self._stack.plug(request.modem)

    async def _drop_bearer(self, request: Request) -> None:
        self._stack.network.end_session(request.modem)
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

    async def _swap_sim(self, request: Request) -> Reply:
        await self._unplug(request)
        try:
            subscriber = self._stack.swap_sim(request.modem)
            await self._connections.hand_over(request.modem, subscriber)
        finally:
            await self._plug(request)
        return {"number": f"+{subscriber.msisdn}"}

    async def _registration(self, request: Request) -> None:
        self._stack.network.register(request.values[0], request.modem)

    async def _apn(self, request: Request) -> None:
        self._stack.network.serve_only(request.values[0], request.modem)

    async def _activation(self, request: Request) -> None:
        match request.values:
            case ("normal",):
                self._stack.network.take(0.0)
            case ("hang",):
                self._stack.network.take(math.inf)
            case ("slow", seconds) if _SECONDS.fullmatch(seconds):
                self._stack.network.take(float(seconds))
            case ("refused", cause) if cause.isdecimal() and 0 < int(cause) < 256:
                self._stack.network.take(0.0, refusal=int(cause))
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
        self._stack.network.be_heard(int(text))

    async def _deny(self, request: Request) -> None:
        self._stack.deny(request.values)
