"""Whose address has the device over the modem, and does PhoneCheck work with it? See docs/protocol.md, 5."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from ipaddress import ip_address

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Fact, Finding, Rung, failed, unseen, well
from phonecheck.errors import AgentError, CheckError, ServerError
from phonecheck.model import Modem

_PATH = "/coverage/v0.1/device_ip"
_NETWORK_ID = re.compile(r"[0-9]{5,6}")
_PHONE_CHECK = "PCK"


def look(device: Device, deadline: Deadline) -> Finding:
    """What the platform says of the address, asked over the link."""
    try:
        coverage = device.server.coverage(deadline)
    except AgentError:  # whatever the app server's rung made of it
        return unseen("the app server gave no coverage token to ask the platform with")
    if coverage is None:
        why = "is busy, and gave" if device.server.reach(deadline).busy else "hands out"
        return unseen(f"the app server {why} no coverage token to ask the platform with")
    answer = device.network.get(coverage.url, coverage.token, deadline)
    if answer.status != 200:
        line = _by_hand(coverage.url, device.links.prepared(deadline).interface) if answer.status in (400, 412) else ""
        return failed(_refused(answer.status), line, http_status=answer.status)
    return _judged(answer.body, device.modems.ready(deadline))


def _judged(body: Mapping[str, object], modem: Modem | None) -> Finding:
    id_, products = _network_id(body.get("network_id")), _products(body.get("products"))
    if not id_ and products is None:
        message = "The platform, asked whose address this is, answered with something else."
        return failed(CheckError("platform-error", message, hint="Check what url the app server hands out."))
    operator = " ".join(filter(None, (_name(body.get("network_name")), f"({id_})" if id_ else ""))) or "an operator"
    address = _address(body.get("mobile_data_ip"))
    covered = None if products is None else _PHONE_CHECK in products
    same = _same(modem, {id_, *_aliases(body.get("network_aliases"))}) if id_ else None
    facts: dict[str, Fact] = {
        "operator": _name(body.get("network_name")) or None,
        "network_id": id_ or None,
        "mobile_data_ip": address or None,
        "covered": covered,
        "operator_matches": same,
    }
    if covered is False:
        message = f"The platform knows the operator, {operator}, and has no PhoneCheck with it."
        return failed(CheckError("operator-unsupported", message), "", **facts)
    words = [operator, f"PhoneCheck covered: {'yes' if covered else 'not said'}"]
    words += [f"seen as {address}"] if address else []
    # A virtual operator's address, or a roaming SIM's, is another network's: no fault.
    words += [f"the modem is with {modem.operator_code}"] if same is False and modem and modem.operator_code else []
    return well(", ".join(words), **facts)


def _refused(status: int) -> AgentError:
    if status == 412:
        sentence = "The platform saw the request come from an address that is no mobile operator's."
        return CheckError("not-mobile-ip", sentence)
    if status == 400:
        return CheckError("operator-unsupported", "The platform does not support this mobile operator.")
    if status in (401, 403):
        sentence = f"The platform refuses the coverage token that the app server gave: {status}."
        hint = "Check at the app server that its project's credentials have the scope coverage, and its clock."
        return ServerError("server-rejected", sentence, hint=hint)
    if status == 429:
        return CheckError("rate-limited", "The platform answers no more questions about addresses at the moment.")
    return CheckError("platform-error", f"The platform, asked whose address this is, answered {status}.")


def _same(modem: Modem | None, known: set[str]) -> bool | None:
    """Whether the modem's or the SIM's own operator is one of these; None where neither is known."""
    codes = {modem.operator_code, modem.sim.operator_code if modem.sim else ""} - {""} if modem else set()
    return bool(codes & known) if codes else None


def _network_id(value: object) -> str:
    return value if isinstance(value, str) and _NETWORK_ID.fullmatch(value) else ""


def _aliases(value: object) -> set[str]:
    return {_network_id(each) for each in value} - {""} if isinstance(value, list) else set()


def _name(value: object) -> str:
    shown = "".join(c for c in value[:200] if c.isprintable()) if isinstance(value, str) else ""
    return redact.text(shown)[:40].strip()


def _address(value: object) -> str:
    try:
        return str(ip_address(value)) if isinstance(value, str) and "%" not in value else ""
    except ValueError:
        return ""


def _products(value: object) -> set[str] | None:
    """The ids of the products that work here; None where that is not said."""
    if not isinstance(value, list):
        return None
    return {str(each.get("product_id")) for each in value if isinstance(each, dict)}


def _by_hand(url: str, interface: str) -> str:
    """A line that asks the platform's older route, which takes no token."""
    base, path, rest = url.partition(_PATH)
    return shlex.join(["curl", "-i", "--interface", interface, f"{base}/public{path}"]) if path and not rest else ""


RUNG = Rung("mobile-address", "Mobile address", look, needs=("tls", "server"), explained_by=("signal",), traffic=6000)
