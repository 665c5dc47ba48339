"""Is the modem's interface there, up, and does it have the link's address?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Fact, Finding, Rung, failed, unseen, well
from phonecheck.doctor.ports.link import Survey
from phonecheck.errors import ConfigError, LinkError


def look(device: Device, deadline: Deadline) -> Finding:
    """The interface and its addresses, or those that it will have for the time of an exchange."""
    try:
        survey = device.links.survey(deadline)
    except (LinkError, ConfigError) as error:
        return failed(error, "ip -brief address")
    if survey is None:
        return unseen("there is no link until the modem is connected")
    facts = _facts(survey)
    obstacle = device.links.obstacle(deadline)
    if obstacle is not None and survey.owner(obstacle) == "address":
        bare = survey.missing and obstacle.code == "no-route"
        by_hand = " && ".join(survey.lacks) or f"ip address show dev {survey.link.interface}"
        return failed(obstacle, by_hand if bare else f"ip link show dev {survey.link.interface}", **facts)
    return well(_words(survey), **facts)


def _words(survey: Survey) -> str:
    interface, missing = survey.link.interface, survey.missing
    present = [str(a.ip) for a in survey.link.addresses if a.ip not in missing]
    if survey.mended and not present:
        what = " and ".join(map(str, missing)) or "an address by DHCP"
        return f"{interface} has none yet and is given {what} for the exchange"
    rest = f"; {' and '.join(map(str, missing))} is not set there and is left out" if missing else ""
    mtu = f", MTU {survey.mtu}" if survey.mtu else ""
    return f"{interface} has {' and '.join(present)}{mtu}{rest}"


def _facts(survey: Survey) -> dict[str, Fact]:
    return {
        "interface": survey.link.interface,
        "up": survey.up,
        "carrier": survey.carrier,
        "mtu": survey.mtu,
        "addresses": [str(address) for address in survey.link.addresses],
        "missing": [str(address) for address in survey.missing],
        "gateways": [str(gateway) for gateway in survey.link.gateways],
        "set_up": list(survey.lacks) if survey.mended else [],
    }


RUNG = Rung("address", "Address", look, needs=("bearer",))
