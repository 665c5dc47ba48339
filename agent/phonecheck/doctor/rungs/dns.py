"""Do the link's DNS servers know the platform?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from ipaddress import ip_address

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Fact, Finding, Rung, failed, idle, well
from phonecheck.doctor.ports.network import Said
from phonecheck.errors import AgentError, LinkError
from phonecheck.model import Link

_PATIENCE = "1.5 s"
"""What a check waits for a silent server before it asks the next one (link/resolve.py)."""
_WORDS = {"silent": "is silent", "failed": "answers with an error", "unknown": "does not know it"}


def look(device: Device, deadline: Deadline) -> Finding:
    """Each of them, asked at once; a check is served by the first that speaks."""
    host = device.network.host
    if _is_address(host):
        return idle(f"the platform is an address, {host}")
    said = device.network.ask_servers(deadline)
    facts = _facts(said)
    first = next((s for s in said if s.kind in ("addresses", "unknown")), None)
    if first is not None and first.kind == "addresses":
        return well(_words(said), **facts)
    shown = redact.text(host)
    error: AgentError
    if first is None:
        what = ", ".join(f"{s.server} {_WORDS[s.kind]}" for s in said)
        error = LinkError("resolver-silent", f"None of the link's DNS servers tells the address of {shown}: {what}.")
    else:
        knowing = next((s.server for s in said if s.kind == "addresses"), None)
        message = f"The link's DNS server {first.server} says that there is no address of {shown}."
        hint = f"{knowing} knows it: name that one alone, with --dns {knowing} or link.dns." if knowing else None
        error = LinkError("name-not-found", message, hint=hint)
    return failed(error, _dig(device.links.prepared(deadline), first or said[0], host), **facts)


def _words(said: Sequence[Said]) -> str:
    answered = ", ".join(
        f"{s.server}{'' if s.ms is None else f' in {s.ms:.0f} ms'}" for s in said if s.kind == "addresses"
    )
    others = "".join(f"; {s.server} {_WORDS[s.kind]}" for s in said if s.kind != "addresses")
    # One of the other family is asked sooner (link/servers.py), and hardly anybody waits.
    waited_for = said[0].kind == "silent" and len({s.server.version for s in said}) == 1
    slow = f", which costs a check {_PATIENCE}" if waited_for else ""
    return f"{answered}{others}{slow}"


def _facts(said: Sequence[Said]) -> dict[str, Fact]:
    times = [s.ms for s in said if s.kind == "addresses" and s.ms is not None]
    return {
        "servers": [str(s.server) for s in said],
        "answered": [str(s.server) for s in said if s.kind == "addresses"],
        "silent": [str(s.server) for s in said if s.kind == "silent"],
        "addresses": list(dict.fromkeys(str(a) for s in said for a in s.addresses)),
        "fastest_ms": round(min(times), 1) if times else None,
    }


def _dig(link: Link, said: Said, host: str) -> str:
    source = next((f"-b {a.ip} " for a in link.addresses if a.version == said.server.version), "")
    return f"dig @{said.server} {source}{shlex.quote(host)}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


RUNG = Rung("dns", "Name servers", look, needs=("rp-filter", "kernel"), explained_by=("signal",), traffic=500)
