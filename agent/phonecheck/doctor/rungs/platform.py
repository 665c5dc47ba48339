"""Can the platform be reached over the link?"""

from __future__ import annotations

import shlex

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, well
from phonecheck.errors import CheckError

_HINT = "Ask the operator whether the APN leads to the Internet: a private one, or one for MMS alone, does not."


def look(device: Device, deadline: Deadline) -> Finding:
    """A connection to its HTTPS port, and the path that it took."""
    host = redact.text(device.network.host)
    try:
        connected = device.network.connect(deadline)
    except CheckError as error:
        interface = device.links.prepared(deadline).interface
        known = {
            "hop-timeout": f"{host} does not answer over {interface}.",
            "operator-error": f"{host} refuses connections over {interface}, or somebody on the way does.",
        }
        command = shlex.join(["curl", "--interface", interface, "-v", f"https://{device.network.host}/"])
        if error.code not in known:
            return failed(error, command)
        return failed(CheckError(error.code, known[error.code], hint=_HINT), command)
    path, ms = connected.path, connected.ms
    return well(
        f"{path.peer} in {ms:.0f} ms, from {path.source} by {path.bound_to}",
        peer=str(path.peer),
        source=str(path.source),
        bound_to=path.bound_to,
        connect_ms=round(ms, 1),
    )


RUNG = Rung("platform", "Platform", look, needs=("dns",), explained_by=("captive", "signal"), traffic=300)
