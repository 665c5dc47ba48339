"""The modem as NetworkManager has it, and what follows from that. Pure; the facts come from networkmanager.py.

Enumerations and properties: https://networkmanager.dev/docs/api/latest/nm-dbus-types.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address
from typing import Any

from phonecheck.errors import BearerError
from phonecheck.model import IPAddress, OpenEnum
from phonecheck.modem import names

SERVICE = names.NETWORK_MANAGER
ROOT = "/org/freedesktop/NetworkManager"
NOTHING = "/"
"""In NetworkManager's methods and properties, the path of no object."""
_DEVICE = f"{SERVICE}.Device"
_ACTIVE = f"{SERVICE}.Connection.Active"


class DeviceState(OpenEnum):
    """NMDeviceState."""

    UNKNOWN = 0
    UNMANAGED = 10
    UNAVAILABLE = 20
    DISCONNECTED = 30
    PREPARE = 40
    CONFIG = 50
    NEED_AUTH = 60
    IP_CONFIG = 70
    IP_CHECK = 80
    SECONDARIES = 90
    ACTIVATED = 100
    DEACTIVATING = 110
    FAILED = 120


class ActiveState(OpenEnum):
    """NMActiveConnectionState."""

    UNKNOWN = 0
    ACTIVATING = 1
    ACTIVATED = 2
    DEACTIVATING = 3
    DEACTIVATED = 4


@dataclass(frozen=True, slots=True)
class Device:
    """A modem as NetworkManager has it."""

    path: str
    state: DeviceState
    interface: str = ""
    """The network interface, once it is known: ``wwan0``, ``ppp0``."""
    connections: tuple[str, ...] = ()
    """The connections that it could activate."""
    autoconnect: bool = False
    allowed: bool = True
    """Whether mobile data is switched on in NetworkManager."""


class Step(Enum):
    """What is to be done next."""

    DONE = auto()
    ASK = auto()
    LET_BEGIN = auto()
    """Wait, but not for long: it may be about to begin by itself."""
    WAIT = auto()
    FAILED = auto()


def find(objects: Mapping[str, Any], modem_path: str) -> Device | None:
    """The device of a modem among NetworkManager's objects; its Udi is the modem's path in ModemManager."""
    manager = objects.get(ROOT, {}).get(SERVICE, {})
    switches = ("NetworkingEnabled", "WwanEnabled", "WwanHardwareEnabled")
    for path, device in _devices(objects):
        if device.get("Udi") == modem_path:
            return Device(
                path,
                DeviceState(device.get("State", 0)),
                interface=device.get("IpInterface", ""),
                connections=tuple(device.get("AvailableConnections", ())),
                autoconnect=device.get("Autoconnect", False),
                allowed=all(manager.get(switch, True) for switch in switches),
            )
    return None


def next_step(device: Device | None, ours: ActiveState | None, *, asked: bool, begins_itself: bool) -> Step:
    """What follows from what NetworkManager says now.

    Args:
        device: the modem's, None where there is none.
        ours: the state of what was activated for us, None where that is gone or was never asked for.
        asked: whether it was.
        begins_itself: whether a connection of the device is one that NetworkManager activates unasked.

    Raises:
        BearerError: not-connected, and activating would not help.
    """
    if asked:
        if ours is ActiveState.ACTIVATED:
            return Step.DONE
        if ours in (ActiveState.UNKNOWN, ActiveState.ACTIVATING):
            return Step.WAIT
        if device is not None and device.state <= DeviceState.UNMANAGED:
            raise unmanaged()
        return Step.FAILED
    if device is None or device.state <= DeviceState.UNMANAGED:
        raise unmanaged()
    if not device.allowed:
        raise BearerError(
            "not-connected",
            "Mobile data is switched off in NetworkManager.",
            hint="Switch it on: nmcli networking on; nmcli radio wwan on.",
        )
    match device.state:
        case DeviceState.ACTIVATED:
            return Step.DONE
        case DeviceState.DISCONNECTED if not device.connections:
            raise no_connection()
        case DeviceState.DISCONNECTED:
            return Step.LET_BEGIN if begins_itself else Step.ASK
    return Step.WAIT  # begun by somebody else, or coming down: both pass


def name_servers(objects: Mapping[str, Any], interface: str) -> tuple[IPAddress, ...]:
    """The DNS servers that NetworkManager has for an interface, IPv4's first."""
    found: dict[IPAddress, None] = {}
    for _, device in _devices(objects):
        if interface and interface == (device.get("IpInterface") or device.get("Interface")):
            ip4 = _configuration(objects, device, "Ip4Config", "IP4Config")
            ip6 = _configuration(objects, device, "Ip6Config", "IP6Config")
            found |= dict.fromkeys(_addresses(item.get("address") for item in ip4.get("NameserverData", ())))
            found |= dict.fromkeys(_addresses(bytes(octets) for octets in ip6.get("Nameservers", ())))
    return tuple(found)


def active_state(objects: Mapping[str, Any], path: str) -> ActiveState | None:
    """The state of an active connection, None where there is none at that path."""
    found = objects.get(path, {}).get(_ACTIVE)
    return None if found is None else ActiveState(found.get("State", 0))


def active_of(objects: Mapping[str, Any], path: str) -> str:
    """The active connection of a device, empty where it has none; anything else is taken for one itself."""
    device: Mapping[str, Any] | None = objects.get(path, {}).get(_DEVICE)
    return path if device is None else str(device.get("ActiveConnection", NOTHING)).removesuffix(NOTHING)


def unmanaged() -> BearerError:
    """The error for a modem that NetworkManager let go of."""
    return BearerError(
        "not-connected",
        "NetworkManager does not manage the modem any more.",
        hint="See what it manages: nmcli device.",
    )


def no_connection() -> BearerError:
    """The error for a modem that NetworkManager has nothing to activate for."""
    return BearerError(
        "not-connected",
        "NetworkManager manages the modem and has no connection for it.",
        hint="Make one: nmcli connection add type gsm ifname '*' con-name mobile apn YOUR-APN.",
    )


def _devices(objects: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((path, interfaces[_DEVICE]) for path, interfaces in objects.items() if _DEVICE in interfaces)


def _configuration(objects: Mapping[str, Any], device: Mapping[str, Any], name: str, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = objects.get(device.get(name, NOTHING), {}).get(f"{SERVICE}.{kind}", {})
    return found


def _addresses(values: Iterable[str | bytes | None]) -> Iterator[IPAddress]:
    for value in values:
        with contextlib.suppress(ValueError):  # since 1.52 it may be a URI, for DNS over TLS
            yield ip_address(value or "")
