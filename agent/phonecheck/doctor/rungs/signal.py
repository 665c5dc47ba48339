"""Is the signal such that an exchange gets through?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well
from phonecheck.errors import BearerError
from phonecheck.model import Modem, ModemState

LEAST = 10
"""Per cent, as ModemManager reckons it; by the scale of AT+CSQ (3GPP TS 27.007, 8.5) some -107 dBm, the edge of a cell."""


def look(device: Device, deadline: Deadline) -> Finding:
    """Quality and technology."""
    sight = device.modems.sight(_measured, deadline)
    if sight is None:
        return idle("the link is none of ModemManager's")
    modem = sight.modem
    technology = modem.technologies[-1] if modem.technologies else None
    facts = {"signal": modem.signal, "technology": technology}
    if modem.state < ModemState.REGISTERED:
        return unseen(f"the modem is {modem.state.word}", f"mmcli -m {modem.path}", **facts)
    if not modem.signal and (modem.signal is None or _woken(device)):
        return unseen("the modem has not measured it yet", f"mmcli -m {modem.path}", **facts)
    if modem.signal < LEAST:
        error = BearerError("weak-signal", f"The signal is {modem.signal} %: below {LEAST} % packets get lost.")
        return failed(error, "phonecheck monitor", **facts)
    return well(f"{modem.signal} %{f', {technology}' if technology else ''}", **facts)


def _measured(modem: Modem) -> bool:
    return modem.state >= ModemState.REGISTERED and bool(modem.signal)


def _woken(device: Device) -> bool:
    """Whether the modem was found without a network: until it has measured, ModemManager 1.20 shows 0 %, and as recent."""
    found = device.modems.modem()
    return found is None or found.state < ModemState.REGISTERED


RUNG = Rung("signal", "Signal", look, needs=("registration",))
