"""Is the signal such that an exchange gets through?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well
from phonecheck.errors import BearerError
from phonecheck.model import Modem

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
    if modem.signal is None:
        return unseen("the modem has not measured it yet", f"mmcli -m {modem.path} --signal-get", **facts)
    if modem.signal < LEAST:
        error = BearerError("weak-signal", f"The signal is at {modem.signal} %: exchanges get lost below {LEAST} %.")
        return failed(error, "phonecheck monitor", **facts)
    return well(f"{modem.signal} %{f', {technology}' if technology else ''}", **facts)


def _measured(modem: Modem) -> bool:
    return modem.signal is not None


RUNG = Rung("signal", "Signal", look, needs=("registration",))
