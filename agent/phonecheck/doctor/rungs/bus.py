"""Does the system bus answer?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, well
from phonecheck.errors import AgentError


def look(device: Device, deadline: Deadline) -> Finding:
    """One question to the bus itself."""
    moved = device.modems.bus_moved()
    try:
        device.modems.reach_bus(deadline)
    except AgentError as error:
        if device.settings.link.interface is not None:
            return idle("it does not answer, and this link does not need it")
        if not device.modems.bus_spoken():
            return failed(error, "apt install python3-gi python3-pydbus", moved=moved)
        return failed(error, "" if moved else "systemctl start dbus", moved=moved)
    return well("answers, where DBUS_SYSTEM_BUS_ADDRESS says" if moved else "answers", moved=moved)


RUNG = Rung("bus", "System bus", look)
