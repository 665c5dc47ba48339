"""Is there a SIM, and is it unlocked, or may the configured PIN unlock it?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well
from phonecheck.errors import SimError
from phonecheck.model import Lock, Modem, ModemState


def look(device: Device, deadline: Deadline) -> Finding:
    """The SIM and its lock; where anything may be sent, the configured PIN is."""
    sight = device.modems.sight(_past_the_lock, deadline)
    if sight is None:
        return idle("the link is none of ModemManager's")
    modem = sight.modem
    sim = modem.sim
    facts = {
        "iccid": str(sim.iccid) if sim and sim.iccid else None,
        "operator": sim.operator_name if sim else None,
        "lock": modem.lock.word,
        "tries_left": dict(modem.retries).get(modem.lock),
    }
    if isinstance(sight.error, SimError):
        return failed(sight.error, _cure(modem, device), **facts)
    if modem.state is ModemState.LOCKED:
        if sight.step == "unlock":
            return well("locked, and the configured PIN will be sent", **facts)
        return unseen(f"locked by {modem.lock.word}, and it could not be unlocked", f"mmcli -m {modem.path}", **facts)
    if sim is None:
        return unseen(f"none is seen yet: the modem is {modem.state.word}", f"mmcli -m {modem.path}", **facts)
    named = ", ".join(word for word in (f"ICCID {sim.iccid}" if sim.iccid else "", sim.operator_name) if word)
    return well(f"{named}, unlocked" if named else "unlocked", **facts)


def _past_the_lock(modem: Modem) -> bool:
    return modem.state not in (ModemState.UNKNOWN, ModemState.INITIALIZING, ModemState.LOCKED)


def _cure(modem: Modem, device: Device) -> str:
    if modem.lock is Lock.SIM_PUK and modem.sim is not None:
        return f"mmcli -i {modem.sim.path} --puk=PUK --pin=NEW-PIN"
    if modem.lock is Lock.SIM_PIN:
        # It asks for the PIN, where mmcli would have it in the process list. The path: an identity is not to be shown.
        which = f" {modem.device}" if device.settings.modem.id is not None and modem.device else ""
        return f"phonecheck modem unlock{which}"
    return f"mmcli -m {modem.path}"


RUNG = Rung("sim", "SIM", look, needs=("modem",))
