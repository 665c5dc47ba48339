"""Do the service's reports get to the app server?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, idle, unseen, well
from phonecheck.errors import ServiceError

_SECONDS = 1.0
_FRESH = 5.0
"""Seconds from the end of a check in which its report may be under way: a process is started for it."""


def look(device: Device, deadline: Deadline) -> Finding:
    """What waits, and whether it gets less."""
    try:
        service = device.agent.read(deadline)
    except ServiceError as error:
        if error.code == "not-allowed":
            return unseen("this user may not ask the service")
        if error.code != "agent-unavailable" or device.agent.installed(deadline):
            raise
        return idle("no service, no reports")
    waiting, dropped, path = service.waiting, service.dropped, device.settings.server.report
    # Counted since the service's memory was made: what was given up long ago is no fault of today's.
    given_up = f"; {dropped} given up so far" if dropped else ""
    if not waiting and path is None:
        return idle(f"nothing is reported: server.report is not set{given_up}", waiting=0, dropped=dropped)
    if not waiting:
        return well(f"nothing waits{given_up}", waiting=0, dropped=dropped)
    age = service.last.age if service.last else None
    patience = _SECONDS if age is None else max(_SECONDS, _FRESH - age)
    left = device.agent.waiting_after(patience, deadline)
    if left < waiting:
        going = f"{left} waiting, on their way" if left else "the last was just delivered"
        return well(f"{going}{given_up}", waiting=left, dropped=dropped)
    wait = "1 report waits" if left == 1 else f"{left} reports wait"
    hint = None if path else 'Set it to the path that takes them, as server.report = "/v0.2/phone-check/report".'
    why = "" if path else ", and server.report is not set"
    stuck = ServiceError("reports-waiting", f"{wait} for the app server{why}{given_up}.", hint=hint)
    return failed(stuck, "journalctl -u phonecheck-agent -n 20", waiting=left, dropped=dropped)


RUNG = Rung("outbox", "Reports", look, needs=("service",), explained_by=("server",))
