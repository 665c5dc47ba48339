"""A ModemManager of the test's own behind the bus's methods: objects, an owner, and what each request does to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from phonecheck.errors import AgentError, ModemError
from phonecheck.modem import faults, names

MODEM, SIM = f"{names.ROOT}/Modem/0", f"{names.ROOT}/SIM/0"
GONE = ("modem-not-found", "The modem went away while it was read.")


def bearer(*, connected: bool = True, **properties: Any) -> dict[str, dict[str, Any]]:
    ip4 = {"method": 2, "address": "10.64.0.2", "prefix": 30, "dns1": "10.64.0.53"} if connected else {}
    facts = {"Connected": connected, "Interface": "wwan0" if connected else "", "Ip4Config": ip4}
    return {names.BEARER: facts | properties}


def disabled_modem() -> dict[str, dict[str, dict[str, Any]]]:
    return {
        MODEM: {
            names.MODEM: {
                "Bearers": [],
                "Device": "/sys/devices/usb1/1-1",
                "EquipmentIdentifier": "867223029999992",
                "Sim": SIM,
                "State": 3,
                "UnlockRequired": 1,
                "UnlockRetries": {2: 3},
            },
            names.MODEM_3GPP: {"RegistrationState": 4},
        },
        SIM: {names.SIM: {"SimIdentifier": "8944001012345678909"}},
    }


@dataclass
class FakeModemManager:
    """``on`` maps a method's name to what it does; what it returns is the reply, what it raises the error."""

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=disabled_modem)
    name: str = ":1.7"
    on: dict[str, Callable[..., Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        able = {"Enable": self.enable, "SendPin": self.send_pin, "Connect": self.connect, "Disconnect": self.disconnect}
        self.on = able | {"DeleteBearer": self.delete} | self.on

    # What the bus offers.
    def managed_objects(self, timeout: float) -> dict[str, Any]:
        self._answer(timeout)
        return {path: content for path, content in self.objects.items() if names.MODEM in content}

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        self._answer(timeout)
        try:
            return self.objects[path][interface]
        except KeyError:
            raise ModemError(*GONE) from None

    def call(
        self,
        path: str,
        interface: str,
        method: str,
        timeout: float,
        signature: str = "()",
        args: tuple[Any, ...] = (),
        *,
        reply: str | None = None,
        service: str = names.SERVICE,
        fault: Callable[[str, str], AgentError] | None = None,
    ) -> tuple[Any, ...]:
        self._answer(timeout)
        self.asked.append((method, path, args))
        answer = self.on[method](path, *args)
        return answer if isinstance(answer, tuple) else ()

    def owner(self, service: str, timeout: float) -> str:
        return self.name if service == names.SERVICE else ""

    def watch(self, changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        self.listeners.append(changed)
        return lambda: self.listeners.remove(changed) if changed in self.listeners else None

    def close(self) -> None:
        self.listeners.clear()

    def _answer(self, timeout: float) -> None:
        assert timeout > 0
        if not self.name:
            raise faults.NotRunning("modem-manager-unavailable", "ModemManager is not running.")

    # What happens to it.
    @property
    def modem(self) -> dict[str, Any]:
        return next(content[names.MODEM] for content in self.objects.values() if names.MODEM in content)

    def become(self, state: int, registration: int | None = None, **properties: Any) -> None:
        self.modem.update({"State": state, **properties})
        if registration is not None:
            next(c[names.MODEM_3GPP] for c in self.objects.values() if names.MODEM in c)["RegistrationState"] = (
                registration
            )
        self.signal()

    def signal(self) -> None:
        for listener in tuple(self.listeners):
            listener()

    def leave(self) -> None:
        """The modem is pulled."""
        self.objects = {}
        self.signal()

    # What it does of itself.
    def enable(self, path: str, on: bool) -> None:
        self.become(8 if on else 3, 1 if on else 0)

    def send_pin(self, path: str, pin: str) -> None:
        self.become(3, UnlockRequired=1)

    def connect(self, path: str, properties: dict[str, Any]) -> tuple[str]:
        added = f"{names.ROOT}/Bearer/{len(self.asked)}"
        self.objects[added] = bearer()
        self.become(11, Bearers=[*self.modem["Bearers"], added])
        return (added,)

    def disconnect(self, path: str) -> None:
        self.objects[path] = bearer(connected=False)
        self.become(8)

    def delete(self, path: str, which: str) -> None:
        del self.objects[which]
        self.become(self.modem["State"], Bearers=[b for b in self.modem["Bearers"] if b != which])

    def did(self) -> list[str]:
        return [method for method, _, _ in self.asked]
