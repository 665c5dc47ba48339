"""What a modem lacks, in words: the error of each rung of the ladder in ready.py, locks aside."""

from __future__ import annotations

from phonecheck.errors import BearerError, ModemError, SimError
from phonecheck.model import FailedReason, Modem, ModemState, Registration
from phonecheck.modem.parse import age_of


def failed(reason: FailedReason) -> ModemError:
    """The error of a modem that ModemManager has given up."""
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


def sim(modem: Modem) -> ModemError | None:
    """The error of a modem without a SIM, once it has been looked for, or of one that ModemManager has given up."""
    if modem.state is ModemState.FAILED:
        return failed(modem.failed_reason)
    if modem.sim is None and ModemState.DISABLED <= modem.state < ModemState.CONNECTED:
        return SimError("sim-missing", "The modem has no SIM.")
    return None


def bearer(modem: Modem) -> BearerError:
    """The error of a modem with no bearer that could be used."""
    state, registration = modem.state.word, modem.registration.word
    if modem.registration is Registration.DENIED:
        return BearerError(
            "not-registered",
            f"The network refuses the modem: it is {state}, its registration denied.",
            hint="Ask the operator whether the subscription is active, and whether it may roam where you are.",
        )
    if modem.state is ModemState.DISABLED:
        return BearerError("not-connected", f"The modem is disabled and has no bearer connected.{last_error(modem)}")
    if not registered(modem):
        at = "" if state == registration else f", its registration {registration}"
        return BearerError("not-registered", f"The modem is {state}{at}.")
    if any(b.connected and b.suspended for b in modem.bearers):
        return BearerError(
            "not-connected",
            "The modem's bearer is suspended, as it is during a voice call.",
            hint="Try again when the call is over.",
        )
    if any(b.connected and not b.interface for b in modem.bearers):
        return BearerError("not-connected", "The modem's bearer is connected, but has no network interface.")
    return BearerError(
        "not-connected",
        f"The modem is {state}, its registration {registration}, and no bearer is connected.{last_error(modem)}",
    )


def registered(modem: Modem) -> bool:
    """Whether the network serves the modem data. A modem without 3GPP knows no registration."""
    return modem.state >= ModemState.REGISTERED and (
        modem.registration.registered or modem.registration is Registration.UNKNOWN
    )


def last_error(modem: Modem) -> str:
    """What ModemManager says of the newest bearer that failed; already redacted by whoever read it."""
    failed = [b for b in modem.bearers if b.connection_error and not b.connected]
    newest = max(failed, key=lambda b: age_of(b.path), default=None)
    return f" Its last error: {newest.connection_error.rstrip('.')}." if newest else ""
