"""The operator as the modems meet it: what it answers them, and what it does to them unasked."""

from __future__ import annotations

from collections.abc import Sequence

from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.modem.device import VirtualModem
from phonecheck_sandbox.modem.state import ORDINARY_APNS, Registration

_RSSI_STEPS = 31  # MBIM 10.5.11: ModemManager shows 0 to 31 as 0 to 100 per cent


def absent(index: int, modems: int) -> SandboxError:
    """The error for a modem that the sandbox does not have."""
    if not modems:
        return SandboxError("A HAT is no modem that this can be done to.", hint="Start a sandbox without the HAT.")
    return SandboxError(f"There is no modem {index}.", hint=f"The sandbox has {modems}, counted from 0.")


class Network:
    """The network of these modems. ModemManager knows of a change within 0.3 s."""

    def __init__(self, modems: Sequence[VirtualModem]) -> None:
        self._modems = modems

    def end_session(self, index: int = 0) -> None:
        """End the data session."""
        with self._at(index).changing() as state:
            state.session.end()

    def register(self, word: str, index: int = 0) -> None:
        """Treat the modem so: home, roaming, searching, denied or idle.

        Raises:
            ValueError: another word.
        """
        try:
            network = Registration[word.upper()]
        except KeyError:
            known = ", ".join(member.name.lower() for member in Registration)
            raise ValueError(f"There is no registration {word!r}. Known are: {known}.") from None
        with self._at(index).changing() as state:
            state.radio.network = network

    def be_heard(self, percent: float, index: int = 0) -> None:
        """Be heard so well, in per cent as ModemManager shows it, to the nearest of 32 steps."""
        with self._at(index).changing() as state:
            state.radio.rssi = round(min(max(percent, 0), 100) * _RSSI_STEPS / 100)

    def serve_only(self, apn: str, index: int = 0) -> None:
        """Serve this APN and no other; a request that names none is good for the ordinary one only."""
        self._at(index).session.apns = ORDINARY_APNS if apn in ORDINARY_APNS else frozenset({apn})

    def take(self, seconds: float, *, refusal: int = 0) -> None:
        """Take so long over every request for a session, infinity for ever, and then grant or refuse it.

        A request that it is working on is not touched.
        """
        for modem in self._modems:
            modem.session.seconds, modem.session.refusal = seconds, refusal

    def _at(self, index: int) -> VirtualModem:
        if not 0 <= index < len(self._modems):
            raise absent(index, len(self._modems))
        return self._modems[index]
