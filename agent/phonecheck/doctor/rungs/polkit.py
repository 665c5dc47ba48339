"""May this user control the modem?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well
from phonecheck.errors import AgentError, DeadlineExceeded, ModemError


def look(device: Device, deadline: Deadline) -> Finding:
    """Polkit's word, without asking a person; nothing where nothing is asked of the modem."""
    if needless := _needless(device, deadline):
        return idle(needless)
    try:
        permission = device.modems.permission(deadline)
    except DeadlineExceeded:  # whoever took the time is the cause, and has a rung of his own
        return unseen("no time was left to ask polkit")
    action = permission.action
    command = f"pkcheck --action-id {action} --process $$"
    match permission.verdict:
        case "allowed":
            return well("this user may control the modem", action=action)
        case "denied" | "password":
            after = " without a password" if permission.verdict == "password" else ""
            error = ModemError("not-authorized", f"polkit does not let this user control the modem{after}.")
            return failed(error, command, action=action)
        case "absent":
            return unseen("no polkit runs; Debian's ModemManager then refuses everybody", action=action)
    return unseen("polkit does not say", command, action=action)


def _needless(device: Device, deadline: Deadline) -> str:
    """Why no permission is needed; empty where one is."""
    if device.settings.link.interface is not None:
        return "the link is none of ModemManager's"
    if device.settings.modem.connect == "never":
        return "nothing is asked of the modem: modem.connect is never"
    try:
        sight = device.modems.sight(lambda _: True, deadline)
    except AgentError:  # that is for the modem's own rung to say
        return ""
    return "nothing is asked of the modem: it is connected" if sight is not None and sight.step == "use" else ""


RUNG = Rung("polkit", "Permission", look, needs=("bus",))
