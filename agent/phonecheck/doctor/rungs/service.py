"""Does the service run, is it content, and what came of its last check?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Fact, Finding, Rung, failed, idle, unseen, well
from phonecheck.doctor.ports.agent import LastCheck, Service
from phonecheck.errors import ConfigError, ServiceError

_LOG = "journalctl -u phonecheck-agent -n 20"
_STATES = {"checking": "checking now", "waiting": "waiting to try again"}


def look(device: Device, deadline: Deadline) -> Finding:
    """Its state; that its last check failed is what the rest of the ladder finds the cause of, and no failure here."""
    try:
        service = device.agent.read(deadline)
    except ServiceError as error:
        if error.code == "not-allowed":
            return unseen("this user may not ask the service")
        if error.code == "agent-unavailable" and not device.agent.installed(deadline):
            return idle("not installed: nothing is verified unattended here")
        return failed(error, "systemctl restart phonecheck-agent")
    return _judged(service, device)


def _judged(service: Service, device: Device) -> Finding:
    last = service.last
    facts: dict[str, Fact] = {
        "service_state": service.state,
        "version": service.version or None,
        "last_outcome": last.outcome if last else None,
        "last_code": (last.code or None) if last else None,
        "last_age_seconds": round(last.age) if last and last.age is not None else None,
    }
    if service.state == "unconfigured":
        if not service.problem and device.settings.server.url is None:  # the app server's rung says the same
            return idle("it runs, and waits for server.url", **facts)
        cause = service.problem or "The service knows no app server: in its configuration server.url is not set."
        return failed(ServiceError("not-configured", cause), _LOG, **facts)
    if service.problem:
        hint = f"Mend what it names, then: systemctl reload phonecheck-agent; its log says more: {_LOG}."
        return failed(ConfigError("bad-setting", service.problem, hint=hint), _LOG, **facts)
    return well(f"{_STATES.get(service.state, service.state)}; {_words(last)}", **facts)


def _words(last: LastCheck | None) -> str:
    if last is None:
        return "no check yet"
    outcome = {"no_match": "no match"}.get(last.outcome, last.outcome)
    code = f" ({last.code})" if last.code else ""
    return f"last: {outcome}{code}{'' if last.age is None else f', {_ago(last.age)}'}"


def _ago(seconds: float) -> str:
    for unit, length, upto in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < length * upto:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} d ago"


RUNG = Rung("service", "Service", look, needs=("bus",))
