"""Is the chosen modem there, and does it work?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, well
from phonecheck.errors import AgentError, SimError
from phonecheck.model import ModemState


def look(device: Device, deadline: Deadline) -> Finding:
    """Which one it is and its state; a SIM that is missing is the next rung's."""
    try:
        sight = device.modems.sight(lambda _: True, deadline)
    except AgentError as error:
        return failed(error, _look_at(error, device))
    if sight is None:
        return idle("the link is none of ModemManager's")
    modem = sight.modem
    facts = {
        "path": modem.path,
        "device": modem.device,
        "manufacturer": modem.manufacturer,
        "model": modem.model,
        "imei": str(modem.imei) if modem.imei else None,
        "state": modem.state.word,
    }
    if modem.state is ModemState.FAILED and sight.error is not None and not isinstance(sight.error, SimError):
        return failed(sight.error, f"mmcli -m {modem.path} --reset", **facts)
    make = " ".join(dict.fromkeys(word for word in (modem.manufacturer, modem.model) if word)) or modem.device
    return well(", ".join(word for word in (make, modem.state.word) if word), **facts)


def _look_at(error: AgentError, device: Device) -> str:
    if error.code == "ambiguous-modem" or (error.code == "modem-not-found" and device.settings.modem.id is not None):
        return "phonecheck modem list"
    # There it says which ports it saw, and that no plugin wanted them.
    return "journalctl -b -u ModemManager" if error.code == "modem-not-found" else ""


RUNG = Rung("modem", "Modem", look, needs=("modem-manager",))
