"""Whether a modem can carry the exchange now, and over which link; if not, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from phonecheck.errors import BearerError, ModemError, SimError
from phonecheck.model import (
    Bearer,
    FailedReason,
    IPAddress,
    IpConfig,
    IpMethod,
    Link,
    Lock,
    Modem,
    ModemState,
    Registration,
)
from phonecheck.modem.parse import age_of


def link_of(modem: Modem, dns_override: Sequence[IPAddress] = (), family: Literal["auto", "4", "6"] = "auto") -> Link:
    """The link of the modem's connected bearer. Another interface is never taken in its place.

    ``addresses`` are those that ModemManager knows, which is those that the network gave it to set (method static). Of a
    family configured by DHCP or router advertisements it knows none: the kernel's addresses on the interface are then
    the truth, and reading them, within ``family``, is the link layer's part.

    Args:
        modem: as just read; a bearer's properties lag behind the modem's state by milliseconds.
        dns_override: servers to use in place of the bearer's.
        family: the address family to keep to.

    Raises:
        SimError: sim-missing, sim-locked, puk-required.
        BearerError: not-registered, not-connected, no-ip-config.
    """
    _check_sim(modem)
    bearer = _bearer(modem, family)
    if bearer is None:
        raise _unconnected(modem)
    configs = _configs(bearer, family)
    if not configs:
        kind = "IP" if family == "auto" else f"IPv{family}"
        raise BearerError("no-ip-config", f"The bearer is connected, but the network gave it no {kind} configuration.")
    if any(config.method is IpMethod.PPP for config in configs):
        # Interface is then the serial port, and pppd alone knows the name of the network interface on it
        # (gdbus-org.freedesktop.ModemManager1.Bearer.html, "Interface").
        raise BearerError(
            "not-connected",
            f"The bearer is a PPP session on {bearer.interface}, whose network interface ModemManager does not know.",
            hint="Name the interface and its servers: --interface ppp0 --dns ADDRESS.",
        )
    dns = tuple(dns_override) or tuple(server for config in configs for server in config.dns)
    if not dns:
        raise BearerError(
            "no-ip-config",
            "The bearer is connected, but ModemManager knows no DNS server of its network.",
            hint="Name the operator's servers: --dns ADDRESS, or link.dns in the configuration.",
        )
    return Link(
        interface=bearer.interface,
        addresses=tuple(c.address for c in configs if c.address is not None and not c.address.ip.is_link_local),
        gateways=tuple(c.gateway for c in configs if c.gateway is not None),
        dns=dns,
        mtu=min((c.mtu for c in configs if c.mtu is not None), default=None),
    )


def _check_sim(modem: Modem) -> None:
    if modem.state is ModemState.FAILED:
        raise _failed(modem.failed_reason)
    if modem.state is ModemState.LOCKED:
        raise _locked(modem)
    if modem.sim is None and ModemState.DISABLED <= modem.state < ModemState.CONNECTED:
        raise SimError("sim-missing", "The modem has no SIM.")


def _failed(reason: FailedReason) -> ModemError:
    match reason:
        case FailedReason.SIM_MISSING:
            return SimError("sim-missing", "The modem has no SIM.")
        case FailedReason.SIM_ERROR:
            return SimError("sim-missing", "The modem cannot read its SIM.")
        case FailedReason.ESIM_WITHOUT_PROFILES:
            return SimError("sim-missing", "The modem's eSIM holds no profile.", hint="Load a profile into the eSIM.")
    return BearerError(
        "not-connected",
        f"ModemManager has given the modem up: {reason.word}.",
        hint="Reset the modem, or plug it in anew; journalctl -u ModemManager tells why.",
    )


def _locked(modem: Modem) -> SimError:
    """PIN2 and PUK2 guard other things than the network, and leave the modem unlocked."""
    code = "puk-required" if modem.lock.name.endswith("PUK") else "sim-locked"
    left = dict(modem.retries).get(modem.lock)
    tries = "" if left is None else f", with {left} {'try' if left == 1 else 'tries'} left"
    if modem.lock in (Lock.SIM_PIN, Lock.SIM_PUK):
        what = "--pin=PIN" if modem.lock is Lock.SIM_PIN else "--puk=PUK --pin=NEW-PIN"
        return SimError(
            code,
            f"The SIM is locked: it wants its {modem.lock.name[4:]}{tries}.",
            hint=f"Unlock it: mmcli -i {modem.sim.path if modem.sim else 'SIM'} {what}.",
        )
    if modem.lock in (Lock.UNKNOWN, Lock.NONE):
        return SimError(code, "The modem is locked, and ModemManager does not know by what.")
    return SimError(
        code,
        f"The modem itself is locked: it wants {modem.lock.word}{tries}.",
        hint="Ask whoever sold the modem for its unlock code; this lock is not the SIM's.",
    )


def _bearer(modem: Modem, family: str) -> Bearer | None:
    """The bearer to use: connected, carrying data, and of the default type; a dedicated one only adds to another.

    Bearers pile up: old ones stay in the list, in no order, and keep their last error. Of several that are connected, one
    that is configured for the family comes first, and then the oldest, for the later ones serve the operator's own ends.
    """
    usable = [b for b in modem.bearers if b.connected and not b.suspended and b.default and b.interface]
    return min(usable, key=lambda b: (not _configs(b, family), age_of(b.path)), default=None)


def _configs(bearer: Bearer, family: str) -> tuple[IpConfig, ...]:
    configs = {"4": bearer.ip4, "6": bearer.ip6}
    chosen = (config for f, config in configs.items() if config is not None and family in ("auto", f))
    # Static with no address is nothing that anyone could configure.
    return tuple(c for c in chosen if c.method is not IpMethod.STATIC or c.address is not None)


def _unconnected(modem: Modem) -> BearerError:
    state, registration = modem.state.word, modem.registration.word
    if modem.registration is Registration.DENIED:
        return BearerError(
            "not-registered",
            f"The network refuses the modem: it is {state}, its registration denied.",
            hint="Ask the operator whether the subscription is active, and whether it may roam where you are.",
        )
    if modem.state is ModemState.DISABLED:
        return BearerError("not-connected", f"The modem is disabled and has no bearer connected.{_last_error(modem)}")
    if modem.state < ModemState.REGISTERED or not (
        modem.registration.registered or modem.registration is Registration.UNKNOWN
    ):
        at = "" if state == registration else f", its registration {registration}"
        return BearerError("not-registered", f"The modem is {state}{at}.")
    if any(bearer.connected and bearer.suspended for bearer in modem.bearers):
        return BearerError(
            "not-connected",
            "The modem's bearer is suspended, as it is during a voice call.",
            hint="Try again when the call is over.",
        )
    if any(bearer.connected and not bearer.interface for bearer in modem.bearers):
        return BearerError("not-connected", "The modem's bearer is connected, but has no network interface.")
    return BearerError(
        "not-connected",
        f"The modem is {state}, its registration {registration}, and no bearer is connected.{_last_error(modem)}",
    )


def _last_error(modem: Modem) -> str:
    """What ModemManager says of the newest bearer that failed; already redacted by whoever read it."""
    failed = [bearer for bearer in modem.bearers if bearer.connection_error and not bearer.connected]
    newest = max(failed, key=lambda bearer: age_of(bearer.path), default=None)
    return f" Its last error: {newest.connection_error.rstrip('.')}." if newest else ""
