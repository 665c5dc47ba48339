"""The JSON of an outcome and of a modem, as `--json` prints it and the app server's report carries it: redacted, additive.

Schema 1 is docs/json.md's; keys are never renamed or removed, only added.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from phonecheck import redact
from phonecheck.errors import AgentError
from phonecheck.model import Bearer, Hop, IpConfig, Link, Modem, Outcome

if TYPE_CHECKING:
    from phonecheck.doctor.model import Diagnosis

SCHEMA = 1
_HEX_ID = re.compile(r"(?=.*[A-Fa-f])[0-9A-Fa-f]{8,}(?:-[0-9A-Fa-f]{4,})*")


def of_outcome(outcome: Outcome) -> dict[str, Any]:
    """The object of `verify` and `open`."""
    return {
        "schema": SCHEMA,
        "outcome": outcome.word,
        "match": outcome.match,
        "check_id": outcome.check_id,
        "phone_number": str(outcome.number) if outcome.number else None,
        "modem": _summary(outcome.modem) if outcome.modem else None,
        "link": _link(outcome.link, outcome.hops) if outcome.link else None,
        "hops": [_hop(hop) for hop in outcome.hops],
        "http_status": outcome.http_status,
        "ms": _ms(outcome.ms),
        "error": of_error(outcome.error) if outcome.error else None,
    }


def of_error(error: AgentError) -> dict[str, Any]:
    """The object of a failure."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
        "exit_status": int(error.exit_status),
    }


def of_failure(error: AgentError) -> dict[str, Any]:
    """The whole answer of a command that failed before it had anything to show."""
    return {"schema": SCHEMA, "error": of_error(error)}


def of_link(link: Link, lacks: tuple[str, ...], ours: tuple[str, ...], error: AgentError | None) -> dict[str, Any]:
    """The object of `link show`."""
    return {
        "schema": SCHEMA,
        "link": {
            "interface": link.interface,
            "addresses": [str(address) for address in link.addresses],
            "gateways": [str(gateway) for gateway in link.gateways],
            "dns": [str(server) for server in link.dns],
            "mtu": link.mtu,
        },
        "lacks": list(lacks),
        "ours": list(ours),
        "error": of_error(error) if error else None,
    }


def of_diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    """The object of `doctor`; ``error`` is that of the cause."""
    cause = diagnosis.cause
    return {
        "schema": SCHEMA,
        "well": cause is None,
        "cause": cause.rung.slug if cause else None,
        "ms": _ms(diagnosis.ms),
        "traffic": diagnosis.traffic,
        "rungs": [
            {
                "slug": reading.rung.slug,
                "title": reading.rung.title,
                "state": reading.state,
                "words": redact.text(reading.words),
                "because": reading.because or None,
                "command": redact.text(reading.command) or None,
                "ms": _ms(reading.ms),
                "facts": dict(reading.facts),
                "error": of_error(reading.error) if reading.error else None,
            }
            for reading in diagnosis.readings
        ],
        "error": of_error(cause.error) if cause and cause.error else None,
    }


def of_modem(modem: Modem) -> dict[str, Any]:
    """The object of `modem show`, and of each of `modem list`."""
    return {
        **_summary(modem),
        "device": modem.device,
        "manufacturer": modem.manufacturer,
        "model": modem.model,
        "imei": str(modem.imei) if modem.imei else None,
        "state": modem.state.word,
        "failed_reason": modem.failed_reason.word,
        "lock": modem.lock.word,
        "retries": {lock.word: left for lock, left in modem.retries},
        "packet_service": modem.packet_service.word,
        "own_numbers": [str(number) for number in modem.own_numbers],
        "sim": {
            "iccid": str(modem.sim.iccid) if modem.sim.iccid else None,
            "imsi": str(modem.sim.imsi) if modem.sim.imsi else None,
            "operator": modem.sim.operator_name,
            "operator_code": modem.sim.operator_code,
        }
        if modem.sim
        else None,
        "bearers": [_bearer(bearer) for bearer in modem.bearers],
    }


def _summary(modem: Modem) -> dict[str, Any]:
    return {
        "id": modem.id,
        "operator": modem.operator_name,
        "operator_code": modem.operator_code,
        "registration": modem.registration.word,
        "technology": modem.technologies[-1] if modem.technologies else None,
        "signal": modem.signal,
    }


def _bearer(bearer: Bearer) -> dict[str, Any]:
    return {
        "interface": bearer.interface or None,
        "connected": bearer.connected,
        "suspended": bearer.suspended,
        "default": bearer.default,
        "apn": bearer.apn or None,
        "ip4": _ip(bearer.ip4),
        "ip6": _ip(bearer.ip6),
        "connection_error": redact.text(bearer.connection_error) or None,
    }


def _ip(config: IpConfig | None) -> dict[str, Any] | None:
    if config is None:
        return None
    return {
        "method": config.method.word,
        "address": str(config.address) if config.address else None,
        "gateway": str(config.gateway) if config.gateway else None,
        "dns": [str(server) for server in config.dns],
        "mtu": config.mtu,
    }


def _link(link: Link, hops: tuple[Hop, ...]) -> dict[str, Any]:
    # The evidence of the first connection says which family and address the chain left by; before one, the plan does.
    path = next((hop.path for hop in hops if hop.path), None)
    planned = link.addresses[0] if link.addresses else None
    return {
        "interface": link.interface,
        "family": path.family if path else planned.version if planned else None,
        "source": str(path.source if path else planned.ip if planned else "") or None,
        "dns": [str(server) for server in link.dns],
    }


def _hop(hop: Hop) -> dict[str, Any]:
    timings = {
        "dns": hop.timings.dns,
        "connect": hop.timings.connect,
        "tls": hop.timings.tls,
        "first_byte": hop.timings.first_byte,
        "total": hop.timings.total,
    }
    return {
        "n": hop.n,
        "url": redact.url(hop.url),
        "status": hop.status,
        "peer": str(hop.path.peer) if hop.path else None,
        "bound_to": hop.path.bound_to if hop.path else None,
        "source": str(hop.path.source) if hop.path else None,
        "dns_server": str(hop.dns_server) if hop.dns_server else None,
        "cleartext": hop.cleartext,
        "reused": hop.reused,
        "tls": hop.tls_version,
        "trace_ids": {name: _trace_id(value) for name, value in hop.trace_ids},
        "ms": {name: _ms(value) for name, value in timings.items() if value is not None},
    }


def _trace_id(value: str) -> str:
    """Whole where it is hexadecimal, as most are: cut, it would be of no use to the operator's support."""
    return value if _HEX_ID.fullmatch(value) and not value.isdigit() else redact.text(value)


def _ms(value: float) -> float:
    return round(value, 1)
