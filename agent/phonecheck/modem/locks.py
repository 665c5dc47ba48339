"""What a locked modem wants, and whether a PIN may be sent: a wrong one too many blocks the SIM."""

from __future__ import annotations

import re

from phonecheck.errors import ConfigError, SimError
from phonecheck.model import Lock, Modem
from phonecheck.redact import Secret

LEAST_TRIES = 2
"""Tries that must be left for a PIN to be sent unasked: the last one is a person's."""

# 3GPP TS 31.101, 9.5.1: four to eight decimal digits.
_PIN = re.compile(r"[0-9]{4,8}", re.ASCII)


def parse_pin(text: str) -> Secret:
    """A PIN that can be one; white space around it is left out.

    Raises:
        ConfigError: bad-setting. The message does not repeat the text, which may be the PIN with a slip.
    """
    if not _PIN.fullmatch(stripped := text.strip()):
        raise ConfigError(
            "bad-setting",
            "The PIN is not four to eight digits, so it was not tried.",
            hint="Give the SIM's PIN alone, without quotes or other signs.",
        )
    return Secret(stripped)


def tries_left(modem: Modem) -> int | None:
    """How many more tries the lock allows; None where the modem does not tell."""
    return dict(modem.retries).get(modem.lock)


def refusal_to_send(modem: Modem) -> SimError | None:
    """Why the configured PIN may not be sent to this locked modem as it was just read; None where it may."""
    left = tries_left(modem)
    if modem.lock is not Lock.SIM_PIN or modem.sim is None:
        return locked(modem)
    if left is None:
        return SimError(
            "sim-locked",
            "The SIM wants its PIN, and the modem does not tell how many tries are left: the PIN was not sent.",
            hint="Unlock it by hand: phonecheck modem unlock --last-try.",
        )
    if left < LEAST_TRIES:
        return SimError(
            "sim-locked",
            f"The SIM wants its PIN, and has {_tries(left)} left: the PIN was not sent, for a wrong one would block it.",
            hint="Make sure of the PIN, then unlock it by hand: phonecheck modem unlock --last-try.",
        )
    return None


def locked(modem: Modem) -> SimError:
    """The error of a locked modem. PIN2 and PUK2 guard other things than the network, and leave the modem unlocked."""
    code = "puk-required" if modem.lock.name.endswith("PUK") else "sim-locked"
    left = tries_left(modem)
    tries = "" if left is None else f", with {_tries(left)} left"
    sim = modem.sim.path if modem.sim else "SIM"
    if modem.lock is Lock.SIM_PIN:
        return SimError(
            code,
            f"The SIM is locked: it wants its PIN{tries}.",
            hint='Unlock it: phonecheck modem unlock; or have it done, by modem.pin_file and modem.connect = "auto".',
        )
    if modem.lock is Lock.SIM_PUK:
        return SimError(
            code,
            f"The SIM is locked: it wants its PUK{tries}.",
            hint=f"Unlock it: mmcli -i {sim} --puk=PUK --pin=NEW-PIN.",
        )
    if modem.lock in (Lock.UNKNOWN, Lock.NONE):
        return SimError(code, "The modem is locked, and ModemManager does not know by what.")
    return SimError(
        code,
        f"The modem itself is locked: it wants {modem.lock.word}{tries}.",
        hint="Ask whoever sold the modem for its unlock code; this lock is not the SIM's.",
    )


def refused(modem: Modem | None) -> SimError:
    """The error of a PIN that the SIM refused, with the modem as it was read after that, or None where it went."""
    if modem is not None and modem.lock.name.endswith("PUK"):
        return locked(modem)
    left = tries_left(modem) if modem is not None and modem.lock is Lock.SIM_PIN else None
    return SimError(
        "pin-refused", f"The SIM refused the PIN{'' if left is None else f', and has {_tries(left)} left'}."
    )


def _tries(left: int) -> str:
    return f"{left} {'try' if left == 1 else 'tries'}"
