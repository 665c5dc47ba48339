"""Would the kernel let the answers in?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well

_STRICT = 1


def look(device: Device, deadline: Deadline) -> Finding:
    """What the reverse path filter does with them; IPv6 has none."""
    survey = device.links.survey(deadline)
    if survey is None:
        return unseen("there is no link until the modem is connected")
    mode = {0: "off", 1: "strict", 2: "loose"}.get(survey.filter, str(survey.filter))
    obstacle = device.links.obstacle(deadline)
    if obstacle is not None and survey.owner(obstacle) == "rp-filter":
        name = survey.link.interface.replace(".", "/")  # sysctl reads a dot in a name as its own separator
        loosen = f"sysctl -w net.ipv4.conf.{name}.rp_filter=2"
        return failed(obstacle, loosen if survey.filter == _STRICT else " && ".join(survey.lacks), mode=mode)
    if survey.link.addresses and 4 not in survey.link.families:
        return idle("IPv6 has no such filter", mode=mode)
    if survey.filter == _STRICT and survey.mended:
        return well("strict; a rule for the link's address lets the answers in during the exchange", mode=mode)
    return well(f"{mode}: answers are let in", mode=mode)


RUNG = Rung("rp-filter", "Reverse path filter", look, needs=("route",))
