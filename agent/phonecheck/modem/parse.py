"""D-Bus dictionaries in, facts out.

What arrives was written by a modem's firmware, a network and a daemon of any version, so nothing here raises: a value
that is missing, of another type or out of range leaves its field at the default, and an enumeration's new value lives
on as ``UNKNOWN_n``. Text loses its control characters, its length and its long digit runs before it reaches a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import TypeVar

from phonecheck import redact
from phonecheck.model import (
    Bearer,
    FailedReason,
    IPAddress,
    IpConfig,
    IPInterface,
    IpMethod,
    Lock,
    Modem,
    ModemState,
    OpenEnum,
    PacketService,
    PhoneNumber,
    Registration,
    Sim,
)
from phonecheck.modem import names
from phonecheck.redact import Identity

E = TypeVar("E", bound=OpenEnum)
Properties = Mapping[str, object]

# MMModemAccessTechnology, a bit mask, in the words of mmcli.
# fmt: off
_TECHNOLOGIES = (
    "pots", "gsm", "gsm-compact", "gprs", "edge", "umts", "hsdpa", "hsupa", "hspa", "hspa-plus", "1xrtt", "evdo0", "evdoa",
    "evdob", "lte", "5gnr", "lte-cat-m", "lte-nb-iot",
)
# fmt: on

# D-Bus Specification, "Valid Object Paths". "/" is ModemManager's word for none.
_OBJECT_PATH = re.compile(r"(?:/[A-Za-z0-9_]+)+")

# Linux: at most 15 characters, no white space, no slash (dev_valid_name); a serial port's name is no longer.
_INTERFACE = re.compile(r"[^\s/]{1,15}")

_LONGEST_TEXT = 120
_LONGEST_PATH = 1024
_MOST_ITEMS = 256


def modems(objects: object) -> tuple[Modem, ...]:
    """The modems in ``{path: {interface: {property: value}}}``, the oldest first, each with its SIM and bearers."""
    found = []
    for path, interfaces in _items(objects):
        if isinstance(path, str) and names.MODEM in _mapping(interfaces):
            found.append(_modem(path, _mapping(interfaces), _mapping(objects)))
    return tuple(sorted(found, key=lambda modem: age_of(modem.path)))


def parts(objects: object) -> Iterator[tuple[str, str]]:
    """The path and interface of each SIM and bearer that the modems name.

    ModemManager exports these beside its object manager, not in it: GetManagedObjects lists modems alone (seen with
    1.20 and 1.24), and the rest takes a GetAll each.
    """
    for _, interfaces in _items(objects):
        modem = _mapping(_mapping(interfaces).get(names.MODEM))
        if sim := _object_path(modem.get("Sim")):
            yield sim, names.SIM
        for bearer in _bearer_paths(modem):
            yield bearer, names.BEARER


def version(value: object) -> str:
    """A program's version, fit to be shown."""
    return _text(value)


def age_of(path: str) -> tuple[int, str]:
    """A sort key: object paths end in a counter, and the lower number is the older object."""
    digits = re.search(r"[0-9]{1,9}\Z", path)
    return int(digits[0]) if digits else 0, path


def _modem(path: str, interfaces: Properties, objects: Properties) -> Modem:
    modem = _mapping(interfaces.get(names.MODEM))
    network = _mapping(interfaces.get(names.MODEM_3GPP))
    sim = _object_path(modem.get("Sim"))
    return Modem(
        path=path,
        device=_whole(modem.get("Device"), _LONGEST_PATH),
        manufacturer=_text(modem.get("Manufacturer")),
        model=_text(modem.get("Model")),
        imei=_identity(network.get("Imei")) or _identity(modem.get("EquipmentIdentifier")),
        state=_enum(ModemState, modem.get("State"), ModemState.UNKNOWN),
        failed_reason=_enum(FailedReason, modem.get("StateFailedReason"), FailedReason.NONE),
        lock=_enum(Lock, modem.get("UnlockRequired"), Lock.UNKNOWN),
        retries=_retries(modem.get("UnlockRetries")),
        signal=_signal(modem.get("SignalQuality")),
        technologies=_technologies(modem.get("AccessTechnologies")),
        registration=_enum(Registration, network.get("RegistrationState"), Registration.UNKNOWN),
        packet_service=_enum(PacketService, network.get("PacketServiceState"), PacketService.UNKNOWN),
        operator_code=_operator_code(network.get("OperatorCode")),
        operator_name=_text(network.get("OperatorName")),
        own_numbers=_numbers(modem.get("OwnNumbers")),
        sim=_sim(sim, _mapping(_mapping(objects.get(sim)).get(names.SIM))) if sim else None,
        bearers=tuple(_bearer(b, _mapping(_mapping(objects.get(b)).get(names.BEARER))) for b in _bearer_paths(modem)),
    )


def _sim(path: str, sim: Properties) -> Sim:
    return Sim(
        path=path,
        iccid=_identity(sim.get("SimIdentifier")),
        imsi=_identity(sim.get("Imsi")),
        operator_code=_operator_code(sim.get("OperatorIdentifier")),
        operator_name=_text(sim.get("OperatorName")),
    )


def _bearer(path: str, bearer: Properties) -> Bearer:
    return Bearer(
        path=path,
        interface=_interface_name(bearer.get("Interface")),
        connected=bearer.get("Connected") is True,
        suspended=bearer.get("Suspended") is True,
        # MMBearerType: unknown, default, default-attach, dedicated. A daemon without the property has default ones only.
        default=_integer(bearer.get("BearerType"), 0, 0xFFFFFFFF) in (None, 0, 1),
        apn=_text(_mapping(bearer.get("Properties")).get("apn")),
        ip4=_ip_config(_mapping(bearer.get("Ip4Config")), 4),
        ip6=_ip_config(_mapping(bearer.get("Ip6Config")), 6),
        connection_error=_connection_error(bearer.get("ConnectionError")),
    )


def _ip_config(items: Properties, version: int) -> IpConfig | None:
    """None for a family that the bearer does not have: ModemManager then says ``method`` unknown and nothing else."""
    method = _enum(IpMethod, items.get("method"), IpMethod.UNKNOWN)
    config = IpConfig(
        method=method,
        address=_interface_address(items.get("address"), items.get("prefix"), version),
        gateway=_address(items.get("gateway"), version),
        dns=tuple(
            dict.fromkeys(a for n in ("dns1", "dns2", "dns3") if (a := _address(items.get(n), version)) is not None)
        ),
        mtu=_integer(items.get("mtu"), 68, 65535),
    )
    return config if config.address or method is not IpMethod.UNKNOWN else None


def _interface_address(address: object, prefix: object, version: int) -> IPInterface | None:
    if _address(address, version) is None:
        return None
    longest = 32 if version == 4 else 128
    length = longest if prefix is None else _integer(prefix, 1, longest)
    found = ip_interface(f"{address}/{length}") if length else None
    return found if isinstance(found, IPv4Interface | IPv6Interface) else None


def _address(value: object, version: int) -> IPAddress | None:
    """An address that a host may have; modems write ``0.0.0.0`` and ``::`` where the network gave none."""
    if not isinstance(value, str) or "%" in value:  # a scope would be any text at all
        return None
    try:
        address = ip_address(value)
    except ValueError:
        return None
    if address.version != version or address.is_unspecified or address.is_multicast or address.is_loopback:
        return None
    return address


def _connection_error(value: object) -> str:
    """The message, or the last word of the error's name where there is none."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return ""
    name, message = value
    return _text(message) or _text(name).rpartition(".")[2]


def _technologies(value: object) -> tuple[str, ...]:
    mask = _integer(value, 0, 0xFFFFFFFF) or 0
    return tuple(_TECHNOLOGIES[b] if b < len(_TECHNOLOGIES) else f"bit-{b}" for b in range(32) if mask & 1 << b)


def _signal(value: object) -> int | None:
    """Per cent; None while the modem has not measured, which ModemManager writes as 0, not recent."""
    if not isinstance(value, tuple | list) or len(value) != 2 or (value[0] == 0 and value[1] is not True):
        return None
    return _integer(value[0], 0, 100)


def _numbers(value: object) -> tuple[PhoneNumber, ...]:
    """Those in international form. Without ``+``, a national number reads like another country's: 5551234567 is no +55."""
    found = []
    for text in _list(value):
        if isinstance(text, str) and text.startswith("+"):
            try:
                found.append(PhoneNumber.parse(text))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))


def _retries(value: object) -> tuple[tuple[Lock, int], ...]:
    known = []
    for lock, left in _items(value):
        if _integer(lock, 0, 0xFFFFFFFF) is not None and (count := _integer(left, 0, 0xFFFFFFFF)) is not None:
            known.append((_enum(Lock, lock, Lock.UNKNOWN), count))
    return tuple(sorted(known))


def _enum(kind: type[E], value: object, default: E) -> E:
    number = _integer(value, -(2**31), 0xFFFFFFFF)
    return default if number is None else kind(number)


def _integer(value: object, lowest: int, highest: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest else None


def _text(value: object) -> str:
    """Text that a modem or a network wrote, fit to be shown."""
    if not isinstance(value, str):
        return ""
    return redact.text("".join(c for c in value[:_LONGEST_TEXT] if c.isprintable()).strip())


def _whole(value: object, longest: int) -> str:
    """A name that is of use only as it is: whole, or empty."""
    return value if isinstance(value, str) and len(value) <= longest and value.isprintable() else ""


def _interface_name(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and _INTERFACE.fullmatch(value) else ""


def _identity(value: object) -> Identity | None:
    return Identity(value) if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{6,32}", value) else None


def _operator_code(value: object) -> str:
    """MCC and MNC, five or six digits (ITU-T E.212): no identity, so it is not shortened."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9]{5,6}", value) else ""


def _object_path(value: object) -> str:
    return value if isinstance(value, str) and _OBJECT_PATH.fullmatch(value) else ""


def _bearer_paths(modem: Properties) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for value in _list(modem.get("Bearers")) if (path := _object_path(value))))


def _list(value: object) -> list[object]:
    return list(value[:_MOST_ITEMS]) if isinstance(value, list | tuple) else []


def _mapping(value: object) -> Properties:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[tuple[object, object]]:
    return list(value.items())[:_MOST_ITEMS] if isinstance(value, Mapping) else []
