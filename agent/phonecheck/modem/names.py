"""ModemManager's names on the bus, and the properties that are read of each interface.

https://www.freedesktop.org/software/ModemManager/api/latest/ holds them all; a property may be missing, for daemons as
old as 1.18 (Debian 11) run on devices, and newer ones know more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

SERVICE = "org.freedesktop.ModemManager1"
ROOT = "/org/freedesktop/ModemManager1"

MODEM = f"{SERVICE}.Modem"
SIMPLE = f"{MODEM}.Simple"
MODEM_3GPP = f"{MODEM}.Modem3gpp"
SIM = f"{SERVICE}.Sim"
BEARER = f"{SERVICE}.Bearer"

NETWORK_MANAGER = "org.freedesktop.NetworkManager"
POLKIT = "org.freedesktop.PolicyKit1"

OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"

CORE_ERROR = f"{SERVICE}.Error.Core."
EQUIPMENT_ERROR = f"{SERVICE}.Error.MobileEquipment."
BUS_ERROR = f"{BUS}.Error."


@dataclass(frozen=True, slots=True)
class Rule:
    """Signals to hear: who sends them, of which interface, which one (None: all), and its first argument (None: any)."""

    sender: str
    interface: str | None
    member: str | None = None
    first: str | None = None


CHANGES = (
    # Bearers and SIMs are not below their modem's path, so any path.
    Rule(SERVICE, PROPERTIES, "PropertiesChanged"),
    Rule(SERVICE, OBJECT_MANAGER),
    Rule(BUS, BUS, "NameOwnerChanged", SERVICE),
    Rule(NETWORK_MANAGER, PROPERTIES, "PropertiesChanged"),
    Rule(NETWORK_MANAGER, None, "StateChanged"),
    Rule(BUS, BUS, "NameOwnerChanged", NETWORK_MANAGER),
)
"""Whatever may matter to a run that waits for a modem or is on its bearer."""

SIM_CHANGES = (
    Rule(SERVICE, OBJECT_MANAGER),
    Rule(SERVICE, MODEM, "StateChanged"),
    Rule(SERVICE, PROPERTIES, "PropertiesChanged", SIM),
    Rule(BUS, BUS, "NameOwnerChanged", SERVICE),
)
"""Whatever another SIM shows by, and not the signal's quality, which changes every few seconds: a hot swap makes
ModemManager give the modem up and find it anew, and to tell that a SIM is unlocked takes the modem's state."""


def program(service: str) -> str:
    """What people call the program behind a bus name."""
    return service.rpartition(".")[2].rstrip("0123456789")


class ModemProperties(TypedDict, total=False):
    """gdbus-org.freedesktop.ModemManager1.Modem.html."""

    Device: str
    Manufacturer: str
    Model: str
    EquipmentIdentifier: str
    State: int
    StateFailedReason: int
    UnlockRequired: int
    UnlockRetries: dict[int, int]
    AccessTechnologies: int
    SignalQuality: tuple[int, bool]
    OwnNumbers: list[str]
    Sim: str
    Bearers: list[str]


class Modem3gppProperties(TypedDict, total=False):
    """gdbus-org.freedesktop.ModemManager1.Modem.Modem3gpp.html."""

    Imei: str
    RegistrationState: int
    PacketServiceState: int
    OperatorCode: str
    OperatorName: str


class SimProperties(TypedDict, total=False):
    """gdbus-org.freedesktop.ModemManager1.Sim.html."""

    SimIdentifier: str
    Imsi: str
    OperatorIdentifier: str
    OperatorName: str


class BearerProperties(TypedDict, total=False):
    """gdbus-org.freedesktop.ModemManager1.Bearer.html."""

    Interface: str
    Connected: bool
    Suspended: bool
    BearerType: int
    ConnectionError: tuple[str, str]
    Ip4Config: dict[str, object]
    Ip6Config: dict[str, object]
    Properties: dict[str, object]


class IpConfigItems(TypedDict, total=False):
    """The dictionary of ``Ip4Config`` and ``Ip6Config``; of ppp and dhcp only ``method`` is certain."""

    method: int
    address: str
    prefix: int
    gateway: str
    dns1: str
    dns2: str
    dns3: str
    mtu: int
