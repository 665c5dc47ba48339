"""Is the app server there, and does it take this device? No check is created for it."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from phonecheck import config
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Fact, Finding, Rung, failed, idle, unseen, well
from phonecheck.errors import AgentError, ConfigError, LinkError, ServerError

# What verify asks by (docs/app-server.md).
_FINISH = {"v0.1": "/v0.1/phone-check", "v0.2": "/v0.2/phone-check/exchange-code"}
_AS_SERVICE = (
    "sudo systemd-run -q --pipe --wait -p LoadCredential=server-token\\:phonecheck.server-token phonecheck doctor"
)
"""The packaged service has its token from systemd's credential store (docs/service.md), and a shell has not.

The shell takes the backslash away. Without it, redaction takes what follows ``token:`` for one, in ``--json`` and in a
report.
"""
_NOBODYS = "00000000-0000-0000-0000-000000000000"


def look(device: Device, deadline: Deadline) -> Finding:
    """Reached by the way that ``verify`` will take, and the credential accepted."""
    server = device.settings.server
    if server.url is None:
        hint = "Give --server https://HOST, or set server.url in the configuration."
        raise ConfigError("bad-setting", "No app server is configured.", hint=hint)
    if device.server.credential() == "withheld":
        return unseen("this user may not read the device's credential", "sudo phonecheck doctor")
    interface = ""
    if server.over == "modem":
        if not device.traffic:
            return idle("not asked: it is reached over the modem, and that costs traffic")
        try:
            interface = device.links.prepared(deadline).interface
        except AgentError as error:  # another rung's
            return unseen(f"it is reached over the modem, and there is no link: {error.message}")
    return _asked(device, server, urlsplit(server.url).netloc, interface, deadline)


def _asked(device: Device, server: config.Server, host: str, interface: str, deadline: Deadline) -> Finding:
    facts: dict[str, Fact] = {"host": host, "over": server.over}
    try:
        reached = device.server.reach(deadline)
    except ServerError as error:
        if (
            error.code == "server-rejected"
            and device.server.credential() == "none"
            and device.agent.installed(deadline)
        ):
            return unseen(
                "asked without a credential; the service's own is read by systemd alone", _AS_SERVICE, **facts
            )
        return failed(error, by_hand(server, interface), **facts)
    except LinkError as error:
        if error.code == "name-not-found":  # no other rung asks for this name
            raise
        return unseen(f"it is reached over the modem: {error.message}", "", **facts)
    facts |= {"asked": reached.asked, "http_status": reached.status, "coverage_token": reached.coverage is not None}
    if reached.busy:
        return well(f"{host} is there, and busy (429)", **facts)
    also = "" if reached.coverage else "; hands out no coverage token"
    return well(f"{host} takes this device{also}", **facts)


def by_hand(server: config.Server, interface: str = "") -> str:
    """A line that asks for the result of no check, as the doctor does; the token is in no process list."""
    words = ["curl", "-i", *(["--interface", interface] if interface else [])]
    for option, file in (("--cacert", server.ca_file), ("--cert", server.client_cert), ("--key", server.client_key)):
        if file is not None:
            words += [option, str(file)]
    base, path = (server.url or "").rstrip("/"), server.finish or _FINISH[server.protocol]
    if server.protocol == "v0.1":
        asked = [f"{base}{path}{'&' if '?' in path else '?'}check_id={_NOBODYS}"]
    else:
        asked = ["--json", f'{{"check_id": "{_NOBODYS}", "code": "none"}}', base + path]
    if server.token_file is None:
        return shlex.join([*words, *asked])
    # As curl's own setting (curl(1), --config): of a header with a token, redaction would leave no line to try.
    token = shlex.join(["cat", str(server.token_file)])
    return f"{{ printf oauth2-bearer=; {token}; }} | {shlex.join([*words, '-K', '-', *asked])}"


RUNG = Rung("server", "App server", look, explained_by=("clock",))
