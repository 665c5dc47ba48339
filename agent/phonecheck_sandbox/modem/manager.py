"""ModemManager as its client on the private bus sees it: what the sandbox asks of it, and no more.

Interface: https://www.freedesktop.org/software/ModemManager/doc/latest/ModemManager/
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jeepney import DBusAddress, DBusErrorResponse, MatchRule
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusRouter, Proxy
from jeepney.io.common import RouterClosed

from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.modem import bus
from phonecheck_sandbox.modem.sysfs import UsbModem
from phonecheck_sandbox.plan import IpType

NAME = "org.freedesktop.ModemManager1"
_PATH = "/org/freedesktop/ModemManager1"
_OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
_MODEM = f"{NAME}.Modem"
_IP_FAMILY: dict[IpType, int] = {"4": 1, "6": 2, "4v6": 4}  # MMBearerIpFamily
_ANSWER_SECONDS = 25.0
"""As D-Bus itself has it; ModemManager asks polkit, a program of its own, before it answers."""
_CONNECT_SECONDS = 90.0
"""Longer than the 60 s that ModemManager waits for a registration, so that the error is its own."""


class Manager:
    """The running ModemManager; modems are named by their USB device, as object paths change with every plug."""

    def __init__(self, router: DBusRouter) -> None:
        self._router = router
        self._changes = MatchRule(type="signal", interface=_OBJECT_MANAGER, path=_PATH)

    async def watch(self) -> None:
        """Subscribe to the coming and going of modems; once for a connection."""
        await Proxy(message_bus, self._router).AddMatch(self._changes)

    async def wait_until_running(self) -> None:
        """Return once ModemManager is on the bus.

        Raises:
            SandboxError: the bus is gone.
        """
        with _closed_bus():
            await bus.wait_for_name(self._router, NAME)

    async def report(self, action: str, modem: UsbModem) -> None:
        """Report the kernel events for the ports of a modem: ``add`` or ``remove``.

        Raises:
            SandboxError: ModemManager is not running, or refuses.
        """
        for subsystem, name in modem.ports:
            event = {"action": ("s", action), "subsystem": ("s", subsystem), "name": ("s", name)}
            await self._call(_PATH, NAME, "ReportKernelEvent", "a{sv}", event)

    async def find(self, modem: UsbModem) -> str | None:
        """The object path of a modem, None where there is no object of it.

        Raises:
            SandboxError: ModemManager is not running.
        """
        (objects,) = await self._call(_PATH, _OBJECT_MANAGER, "GetManagedObjects")
        for path, interfaces in objects.items():
            if interfaces.get(_MODEM, {}).get("PrimaryPort", ("s", ""))[1] == modem.control_port:
                return str(path)
        return None

    async def wait_for(self, modem: UsbModem, *, present: bool, other_than: str | None = None) -> None:
        """Return once the modem has an object, one of another path than ``other_than``, or has none."""
        with self._router.filter(self._changes, queue=asyncio.Queue()) as changes:
            while True:
                path = await self.find(modem)
                if (path is not None and path != other_than) if present else path is None:
                    return
                await changes.get()

    async def connect(self, modem: UsbModem, apn: str, ip: IpType) -> None:
        """Enable the modem, wait for its registration and bring up a bearer.

        Raises:
            SandboxError: it did not connect.
        """
        properties = {"apn": ("s", apn), "ip-type": ("u", _IP_FAMILY[ip])}
        path = await self._path(modem)
        await self._call(path, f"{_MODEM}.Simple", "Connect", "a{sv}", properties, seconds=_CONNECT_SECONDS)

    async def enable(self, modem: UsbModem, on: bool) -> None:
        """Enable the modem, or disable it, which ends its sessions; returns when it is so.

        Raises:
            SandboxError: there is no such modem, or ModemManager refuses.
        """
        await self._call(await self._path(modem), _MODEM, "Enable", "b", on)

    async def disconnect(self, modem: UsbModem) -> None:
        """Bring down every bearer.

        Raises:
            SandboxError: there is no such modem, or ModemManager refuses.
        """
        every_bearer = "/"
        await self._call(await self._path(modem), f"{_MODEM}.Simple", "Disconnect", "o", every_bearer)

    async def _path(self, modem: UsbModem) -> str:
        path = await self.find(modem)
        if path is None:
            raise SandboxError(f"ModemManager has no modem at {modem.control_port}.", hint="Plug it in first.")
        return path

    async def _call(
        self,
        path: str,
        interface: str,
        method: str,
        signature: str | None = None,
        *body: Any,
        seconds: float = _ANSWER_SECONDS,
    ) -> Any:
        target = DBusAddress(path, NAME, interface)
        try:
            with _closed_bus():
                async with asyncio.timeout(seconds):
                    return await bus.call(self._router, target, method, signature, *body)
        except DBusErrorResponse as error:
            if error.name.endswith((".ServiceUnknown", ".NoReply", ".NameHasNoOwner")):
                raise SandboxError("ModemManager is not running.", hint="Start it first.") from None
            raise SandboxError(
                f"ModemManager refused {method}: {error.name}.", hint="See its state: mmcli -m any."
            ) from None
        except TimeoutError:
            raise SandboxError(
                f"ModemManager did not answer {method} within {seconds:.0f} seconds.",
                hint="See whether it runs and what it waits for: phonecheck-sandbox ctl state.",
            ) from None


@contextmanager
def _closed_bus() -> Iterator[None]:
    try:
        yield
    except (RouterClosed, ConnectionError):
        raise SandboxError("The private bus is gone.", hint="Start it again: ctl bus-start") from None
