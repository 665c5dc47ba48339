"""Is there a way out of the link?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, unseen, well

_SOMEWHERE = {4: "198.51.100.1", 6: "2001:db8::1"}
"""Documentation addresses (RFC 5737, RFC 3849): only a default route leads there."""


def look(device: Device, deadline: Deadline) -> Finding:
    """A route for each family of the link, or for one of two."""
    survey = device.links.survey(deadline)
    if survey is None:
        return unseen("there is no link until the modem is connected")
    families = survey.link.families
    routed = [f"IPv{family}" for family in families if family in survey.routed]
    without = [f"IPv{family}" for family in families if family not in survey.routed]
    obstacle = device.links.obstacle(deadline)
    if obstacle is not None and survey.owner(obstacle) == "route":
        family = next((f for f in families if f not in survey.routed), 4)
        asked = f"ip route get {_SOMEWHERE[family]} oif {survey.link.interface}"
        return failed(obstacle, " && ".join(survey.lacks) or asked, routed=routed)
    if survey.mended:
        own = "phonecheck sets up its own for the exchange"
        return well(f"{own}, as {' and '.join(without)} has none" if without else own, routed=routed)
    rest = f"; {' and '.join(without)} has none and is left out" if without else ""
    return well(f"for {' and '.join(routed) or 'the name servers'}{rest}", routed=routed)


RUNG = Rung("route", "Route", look, needs=("rules",))
