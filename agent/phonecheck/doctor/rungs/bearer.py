"""Is there a data connection, or can there be one?"""

from __future__ import annotations

import shlex

from phonecheck.config import ModemChoice
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well
from phonecheck.doctor.ports.modem import Sight
from phonecheck.model import Modem


def look(device: Device, deadline: Deadline) -> Finding:
    """The bearer that ``verify`` would leave by; where anything may be sent and connected, that is done."""
    sight = device.modems.sight(_all_the_way, deadline)
    if sight is None:
        return idle("the link is none of ModemManager's")
    facts = _facts(sight)
    if sight.step == "use" and (bearer := sight.bearer) is not None:
        apn = f", APN {bearer.apn}" if bearer.apn else ""
        return well(f"connected at {bearer.interface}{apn}", **facts)
    if sight.error is not None and sight.error.code not in ("not-connected", "connect-failed"):
        return failed(sight.error, f"mmcli -m {sight.modem.path}", **facts)
    # Two who connect one modem take each other's bearer down.
    managed = device.modems.network_managers(deadline)
    command = "nmcli device" if managed else _connect(sight.modem, device.settings.modem)
    if sight.error is not None:
        return failed(sight.error, command, **facts)
    return unseen(f"not connected: the modem is {sight.modem.state.word}, and verify connects it", command, **facts)


def _all_the_way(_: Modem) -> bool:
    return False


def _facts(sight: Sight) -> dict[str, str | bool | None]:
    bearer = sight.bearer
    last = [b.connection_error for b in sight.modem.bearers if b.connection_error and not b.connected]
    return {
        "connected": bearer is not None,
        "interface": bearer.interface if bearer else None,
        "apn": bearer.apn if bearer else None,
        "ip4": bearer.ip4.method.word if bearer and bearer.ip4 else None,
        "ip6": bearer.ip6.method.word if bearer and bearer.ip6 else None,
        "last_error": last[-1] if last else None,
    }


def _connect(modem: Modem, choice: ModemChoice) -> str:
    """What connects it by hand; with the APN as it is known, else with a word in its place."""
    apn = choice.apn or next((bearer.apn for bearer in reversed(modem.bearers) if bearer.apn), "YOUR-APN")
    roaming = ",allow-roaming=yes" if choice.roaming else ""
    return f"mmcli -m {modem.path} --simple-connect={shlex.quote(f'apn={apn}{roaming}')}"


RUNG = Rung("bearer", "Data connection", look, needs=("registration", "polkit"), explained_by=("signal",))
