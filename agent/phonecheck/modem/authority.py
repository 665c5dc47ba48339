"""Polkit, asked beforehand what it will say when ModemManager or NetworkManager asks it about us.

https://www.freedesktop.org/software/polkit/docs/latest/eggdbus-interface-org.freedesktop.PolicyKit1.Authority.html
"""

from __future__ import annotations

from typing import Literal, Protocol

from phonecheck.errors import ModemError
from phonecheck.modem import faults, names
from phonecheck.modem.caller import Caller

CONTROL = "org.freedesktop.ModemManager1.Device.Control"
"""What ModemManager asks for before it unlocks, enables or connects a modem."""
NETWORK_CONTROL = "org.freedesktop.NetworkManager.network-control"
"""What NetworkManager asks for before it activates a connection."""

Verdict = Literal["allowed", "denied", "password", "absent", "untold"]

_PATH = "/org/freedesktop/PolicyKit1/Authority"
_INTERFACE = f"{names.POLKIT}.Authority"
_NO_PERSON = 0


class Bus(Caller, Protocol):
    """What is needed of the bus; :class:`~phonecheck.modem.bus.ModemBus` is the real one."""

    def own_name(self, timeout: float) -> str:
        """Our own name on it."""


def verdict(bus: Bus, action: str, timeout: float) -> Verdict:
    """Whether this process may do that, as polkit says without asking a person; timeout in seconds.

    ``password``: a person would have to give one. ``absent``: no polkit runs, nor can the bus start one. ``untold``: it
    does not know the action, does not tell us, or does not answer.

    Raises:
        ModemError: modem-manager-unavailable, the bus cannot be reached.
    """
    # By the name on the bus, as those do who will ask. Anybody may ask about himself.
    subject = ("system-bus-name", {"name": ("s", bus.own_name(timeout))})
    try:
        ((allowed, challenge, _),) = bus.call(
            *(_PATH, _INTERFACE, "CheckAuthorization", timeout),
            *("((sa{sv})sa{ss}us)", (subject, action, {}, _NO_PERSON, "")),
            reply="((bba{ss}))",
            service=names.POLKIT,
            start=True,
        )
    except faults.NotRunning:
        return "absent"
    except ModemError:
        return "untold"
    return "allowed" if allowed else "password" if challenge else "denied"
