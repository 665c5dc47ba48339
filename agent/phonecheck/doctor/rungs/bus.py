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
            return idle("there is none, and this link needs none")
        return failed(error, "" if moved else "systemctl start dbus", moved=moved)
    return well("answers, where DBUS_SYSTEM_BUS_ADDRESS says" if moved else "answers", moved=moved)


RUNG = Rung("bus", "System bus", look)
