"""Does ModemManager run?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, well
from phonecheck.errors import AgentError, ModemError


def look(device: Device, deadline: Deadline) -> Finding:
    """Its version."""
    if device.settings.link.interface is not None:
        return idle("the link is none of ModemManager's")
    try:
        version = device.modems.version(deadline)
    except AgentError as error:
        if error.code != "modem-manager-unavailable":
            raise
        if not device.modems.installed():
            missing = ModemError(
                error.code, "ModemManager is not installed.", hint="Install it: apt install modemmanager."
            )
            return failed(missing, "apt install modemmanager")
        return failed(error, f"systemctl {'restart' if _runs(device, deadline) else 'start'} ModemManager")
    return well(f"ModemManager {version}".rstrip(), version=version or None)


def _runs(device: Device, deadline: Deadline) -> bool:
    try:
        return device.modems.running(deadline)
    except AgentError:  # no time is left: so it was there, and took it
        return True


RUNG = Rung("modem-manager", "ModemManager", look, needs=("bus",))
