"""The facts the agent works with. Frozen, without I/O, and safe to print: identities show their last four digits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Literal

from phonecheck.errors import AgentError
from phonecheck.redact import Identity, Secret, last_four

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
Family = Literal[4, 6]

# ITU-T E.164: at most fifteen digits, the first not zero. The lower bound is the shortest number in use (Niue, with 683).
_E164 = re.compile(r"\+?([1-9][0-9]{6,14})")


@dataclass(frozen=True, slots=True, repr=False)
class PhoneNumber:
    """A number in E.164 form. ``digits`` has no ``+``; ``str`` shows the last four only."""

    digits: str

    @classmethod
    def parse(cls, text: str) -> PhoneNumber:
        """Read ``+447700900123`` or ``447700900123``.

        Raises:
            ValueError: not E.164. The message does not repeat the text, which may be a real number with a slip.
        """
        found = _E164.fullmatch(text)
        if not found:
            raise ValueError("not an E.164 phone number: country code and number, 7 to 15 digits, with or without '+'")
        return cls(found[1])

    def __str__(self) -> str:
        return last_four(self.digits)

    def __repr__(self) -> str:
        return f"PhoneNumber({last_four(self.digits)!r})"


class OpenEnum(IntEnum):
    """An enumeration of another program's: values it gains later become ``UNKNOWN_n`` members instead of errors."""

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member

    @property
    def word(self) -> str:
        """The name as ``mmcli`` writes it: lower case, hyphens."""
        return self.name.lower().replace("_", "-")


class ModemState(OpenEnum):
    """MMModemState (ModemManager-enums.h)."""

    FAILED = -1
    UNKNOWN = 0
    INITIALIZING = 1
    LOCKED = 2
    DISABLED = 3
    DISABLING = 4
    ENABLING = 5
    ENABLED = 6
    SEARCHING = 7
    REGISTERED = 8
    DISCONNECTING = 9
    CONNECTING = 10
    CONNECTED = 11


class FailedReason(OpenEnum):
    """MMModemStateFailedReason."""

    NONE = 0
    UNKNOWN = 1
    SIM_MISSING = 2
    SIM_ERROR = 3
    UNKNOWN_CAPABILITIES = 4
    ESIM_WITHOUT_PROFILES = 5


class Lock(OpenEnum):
    """MMModemLock: what the modem waits for."""

    UNKNOWN = 0
    NONE = 1
    SIM_PIN = 2
    SIM_PIN2 = 3
    SIM_PUK = 4
    SIM_PUK2 = 5
    PH_SP_PIN = 6
    PH_SP_PUK = 7
    PH_NET_PIN = 8
    PH_NET_PUK = 9
    PH_SIM_PIN = 10
    PH_CORP_PIN = 11
    PH_CORP_PUK = 12
    PH_FSIM_PIN = 13
    PH_FSIM_PUK = 14
    PH_NETSUB_PIN = 15
    PH_NETSUB_PUK = 16


class Registration(OpenEnum):
    """MMModem3gppRegistrationState."""

    IDLE = 0
    HOME = 1
    SEARCHING = 2
    DENIED = 3
    UNKNOWN = 4
    ROAMING = 5
    HOME_SMS_ONLY = 6
    ROAMING_SMS_ONLY = 7
    EMERGENCY_ONLY = 8
    HOME_CSFB_NOT_PREFERRED = 9
    ROAMING_CSFB_NOT_PREFERRED = 10
    ATTACHED_RLOS = 11

    @property
    def registered(self) -> bool:
        """Whether the network serves data in this state."""
        return self.name.startswith(("HOME", "ROAMING")) and not self.name.endswith("SMS_ONLY")


class PacketService(OpenEnum):
    """MMModem3gppPacketServiceState: whether the network carries data for the modem at all."""

    UNKNOWN = 0
    DETACHED = 1
    ATTACHED = 2


class IpMethod(OpenEnum):
    """MMBearerIpMethod: who must configure the interface."""

    UNKNOWN = 0
    PPP = 1
    STATIC = 2
    DHCP = 3


@dataclass(frozen=True, slots=True)
class Sim:
    """A SIM as ModemManager shows it."""

    path: str
    iccid: Identity | None = None
    imsi: Identity | None = None
    operator_code: str = ""
    operator_name: str = ""


@dataclass(frozen=True, slots=True)
class IpConfig:
    """What the network gave a bearer for one address family."""

    method: IpMethod = IpMethod.UNKNOWN
    address: IPInterface | None = None
    gateway: IPAddress | None = None
    dns: tuple[IPAddress, ...] = ()
    mtu: int | None = None


@dataclass(frozen=True, slots=True)
class Bearer:
    """A data connection, up or not. ``connection_error`` may be old: ModemManager keeps it over a later success."""

    path: str
    interface: str = ""
    connected: bool = False
    suspended: bool = False
    default: bool = True
    apn: str = ""
    ip4: IpConfig | None = None
    ip6: IpConfig | None = None
    connection_error: str = ""


@dataclass(frozen=True, slots=True)
class Modem:
    """A modem with its SIM, its registration and its bearers, at one moment."""

    path: str
    device: str = ""
    manufacturer: str = ""
    model: str = ""
    imei: Identity | None = None
    state: ModemState = ModemState.UNKNOWN
    failed_reason: FailedReason = FailedReason.NONE
    lock: Lock = Lock.UNKNOWN
    retries: tuple[tuple[Lock, int], ...] = ()
    signal: int | None = None
    technologies: tuple[str, ...] = ()
    registration: Registration = Registration.UNKNOWN
    packet_service: PacketService = PacketService.UNKNOWN
    operator_code: str = ""
    operator_name: str = ""
    own_numbers: tuple[PhoneNumber, ...] = ()
    sim: Sim | None = None
    bearers: tuple[Bearer, ...] = ()

    @property
    def id(self) -> str:
        """The stable selector, redacted: ``iccid:…1234``, else ``imei:…1234``, else the device path."""
        if self.sim and self.sim.iccid:
            return f"iccid:{self.sim.iccid}"
        return f"imei:{self.imei}" if self.imei else self.device


@dataclass(frozen=True, slots=True)
class Link:
    """A usable cellular interface. ``addresses`` are those the exchange may leave from."""

    interface: str
    addresses: tuple[IPInterface, ...] = ()
    gateways: tuple[IPAddress, ...] = ()
    dns: tuple[IPAddress, ...] = ()
    mtu: int | None = None

    @property
    def families(self) -> tuple[Family, ...]:
        """The address families that the link has an address of, IPv4 first."""
        return tuple(f for f in (4, 6) if any(a.version == f for a in self.addresses))


@dataclass(frozen=True, slots=True)
class Check:
    """One verification. ``ttl`` is in seconds from its creation; ``url`` is spent by the first request for it."""

    id: str
    url: str = field(repr=False)
    ttl: float


@dataclass(frozen=True, slots=True)
class Path:
    """Proof of the path of one connection, read back from the kernel after connect."""

    bound_to: str
    source: IPAddress
    peer: IPAddress
    peer_port: int

    @property
    def family(self) -> Family:
        """4 or 6."""
        return 4 if self.peer.version == 4 else 6


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of each step of a hop; None where it did not happen: a kept connection has neither dns nor connect."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Hop:
    """One request and response of the chain. ``status`` is None for the hop that failed before its answer."""

    n: int
    url: str = field(repr=False)
    status: int | None = None
    path: Path | None = None
    cleartext: bool = False
    reused: bool = False
    tls_version: str | None = None
    dns_server: IPAddress | None = None
    timings: Timings = Timings()
    trace_ids: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """How the chain ended: ``code`` of a v0.2 check, or None where the end held none.

    ``reference_id`` is what the platform sent along with the code.
    """

    hops: tuple[Hop, ...]
    http_status: int | None
    code: Secret | None = None
    check_id: str | None = None
    reference_id: str | None = field(default=None, repr=False)


OutcomeWord = Literal["match", "no_match", "inconclusive", "opened"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one command, with its evidence; ``ms`` is the whole of it, in milliseconds."""

    word: OutcomeWord
    number: PhoneNumber | None = None
    check_id: str | None = None
    modem: Modem | None = None
    link: Link | None = None
    hops: tuple[Hop, ...] = ()
    http_status: int | None = None
    ms: float = 0.0
    error: AgentError | None = None

    @property
    def match(self) -> bool | None:
        """Only ever what the app server said; None where it said nothing."""
        return {"match": True, "no_match": False}.get(self.word)
