"""What a program finds on the device: settings, credential, certificates, environment, and a shell's prompt."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from phonecheck_sandbox import world
from phonecheck_sandbox.control import INSIDE
from phonecheck_sandbox.namespaces import with_system_paths

RUN = Path("/run/phonecheck-sandbox")
"""The sandbox's run directory, in the tmpfs that covers /run inside."""
LOGS = RUN / "log"
CONTROL = RUN / "control"
REPORTS = RUN / "reports.json"
"""What the app server took of the device's reports."""
BASHRC = RUN / "device" / "bashrc"

_SETTINGS = RUN / "device" / "agent.toml"
_CREDENTIALS = RUN / "device" / "credentials"
_TOKEN = _CREDENTIALS / "server-token"
_HOOKS = RUN / "device" / "hooks.d"
_STATE = RUN / "device" / "state"


def path() -> str:
    """The PATH on the device: the programs installed beside this one first."""
    return os.pathsep.join((str(Path(sys.executable).parent), with_system_paths(os.environ.get("PATH"))))


def set_up(env: dict[str, str], *, bus_address: str, ca: Path) -> dict[str, str]:
    """Write the device's files, and return the environment of a program on it.

    Args:
        env: the environment to add to.
        bus_address: where its system bus is.
        ca: the certificate of the sandbox's certification authority.
    """
    _CREDENTIALS.mkdir(parents=True, mode=0o700)
    for directory in (_HOOKS, _STATE):
        directory.mkdir(mode=0o700)
    _TOKEN.touch(0o600)
    _TOKEN.write_text(world.SERVER_TOKEN)
    _SETTINGS.write_text(_settings())
    BASHRC.write_text(_BASHRC.format(path=path()))
    return env | {
        "PATH": path(),
        "DBUS_SYSTEM_BUS_ADDRESS": bus_address,
        "PHONECHECK_CONFIG": str(_SETTINGS),
        "CREDENTIALS_DIRECTORY": str(_CREDENTIALS),
        "STATE_DIRECTORY": str(_STATE),
        "SSL_CERT_FILE": str(ca),
        "CURL_CA_BUNDLE": str(ca),
        "REQUESTS_CA_BUNDLE": str(ca),
        INSIDE: str(CONTROL),
    }


def _settings() -> str:
    sections = {
        "chain": {"platform": f"https://{world.PLATFORM_HOST}"},
        "server": {
            "url": f"https://{world.APP_SERVER_HOST}",
            "protocol": "v0.2",
            "report": world.REPORT_PATH,
            "token_file": str(_TOKEN),
        },
        # The owner of the machine's own directory is not the device's.
        "service": {"hooks": str(_HOOKS)},
    }
    # A JSON string is a TOML basic string.
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
        for name, section in sections.items()
    )


# A user's own start-up file is read first, and may set PATH and prompt.
_BASHRC = """\
[ -r ~/.bashrc ] && . ~/.bashrc
PATH={path}
PS1='(on the device) \\w \\$ '
unset PROMPT_COMMAND
"""
