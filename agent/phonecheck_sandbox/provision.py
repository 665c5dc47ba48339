"""What a machine needs before ``phonecheck-sandbox here`` makes it the device: settings, credential, trust."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from phonecheck_sandbox import here, pki, world

CA = Path("usr/local/share/ca-certificates/phonecheck-sandbox.crt")
"""Where Debian's update-ca-certificates takes the owner's authorities from."""
SETTINGS = Path("etc/phonecheck/agent.toml")
TOKEN = Path("etc/credstore/phonecheck.server-token")


def provision(root: Path) -> None:
    """Write it all below a root directory, over what is there; update-ca-certificates is still to be run.

    Raises:
        OSError: a directory or a file cannot be written.
    """
    certificates = pki.ready(root / here.STATE.relative_to("/"))
    for place in (CA, SETTINGS, TOKEN):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(certificates.ca_file, root / CA)
    (root / SETTINGS).write_text(settings())
    (root / TOKEN).touch(0o600)
    (root / TOKEN).write_text(world.SERVER_TOKEN)


def settings() -> str:
    """Those of a device that brings its modem up by itself and reports what came of it."""
    sections: dict[str, dict[str, str]] = {
        "chain": {"platform": f"https://{world.PLATFORM_HOST}"},
        "server": {"url": f"https://{world.APP_SERVER_HOST}", "protocol": "v0.2", "report": world.REPORT_PATH},
        "modem": {"connect": "auto", "apn": "internet"},
    }
    # A JSON string is a TOML basic string.
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
        for name, section in sections.items()
    )
