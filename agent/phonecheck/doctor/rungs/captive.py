"""Is the way to the Internet free: no portal that answers in the platform's place, and no APN that lets nothing out?"""

from __future__ import annotations

import shlex

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, well
from phonecheck.errors import CheckError, LinkError

_NETWORK_AUTHENTICATION_REQUIRED = 511
"""RFC 6585, 6."""


def look(device: Device, deadline: Deadline) -> Finding:
    """Who answers without protection; where that is doubtful, the platform's certificate tells."""
    host = device.network.host
    answer = device.network.plain(deadline)
    if answer is None:
        return _let_out(device, deadline)
    elsewhere = answer.elsewhere if not _related(answer.elsewhere, host) else ""
    if answer.status != _NETWORK_AUTHENTICATION_REQUIRED:
        if not (elsewhere or 200 <= answer.status < 300):
            return well(f"port 80 answers {answer.status}, as the platform may", status=answer.status)
        # Platforms answer so too. But theirs is the certificate, whatever a wrong clock makes of its dates.
        secure = device.network.secure(deadline)
        if secure.fault is None or secure.of_dates:
            return well(f"port 80 answers {answer.status}; the certificate is the platform's", status=answer.status)
    what = f"leads to {redact.text(elsewhere)}" if elsewhere else f"is answered with {answer.status}"
    error = LinkError(
        "captive-network", f"Somebody else answers in place of {redact.text(host)}: http://{host}/ {what}."
    )
    link = device.links.prepared(deadline)
    command = shlex.join(["curl", "--interface", link.interface, "-v", f"http://{host}/"])
    return failed(error, command, status=answer.status, leads_to=redact.text(elsewhere) or None)


def _let_out(device: Device, deadline: Deadline) -> Finding:
    """Names are told, and nobody answers: where another host is silent too, it is the APN and not the platform."""
    try:
        device.network.connect(deadline)
    except CheckError as error:
        if error.code == "hop-timeout" and device.network.lets_others(deadline) is False:
            interface = device.links.prepared(deadline).interface
            filtered = LinkError(
                "captive-network", f"Names are told over {interface}, and no host answers: it is filtered."
            )
            command = shlex.join(["curl", "--interface", interface, "-v", f"https://{device.network.host}/"])
            return failed(filtered, command, status=None)
    return well("nobody answers port 80, and nobody need to", status=None)


def _related(other: str, host: str) -> bool:
    """Whether a redirect stays in the family: the same host, or one of the same last two labels."""
    return not other or other.split(".")[-2:] == host.split(".")[-2:]


RUNG = Rung("captive", "Open network", look, needs=("dns",), explained_by=("signal",), traffic=2000)
