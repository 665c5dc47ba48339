"""Whether a modem can carry the exchange now, and over which link; if not, the next step on the way there.

The ladder, from its foot: a modem that works and has a SIM, unlocked, enabled, registered, connected. Each rung has its
action, or what it waits for, and its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from phonecheck.config import Settings
from phonecheck.errors import AgentError, BearerError, ModemError
from phonecheck.model import (
    Bearer,
    IPAddress,
    IpConfig,
    IpMethod,
    Link,
    Lock,
    Modem,
    ModemState,
    Registration,
)
from phonecheck.modem import lacking, locks
from phonecheck.modem.parse import age_of

Family = Literal["auto", "4", "6"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What may be done to make a modem ready.

    ``connect`` allows unlocking, enabling and connecting it, and waiting for what passes by itself. ``wait`` allows
    waiting for others too: for ModemManager, the modem, a registration that was denied, whoever connects it.
    """

    connect: bool = False
    apn: str | None = None
    ip_type: Literal["4", "6", "4v6"] | None = None
    roaming: bool = False
    has_pin: bool = False
    wait: bool = False
    family: Family = "auto"

    @classmethod
    def of(cls, settings: Settings, *, has_pin: bool) -> Wishes:
        """What the settings allow."""
        choice = settings.modem
        return cls(
            connect=choice.connect == "auto",
            apn=choice.apn,
            ip_type=choice.ip_type,
            roaming=choice.roaming,
            has_pin=has_pin,
            wait=choice.wait > 0,
            family=settings.link.family,
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What this run has done to the modem already. None of it is done twice."""

    pin: bool = False
    enabled: bool = False
    connected: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A bearer is connected."""


@dataclass(frozen=True, slots=True)
class SendPin:
    """Send the PIN to this SIM."""

    sim: str


@dataclass(frozen=True, slots=True)
class Enable:
    """Enable the modem: radio on, and register."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Bring a bearer up."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a change: ``words`` say for what, and ``error`` is raised when the time is up."""

    words: str
    error: AgentError


Step = Ready | SendPin | Enable | Connect | Wait


def next_step(modem: Modem | None, wishes: Wishes, done: Done, absent: ModemError | None = None) -> Step:
    """The next step towards a connected bearer.

    Args:
        modem: as just read; None where it is not there, or not yet.
        wishes: what may be done.
        done: what was done before.
        absent: why there is no modem.

    Raises:
        ModemError: the rung's error, where nothing that is allowed leads further.
    """
    if modem is None:
        return _wait_for_modem(wishes, absent or ModemError("modem-not-found", "ModemManager knows no modem."))
    _check_sim(modem)
    if modem.state is ModemState.LOCKED:
        return _unlock(modem, wishes, done)
    if bearer_of(modem, wishes.family) is not None:
        return Ready()
    if not (wishes.connect or wishes.wait):
        raise lacking.bearer(modem)
    return _unconnected(modem, wishes, done)


def bearer_properties(wishes: Wishes) -> dict[str, tuple[str, Any]]:
    """What Simple.Connect is asked for, each value with its D-Bus signature.

    Without an APN and an IP type, modem and network take their own (gdbus-org.freedesktop.ModemManager1.Modem.Simple.html).
    """
    properties: dict[str, tuple[str, Any]] = {"allow-roaming": ("b", wishes.roaming)}
    if wishes.apn is not None:
        properties["apn"] = ("s", wishes.apn)
    if (ip_type := wishes.ip_type or (wishes.family if wishes.family != "auto" else None)) is not None:
        # MMBearerIpFamily (ModemManager-enums.h).
        properties["ip-type"] = ("u", {"4": 1, "6": 2, "4v6": 4}[ip_type])
    return properties


def link_of(
    modem: Modem, dns_override: Sequence[IPAddress] = (), family: Family = "auto", *, ppp_interface: str = ""
) -> Link:
    """The link of the modem's connected bearer. Another interface is never taken in its place.

    ``addresses`` are those that ModemManager knows, which is those that the network gave it to set (method static). Of a
    family configured by DHCP or router advertisements it knows none, and often no DNS server: what the kernel has, or a
    lease, is then the truth, and reading that, within ``family``, is the link layer's part. So it is with PPP.

    Args:
        modem: as just read; a bearer's properties lag behind the modem's state by milliseconds.
        dns_override: servers to use in place of the bearer's.
        family: the address family to keep to.
        ppp_interface: the network interface of a bearer that is a PPP session, where one is known.

    Raises:
        SimError: sim-missing, sim-locked, puk-required.
        BearerError: not-registered, not-connected, no-ip-config.
    """
    _check_sim(modem)
    if modem.state is ModemState.LOCKED:
        raise locks.locked(modem)
    bearer = bearer_of(modem, family)
    if bearer is None:
        raise lacking.bearer(modem)
    configs = _configs(bearer, family)
    if not configs:
        kind = "IP" if family == "auto" else f"IPv{family}"
        hint = None if family == "auto" else "Ask for a bearer of that IP type (modem.ip_type), or correct link.family."
        message = f"The bearer is connected, but the network gave it no {kind} configuration."
        raise BearerError("no-ip-config", message, hint=hint)
    interface = bearer.interface
    if any(config.method is IpMethod.PPP for config in configs):
        # Interface is then the serial port, and pppd alone knows the name of the network interface on it
        # (gdbus-org.freedesktop.ModemManager1.Bearer.html, "Interface").
        if not ppp_interface:
            raise BearerError(
                "not-connected",
                f"The bearer is a PPP session on {bearer.interface}: ModemManager only dials it, and no network interface "
                "on it is known.",
                hint="Have NetworkManager connect it, which runs pppd; where pppd runs already, name its interface and "
                "servers: --interface ppp0 --dns ADDRESS.",
            )
        interface = ppp_interface
    dns = tuple(dns_override) or tuple(server for config in configs for server in config.dns)
    if not dns and all(config.method is IpMethod.STATIC for config in configs):
        raise BearerError(
            "no-ip-config",
            "The bearer is connected, but ModemManager knows no DNS server of its network.",
            hint="Name the operator's servers: --dns ADDRESS, or link.dns in the configuration.",
        )
    return Link(
        interface=interface,
        addresses=tuple(c.address for c in configs if c.address is not None and not c.address.ip.is_link_local),
        gateways=tuple(c.gateway for c in configs if c.gateway is not None),
        dns=dns,
        mtu=min((c.mtu for c in configs if c.mtu is not None), default=None),
    )


def over_ppp(modem: Modem, family: Family = "auto") -> bool:
    """Whether the modem's bearer is a PPP session, so that :func:`link_of` needs its ``ppp_interface``."""
    bearer = bearer_of(modem, family)
    return bearer is not None and any(config.method is IpMethod.PPP for config in _configs(bearer, family))


def bearer_of(modem: Modem, family: Family = "auto") -> Bearer | None:
    """The bearer to use: connected, carrying data, and of the default type; a dedicated one only adds to another.

    Bearers pile up: old ones stay in the list, in no order, and keep their last error. Of several that are connected, one
    that is configured for the family comes first, and then the oldest, for the later ones serve the operator's own ends.
    """
    usable = [b for b in modem.bearers if b.connected and not b.suspended and b.default and b.interface]
    return min(usable, key=lambda b: (not _configs(b, family), age_of(b.path)), default=None)


def _check_sim(modem: Modem) -> None:
    if (missing := lacking.sim(modem)) is not None:
        raise missing


def _wait_for_modem(wishes: Wishes, absent: ModemError) -> Wait:
    if not wishes.wait:
        raise absent
    missing = "the modem" if absent.code == "modem-not-found" else "ModemManager"
    return Wait(f"waiting for {missing}", absent)


def _unlock(modem: Modem, wishes: Wishes, done: Done) -> SendPin | Wait:
    error = locks.locked(modem)
    waits = wishes.connect or wishes.wait
    # A PIN that was taken shows some time later, 0.3 s to 5 s as measured; so does what a modem is locked by.
    if waits and (modem.lock in (Lock.UNKNOWN, Lock.NONE) or (modem.lock is Lock.SIM_PIN and done.pin)):
        return Wait("waiting for the SIM", error)
    if modem.lock is Lock.SIM_PIN and not wishes.connect and wishes.wait:
        return Wait("waiting for the SIM to be unlocked", error)
    if not (wishes.connect and wishes.has_pin):
        raise error
    if (refusal := locks.refusal_to_send(modem)) is not None or modem.sim is None:
        raise refusal or error
    return SendPin(modem.sim.path)


def _unconnected(modem: Modem, wishes: Wishes, done: Done) -> Enable | Connect | Wait:
    error = lacking.bearer(modem)
    if modem.state is ModemState.DISABLED:
        return _enable(wishes, done, error)
    if modem.state >= ModemState.ENABLED and not lacking.registered(modem):
        # A refusal is the network's answer, and for most subscriptions its last word. But a modem that comes up abroad
        # or at a border is refused by some networks before it finds its own: whoever allows for time is given it.
        if modem.registration is Registration.DENIED and not wishes.wait:
            raise error
        return Wait("waiting for a network", error)
    if modem.state not in (ModemState.REGISTERED, ModemState.CONNECTED):
        return Wait(f"waiting for the modem, which is {modem.state.word}", error)
    return _connect(modem, wishes, done, error)


def _enable(wishes: Wishes, done: Done, error: BearerError) -> Enable | Wait:
    if not wishes.connect:
        return Wait("waiting for the modem to be enabled", error)
    if done.enabled:
        raise BearerError(
            "not-connected",
            "The modem was enabled, and is disabled again.",
            hint="Something else switches it off: look for another manager, or rfkill.",
        )
    return Enable()


def _connect(modem: Modem, wishes: Wishes, done: Done, error: BearerError) -> Connect | Wait:
    up = [bearer for bearer in modem.bearers if bearer.connected]
    if any(bearer.default for bearer in up) and not wishes.wait:  # suspended, or without an interface
        raise error
    if any(bearer.default for bearer in up) or not wishes.connect:
        return Wait("waiting for a bearer", error)
    if modem.state is ModemState.CONNECTED and not up:  # it goes down, or has just come up, between two readings
        return Wait("waiting for a bearer", error)
    if done.connected:
        raise BearerError(
            "connect-failed", f"The bearer was connected, and went down again at once.{lacking.last_error(modem)}"
        )
    if modem.registration.name.startswith("ROAMING") and not wishes.roaming:
        raise BearerError(
            "not-connected",
            "The modem is roaming, and connecting it abroad is not allowed.",
            hint="Allow it where its price is known: roaming = true in [modem] of the configuration.",
        )
    return Connect()


def _configs(bearer: Bearer, family: str) -> tuple[IpConfig, ...]:
    configs = {"4": bearer.ip4, "6": bearer.ip6}
    chosen = (config for f, config in configs.items() if config is not None and family in ("auto", f))
    # Static with no address is nothing that anyone could configure.
    return tuple(c for c in chosen if c.method is not IpMethod.STATIC or c.address is not None)
