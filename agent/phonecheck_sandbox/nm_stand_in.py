"""A stand-in for NetworkManager, for machines without it: of its D-Bus API what the agent uses, on the real ModemManager.

It manages every modem with one connection that is activated only when asked, and configures the interface as
NetworkManager does: address, MTU, a default route of metric 700. States, reasons, error names and the order of signals
are as measured of NetworkManager 1.42. Interface: https://networkmanager.dev/docs/api/latest/spec.html

Run as ``python -m phonecheck_sandbox.nm_stand_in APN`` on the device, the bus in DBUS_SYSTEM_BUS_ADDRESS. SIGTERM has it
take down what is up.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from jeepney import (
    DBusAddress,
    DBusErrorResponse,
    HeaderFields,
    MatchRule,
    Message,
    MessageFlag,
    new_error,
    new_method_return,
)
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusRouter, Proxy, open_dbus_connection

from phonecheck_sandbox import nm_link
from phonecheck_sandbox.modem import bus
from phonecheck_sandbox.nm_objects import OBJECT_MANAGER, PROPERTIES, Objects, Properties

NAME = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
CONNECTION = f"{ROOT}/Settings/1"
_DEVICE, _ACTIVE = f"{NAME}.Device", f"{NAME}.Connection.Active"

MODEM_MANAGER, _MODEM_MANAGER_ROOT = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1"
_MODEM, _BEARER = f"{MODEM_MANAGER}.Modem", f"{MODEM_MANAGER}.Bearer"
_LOCKED, _CONNECTED = 2, 11  # MMModemState
_FAMILIES = (4, 1, 2)
"""MMBearerIpFamily in the order that NetworkManager tries them: IPv4v6, and each alone where the network wants that."""

_NOTHING = "/"
# NMDeviceState, NMDeviceStateReason, NMActiveConnectionState
_UNMANAGED, _UNAVAILABLE, _DISCONNECTED, _ACTIVATED, _DEACTIVATING, _FAILED = 10, 20, 30, 100, 110, 120
_PREPARE, _NEED_AUTH, _ON_THE_WAY = 40, 60, (50, 70, 80, 90)
_NO_REASON, _UNKNOWN, _MANAGED, _NO_CARRIER, _REMOVED, _BY_USER = 0, 1, 2, 25, 36, 39
_STARTING, _UP, _ENDING, _DOWN, _DISCONNECT = 1, 2, 3, 4, 3


@dataclass
class Gsm:
    """A modem, and what is active on it."""

    modem: str
    path: str
    rank: int
    state: int = _UNMANAGED
    active: str = ""
    interface: str = ""
    mtu: int = 0
    """Of the interface before it was configured."""
    work: asyncio.Task[None] | None = None


class StandIn:
    """The service, over one connection that also asks ModemManager.

    Args:
        router: the connection.
        apn: of the one connection.
    """

    def __init__(self, router: DBusRouter, apn: str) -> None:
        self._router = router
        self._apn = apn
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._objects = Objects(self._outbox.put_nowait)
        self._gsm: dict[str, Gsm] = {}
        self._numbers = {"Devices": 0, "ActiveConnection": 0, "IP4Config": 0, "IP6Config": 0}

    async def serve(self, ended: asyncio.Event) -> None:
        """Be NetworkManager until the event, and leave nothing up."""
        switches = ("NetworkingEnabled", "WwanEnabled", "WwanHardwareEnabled")
        self._objects.add(ROOT, NAME, dict.fromkeys(switches, ("b", True)))
        self._objects.add(CONNECTION, f"{NAME}.Settings.Connection", {"Unsaved": ("b", False)})
        calls, modems, owners = (
            MatchRule(type="method_call"),
            MatchRule(type="signal", path_namespace=_MODEM_MANAGER_ROOT),
            MatchRule(type="signal", interface=message_bus.interface, member="NameOwnerChanged"),
        )
        owners.add_arg_condition(0, MODEM_MANAGER)
        dbus = Proxy(message_bus, self._router)
        with (
            self._router.filter(calls, queue=asyncio.Queue()) as asked,
            self._router.filter(modems, queue=asyncio.Queue()) as heard,
            self._router.filter(owners, queue=heard),
        ):
            await dbus.AddMatch(modems)
            await dbus.AddMatch(owners)
            tasks = [asyncio.ensure_future(work) for work in (self._send(), self._answer(asked), self._follow(heard))]
            await dbus.RequestName(NAME)
            stop = asyncio.ensure_future(ended.wait())
            await asyncio.wait((*tasks, stop), return_when=asyncio.FIRST_COMPLETED)
            for gsm in list(self._gsm.values()):
                await self._deactivate(gsm, _REMOVED)
            for task in (*tasks, stop):
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            await self._router.send(await self._outbox.get())

    # What the agent asks

    async def _answer(self, calls: asyncio.Queue[Message]) -> None:
        while True:
            call = await calls.get()
            reply = self._reply(call)
            if not call.header.flags & MessageFlag.no_reply_expected:
                # With the signals, so that their order is kept.
                self._outbox.put_nowait(reply)

    def _reply(self, call: Message) -> Message:
        fields = call.header.fields
        path, member = fields[HeaderFields.path], fields[HeaderFields.member]
        match (member, *call.body):
            case ("GetManagedObjects",):
                return new_method_return(call, "a{oa{sa{sv}}}", (self._objects.all,))
            case ("GetAll", str() as interface) if interface in self._objects.all.get(path, {}):
                return new_method_return(call, "a{sv}", (self._objects.all[path][interface],))
            case ("GetSettings",) if path == CONNECTION:
                connection = {"id": ("s", "mobile"), "type": ("s", "gsm"), "autoconnect": ("b", False)}
                settings = {"connection": connection, "gsm": {"apn": ("s", self._apn)}}
                return new_method_return(call, "a{sa{sv}}", (settings,))
            case ("ActivateConnection", str() as connection, str() as device, _):
                return self._activation(call, connection, device)
            case ("DeactivateConnection", str() as active):
                return self._deactivation(call, active)
        return new_error(call, "org.freedesktop.DBus.Error.UnknownMethod", "s", ("the stand-in has no such method",))

    def _activation(self, call: Message, connection: str, device: str) -> Message:
        gsm = next((gsm for gsm in self._gsm.values() if gsm.path == device), None)
        if gsm is None:
            return new_error(call, f"{NAME}.UnknownDevice", "s", ("Device not found",))
        if connection not in (_NOTHING, CONNECTION) or gsm.state < _DISCONNECTED:
            return new_error(call, f"{NAME}.UnknownConnection", "s", ("no connections available",))
        self._replace(gsm, self._connect(gsm, self._begin(gsm)))
        return new_method_return(call, "o", (gsm.active,))

    def _deactivation(self, call: Message, active: str) -> Message:
        gsm = next((gsm for gsm in self._gsm.values() if gsm.active == active), None)
        if gsm is None:
            return new_error(call, f"{NAME}.ConnectionNotActive", "s", ("The connection was not active.",))
        self._replace(gsm, self._deactivate(gsm, _BY_USER))
        return new_method_return(call)

    def _replace(self, gsm: Gsm, work: Any) -> None:
        if gsm.work:
            gsm.work.cancel()
        gsm.work = asyncio.ensure_future(work)

    # What becomes of a modem

    async def _follow(self, signals: asyncio.Queue[Message]) -> None:
        """Have a device for each modem, and see sessions end."""
        await self._look()
        while True:
            message = await signals.get()
            fields = message.header.fields
            member, path = fields[HeaderFields.member], fields[HeaderFields.path]
            if member in ("InterfacesAdded", "InterfacesRemoved", "NameOwnerChanged"):
                await self._look()
                continue
            gsm = self._gsm.get(path)
            if gsm and member == "StateChanged" and gsm.state == _ACTIVATED and message.body[1] != _CONNECTED:
                await self._fail(gsm, _NO_CARRIER)

    async def _look(self) -> None:
        try:
            (objects,) = await self._ask(_MODEM_MANAGER_ROOT, OBJECT_MANAGER, "GetManagedObjects")
        except DBusErrorResponse:
            objects = {}
        for path in [path for path in self._gsm if path not in objects]:
            await self._lose(path)
        for path, interfaces in objects.items():
            if path not in self._gsm and _MODEM in interfaces:
                self._find(path, interfaces[_MODEM].get("PrimaryPort", ("s", ""))[1])

    def _find(self, modem: str, port: str) -> None:
        gsm = Gsm(modem, self._new("Devices"), len(self._gsm))
        self._gsm[modem] = gsm
        properties: Properties = {
            "Udi": ("s", modem),
            "Interface": ("s", port),
            "IpInterface": ("s", ""),
            "State": ("u", _UNMANAGED),
            "StateReason": ("(uu)", (_UNMANAGED, _NO_REASON)),
            "ActiveConnection": ("o", _NOTHING),
            "Ip4Config": ("o", _NOTHING),
            "Ip6Config": ("o", _NOTHING),
            "Managed": ("b", True),
            "Autoconnect": ("b", True),
            "DeviceType": ("u", 8),
            "AvailableConnections": ("ao", [CONNECTION]),
        }
        self._objects.add(gsm.path, _DEVICE, properties)
        self._objects.signal(ROOT, NAME, "DeviceAdded", "o", gsm.path)
        self._state(gsm, _UNAVAILABLE, _MANAGED)
        gsm.work = asyncio.ensure_future(self._enable(gsm))

    async def _enable(self, gsm: Gsm) -> None:
        with suppress(DBusErrorResponse):  # a locked modem refuses, and is no less available
            await self._ask(gsm.modem, _MODEM, "Enable", "b", True)
        self._state(gsm, _DISCONNECTED, _NO_REASON)

    async def _lose(self, modem: str) -> None:
        gsm = self._gsm.pop(modem)
        if gsm.work:
            gsm.work.cancel()
        await asyncio.to_thread(nm_link.bare, gsm.interface, gsm.mtu)
        self._end(gsm)
        self._state(gsm, _UNMANAGED, _REMOVED)
        self._objects.signal(ROOT, NAME, "DeviceRemoved", "o", gsm.path)
        self._objects.remove(gsm.path)

    def _begin(self, gsm: Gsm) -> str:
        self._end(gsm)
        gsm.active = self._new("ActiveConnection")
        properties: Properties = {
            "Connection": ("o", CONNECTION),
            "Id": ("s", "mobile"),
            "Type": ("s", "gsm"),
            "Devices": ("ao", [gsm.path]),
            "State": ("u", _STARTING),
        }
        self._objects.add(gsm.active, _ACTIVE, properties)
        self._objects.change(gsm.path, _DEVICE, ActiveConnection=("o", gsm.active))
        self._state(gsm, _PREPARE, _NO_REASON)
        return gsm.active

    async def _connect(self, gsm: Gsm, active: str) -> None:
        try:
            ((_, state),) = await self._ask(gsm.modem, PROPERTIES, "Get", "ss", _MODEM, "State")
            if state == _LOCKED:
                self._state(gsm, _NEED_AUTH, _NO_REASON)  # and there it stays, for nobody here is asked for a PIN
                return
            path = await self._simple_connect(gsm)
            (bearer,) = await self._ask(path, PROPERTIES, "GetAll", "s", _BEARER)
            gsm.interface = bearer["Interface"][1]
            configurations = [bearer[name][1] for name in ("Ip4Config", "Ip6Config")]
            gsm.mtu = await asyncio.to_thread(nm_link.mtu_of, gsm.interface)
            await asyncio.to_thread(nm_link.configure, gsm.interface, configurations, gsm.rank)
        except (DBusErrorResponse, OSError, KeyError) as error:
            print(f"activation failed: {error!r}", file=sys.stderr, flush=True)
            await self._fail(gsm, _UNKNOWN)
            return
        ip4, ip6 = self._new("IP4Config"), self._new("IP6Config")
        servers4, servers6 = (
            [value for key, value in each.items() if key.startswith("dns")] for each in configurations
        )
        data = [{"address": server} for server in servers4]
        octets = [ip_address(server).packed for _, server in servers6]
        self._objects.add(ip4, f"{NAME}.IP4Config", {"NameserverData": ("aa{sv}", data)})
        self._objects.add(ip6, f"{NAME}.IP6Config", {"Nameservers": ("aay", octets)})
        known = {"Ip4Config": ("o", ip4), "Ip6Config": ("o", ip6), "IpInterface": ("s", gsm.interface)}
        self._objects.change(gsm.path, _DEVICE, **known)
        for state in (*_ON_THE_WAY, _ACTIVATED):
            self._state(gsm, state, _NO_REASON)
        self._active(active, _UP, _NO_REASON)

    async def _simple_connect(self, gsm: Gsm) -> str:
        for family in _FAMILIES:
            asked = {"apn": ("s", self._apn), "ip-type": ("u", family)}
            try:
                (path,) = await self._ask(gsm.modem, f"{_MODEM}.Simple", "Connect", "a{sv}", asked)
            except DBusErrorResponse as error:
                if family == _FAMILIES[-1] or not error.name.endswith("OnlyAllowed"):
                    raise
            else:
                return str(path)
        raise AssertionError

    async def _fail(self, gsm: Gsm, reason: int) -> None:
        self._state(gsm, _FAILED, reason)
        self._end(gsm)
        await asyncio.to_thread(nm_link.bare, gsm.interface, gsm.mtu)
        self._clear(gsm)
        self._state(gsm, _DISCONNECTED, _NO_REASON)

    async def _deactivate(self, gsm: Gsm, reason: int) -> None:
        if not gsm.active:
            return
        self._state(gsm, _DEACTIVATING, reason)
        self._active(gsm.active, _ENDING, _NO_REASON)
        with suppress(DBusErrorResponse):
            await self._ask(gsm.modem, f"{_MODEM}.Simple", "Disconnect", "o", _NOTHING)
        await asyncio.to_thread(nm_link.bare, gsm.interface, gsm.mtu)
        self._clear(gsm)
        self._state(gsm, _DISCONNECTED, reason)
        self._end(gsm)

    def _end(self, gsm: Gsm) -> None:
        if gsm.active:
            self._active(gsm.active, _DOWN, _DISCONNECT)
            self._objects.remove(gsm.active)
            self._objects.change(gsm.path, _DEVICE, ActiveConnection=("o", _NOTHING))
        gsm.active = ""

    def _clear(self, gsm: Gsm) -> None:
        device = self._objects.all[gsm.path][_DEVICE]
        known = [device[name][1] for name in ("Ip4Config", "Ip6Config")]
        cleared = {"Ip4Config": ("o", _NOTHING), "Ip6Config": ("o", _NOTHING), "IpInterface": ("s", "")}
        self._objects.change(gsm.path, _DEVICE, **cleared)
        for path in known:
            if path != _NOTHING:
                self._objects.remove(path)
        gsm.interface = ""

    def _state(self, gsm: Gsm, state: int, reason: int) -> None:
        old, gsm.state = gsm.state, state
        self._objects.change(gsm.path, _DEVICE, State=("u", state), StateReason=("(uu)", (state, reason)))
        self._objects.signal(gsm.path, _DEVICE, "StateChanged", "uuu", state, old, reason)

    def _active(self, path: str, state: int, reason: int) -> None:
        self._objects.signal(path, _ACTIVE, "StateChanged", "uu", state, reason)
        self._objects.change(path, _ACTIVE, State=("u", state))

    def _new(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{ROOT}/{kind}/{self._numbers[kind]}"

    async def _ask(self, path: str, interface: str, method: str, signature: str | None = None, *body: Any) -> Any:
        return await bus.call(self._router, DBusAddress(path, MODEM_MANAGER, interface), method, signature, *body)


@asynccontextmanager
async def client(address: str) -> AsyncIterator[DBusRouter]:
    """A connection to the bus; that the bus went before it is no error when it closes."""
    connection = await open_dbus_connection(address)
    try:
        with suppress(EOFError, ConnectionError):
            async with DBusRouter(connection) as router:
                yield router
    finally:
        with suppress(ConnectionError):
            await connection.close()


async def _run(apn: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with client("SYSTEM") as router:
        await StandIn(router, apn).serve(ended)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1]))
