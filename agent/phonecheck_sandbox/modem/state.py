"""What a virtual modem is in: its SIM, its radio and its data session."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from phonecheck_sandbox import world
from phonecheck_sandbox.plan import IpMethod, IpType

PIN_TRIES = 3
"""3GPP TS 31.101, 9.5.1: a SIM blocks its PIN after three wrong tries in a row."""
PUK_TRIES = 10


class Families(IntFlag):
    """MBIM_CONTEXT_IP_TYPE (MBIM 10.5.12), as the set that its first three values happen to be."""

    IPV4 = 1
    IPV6 = 2


NO_FAMILY = Families(0)
FAMILIES: dict[IpType, Families] = {
    "4": Families.IPV4,
    "6": Families.IPV6,
    "4v6": Families.IPV4 | Families.IPV6,
}


class Cause(IntEnum):
    """Why a network refuses a session (3GPP TS 24.008, 10.5.6.6), as far as this one does by itself."""

    UNKNOWN_APN = 27
    IPV4_ONLY = 50
    IPV6_ONLY = 51


class Registration(IntEnum):
    """MBIM_REGISTER_STATE (MBIM 10.5.9)."""

    IDLE = 1
    SEARCHING = 2
    HOME = 3
    ROAMING = 4
    DENIED = 6

    @property
    def served(self) -> bool:
        """Whether the network carries data in this state."""
        return self in (Registration.HOME, Registration.ROAMING)


class Technology(IntFlag):
    """MBIM_DATA_CLASS (MBIM 10.5.1)."""

    GPRS = 0x01
    EDGE = 0x02
    UMTS = 0x04
    HSDPA = 0x08
    HSUPA = 0x10
    LTE = 0x20


@dataclass(frozen=True, slots=True)
class Operator:
    """A mobile network: ``code`` is MCC and MNC."""

    code: str
    name: str


HOME_OPERATOR = Operator(world.OPERATOR_CODE, world.OPERATOR_NAME)
VISITED_OPERATOR = Operator("00102", "Sandbox Abroad")
ORDINARY_APNS = frozenset({"", "internet"})


@dataclass(slots=True)
class Sim:
    """A SIM card. It has a PIN always, and asks for it at power-up only where ``pin_enabled``."""

    msisdn: str = field(repr=False)
    imsi: str = field(repr=False)
    iccid: str = field(repr=False)
    pin: str = field(default="1234", repr=False)
    puk: str = field(default="12345678", repr=False)
    inserted: bool = True
    pin_enabled: bool = False
    locked: bool = False
    pin_tries: int = PIN_TRIES
    puk_tries: int = PUK_TRIES

    @property
    def blocked(self) -> bool:
        """Whether the PIN is spent, so that only the PUK helps."""
        return self.pin_tries == 0

    @property
    def ready(self) -> bool:
        """Whether the modem can read the SIM and register with it."""
        return self.inserted and not self.locked

    def lock(self, pin: str, tries: int = PIN_TRIES) -> None:
        """Ask for this PIN, as after power-up, with so many tries left."""
        self.pin, self.pin_enabled, self.locked = pin, True, True
        self.pin_tries, self.puk_tries = tries, PUK_TRIES

    def block(self) -> None:
        """Ask for the PUK, as after the last wrong PIN."""
        self.pin_enabled, self.locked, self.pin_tries = True, True, 0

    def enter_pin(self, pin: str) -> bool:
        """Try a PIN, and count a wrong one."""
        if self.blocked:
            return False
        if pin != self.pin:
            self.pin_tries -= 1
            self.locked = self.locked or self.blocked
            return False
        self.pin_tries, self.locked = PIN_TRIES, False
        return True

    def enter_puk(self, puk: str, new_pin: str) -> bool:
        """Try a PUK, and count a wrong one; the right one sets a new PIN."""
        if self.puk_tries == 0:
            return False
        if puk != self.puk:
            self.puk_tries -= 1
            return False
        self.pin, self.locked = new_pin, False
        self.pin_tries, self.puk_tries = PIN_TRIES, PUK_TRIES
        return True


@dataclass(slots=True)
class Radio:
    """The radio and what the network says to it.

    ``rssi`` is 0 (-113 dBm) to 31 (-51 dBm), 99 unknown (3GPP TS 27.007, 8.5).
    """

    on: bool = True
    network: Registration = Registration.HOME
    technology: Technology = Technology.LTE
    rssi: int = 21

    @property
    def operator(self) -> Operator:
        """Whose cell this is."""
        return VISITED_OPERATOR if self.network is Registration.ROAMING else HOME_OPERATOR


@dataclass(slots=True)
class Session:
    """The data session and what the network gives it.

    Attributes:
        offered: the families that the network gives.
        granted: those that the session has got, none where it is down; what was asked for and is offered.
        asked: whether the network has been asked for the session, and has not answered.
        address: None where the host is to take a lease.
        apns: those that the network serves; a request may also name none, where the empty name is one of them.
        seconds: what the network takes to answer a request, infinity for ever.
        refusal: a `Cause` or another number of its kind, with which the network refuses every session; 0 is none.
    """

    offered: Families
    address: IPv4Interface | None
    gateway: IPv4Address
    dns: tuple[IPv4Address, ...]
    address6: IPv6Interface
    gateway6: IPv6Address
    dns6: tuple[IPv6Address, ...]
    mtu: int
    apns: frozenset[str] = ORDINARY_APNS
    seconds: float = 0.0
    refusal: int = 0
    granted: Families = NO_FAMILY
    asked: bool = False

    @property
    def up(self) -> bool:
        """Whether it is there."""
        return bool(self.granted)

    def end(self) -> None:
        """Be no more, whoever ended it."""
        self.granted = NO_FAMILY


@dataclass(slots=True)
class ModemState:
    """All that a modem answers from."""

    imei: str = field(repr=False)
    sim: Sim
    radio: Radio
    session: Session

    @classmethod
    def of(cls, subscriber: world.Subscriber, *, ip: IpType = "4", ip_method: IpMethod = "static") -> ModemState:
        """A modem at rest with this subscriber's SIM in it, on a network that gives sessions of this kind."""
        address = IPv4Interface(f"{subscriber.address}/{world.WWAN0.network.prefixlen}")
        address6 = IPv6Interface(f"{subscriber.address6}/{world.WWAN0_6.network.prefixlen}")
        session = Session(
            offered=FAMILIES[ip],
            address=None if ip_method == "dhcp" else address,
            gateway=next(address.network.hosts()),
            dns=world.CARRIER_DNS,
            address6=address6,
            gateway6=next(address6.network.hosts()),
            dns6=world.CARRIER_DNS_6,
            mtu=world.WWAN0_MTU,
        )
        return cls(subscriber.imei, Sim(subscriber.msisdn, subscriber.imsi, subscriber.iccid), Radio(), session)

    def become(self, subscriber: world.Subscriber) -> None:
        """Have this subscriber's SIM, and what the network gives it."""
        theirs = ModemState.of(subscriber)
        self.sim = theirs.sim
        ours, other = self.session, theirs.session
        ours.address = other.address if ours.address else None
        ours.gateway, ours.address6, ours.gateway6 = other.gateway, other.address6, other.gateway6

    @property
    def registration(self) -> Registration:
        """What the modem reports: without radio or SIM it is idle, whatever the network would say."""
        return self.radio.network if self.radio.on and self.sim.ready else Registration.IDLE
