"""What a virtual modem is in: its SIM, its radio and its data session."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from phonecheck_sandbox import world

PIN_TRIES = 3
"""3GPP TS 31.101, 9.5.1: a SIM blocks its PIN after three wrong tries in a row."""
PUK_TRIES = 10


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

    def lock(self, pin: str) -> None:
        """Ask for this PIN, as after power-up."""
        self.pin, self.pin_enabled, self.locked = pin, True, True
        self.pin_tries, self.puk_tries = PIN_TRIES, PUK_TRIES

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
    """The data session and what the network gives it. ``apns`` are those it serves; a request may also name none."""

    address: IPv4Interface
    gateway: IPv4Address
    dns: tuple[IPv4Address, ...]
    mtu: int
    address6: IPv6Interface | None = None
    gateway6: IPv6Address | None = None
    dns6: tuple[IPv6Address, ...] = ()
    apns: frozenset[str] = frozenset({"", "internet"})
    up: bool = False


@dataclass(slots=True)
class ModemState:
    """All that a modem answers from."""

    imei: str = field(repr=False)
    sim: Sim
    radio: Radio
    session: Session

    @classmethod
    def of(cls, subscriber: world.Subscriber) -> ModemState:
        """A modem at rest with this subscriber's SIM in it."""
        address = IPv4Interface(f"{subscriber.address}/30")
        return cls(
            subscriber.imei,
            Sim(subscriber.msisdn, subscriber.imsi, subscriber.iccid),
            Radio(),
            Session(address, next(address.network.hosts()), world.CARRIER_DNS, world.WWAN0_MTU),
        )

    @property
    def registration(self) -> Registration:
        """What the modem reports: without radio or SIM it is idle, whatever the network would say."""
        return self.radio.network if self.radio.on and self.sim.ready else Registration.IDLE
