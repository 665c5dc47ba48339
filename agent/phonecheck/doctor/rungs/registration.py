"""Does a network serve the modem, and may it be used where it is?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Fact, Finding, Rung, failed, idle, unseen, well
from phonecheck.doctor.ports.modem import Sight
from phonecheck.model import Modem, ModemState, Registration


def look(device: Device, deadline: Deadline) -> Finding:
    """The registration and its operator; where anything may be sent, it is waited for as ``verify`` does."""
    sight = device.modems.sight(_registered, deadline)
    if sight is None:
        return idle("the link is none of ModemManager's")
    modem, error = sight.modem, sight.error
    roaming = modem.registration.name.startswith("ROAMING")
    facts: dict[str, Fact] = {
        "registration": modem.registration.word,
        "operator": modem.operator_name,
        "operator_code": modem.operator_code,
        "roaming": roaming,
        "packet_service": modem.packet_service.word,
    }
    if error is not None and (error.code == "not-registered" or _kept_from_roaming(sight, device, roaming=roaming)):
        searching = modem.registration is Registration.SEARCHING
        return failed(error, "phonecheck monitor" if searching else f"mmcli -m {modem.path}", **facts)
    if modem.state < ModemState.REGISTERED:
        return unseen(f"the modem is {modem.state.word}", f"mmcli -m {modem.path}", **facts)
    code = f"({modem.operator_code})" if modem.operator_code else ""
    operator = " ".join(word for word in (modem.operator_name, code) if word)
    return well(", ".join(word for word in (modem.registration.word, operator) if word), **facts)


def _registered(modem: Modem) -> bool:
    return modem.state >= ModemState.REGISTERED


def _kept_from_roaming(sight: Sight, device: Device, *, roaming: bool) -> bool:
    """Whether nothing but the setting keeps the modem from being connected abroad."""
    choice = device.settings.modem
    refused = sight.error is not None and sight.error.code == "not-connected"
    asked = choice.connect == "auto" and sight.modem.state is ModemState.REGISTERED
    up = any(bearer.connected for bearer in sight.modem.bearers)
    return roaming and refused and asked and not choice.roaming and not up


RUNG = Rung("registration", "Registration", look, needs=("sim",))
