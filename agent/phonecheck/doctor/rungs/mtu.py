"""Do large packets get through? A path that loses them lets a connection come about, and no handshake."""

from __future__ import annotations

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, unseen, well
from phonecheck.doctor.ports.network import Hello
from phonecheck.errors import CheckError, LinkError

_LEAST_SECONDS, _MOST_SECONDS = 1.5, 2.5
_ROUND_TRIPS = 10
"""A handshake takes two, and one more for each packet that is lost by chance."""
_SMALL_MTU, _LEAST_MTU_6 = 576, 1280
"""What every IPv4 host takes in one piece (RFC 791, 3.1), and every IPv6 path (RFC 8200, 5) and nearly every other one."""
_HEADERS = {4: 40, 6: 60}


def look(device: Device, deadline: Deadline) -> Finding:
    """A handshake in packets of full size; where nobody answers, one in small ones tells why."""
    connected = device.network.connect(deadline)
    family = connected.path.family
    patience = min(_MOST_SECONDS, max(_LEAST_SECONDS, connected.ms / 1000 * _ROUND_TRIPS))

    def shake(segment: int | None) -> Hello:
        try:
            return device.network.full_size(deadline.within(patience), segment)
        except CheckError:
            return Hello(answered=False)

    full = shake(None)
    if full.answered:
        return _well(full)
    small = shake(_SMALL_MTU - _HEADERS[family])
    # One that took as long as the large one had proves nothing: the path may be that slow.
    if not small.answered or small.ms > patience * 1000 / 2:
        return unseen("no handshake was answered in time, in large packets or small ones", segment=None)
    # A bad radio loses packets of every size: what is lost by chance is not lost twice.
    again = shake(None)
    if again.answered:
        return _well(again, ", though one was lost")
    mtu = None if family == 6 else _SMALL_MTU
    if shake(_LEAST_MTU_6 - _HEADERS[family]).answered:
        mtu = _LEAST_MTU_6
    interface, host = device.links.prepared(deadline).interface, redact.text(device.network.host)
    which = {"sent": f" to {host}", "received": f" from {host}"}.get(full.stuck, "")
    message = f"Large packets{which} are lost on the way over {interface}, and nobody says so; small ones get through."
    command = f"ip link set {interface} mtu {mtu}" if mtu else ""
    hint = f"Give the link a smaller MTU, with which it works: {command}" if mtu else "Report it to the operator."
    error = LinkError("large-packets-lost", message, hint=hint)
    return failed(error, command, segment=full.segment, lost=full.stuck or None, working_mtu=mtu)


def _well(hello: Hello, more: str = "") -> Finding:
    return well(f"segments of {hello.segment} octets get through{more}", segment=hello.segment)


RUNG = Rung("mtu", "Large packets", look, needs=("platform",), explained_by=("captive", "signal"), traffic=8000)
