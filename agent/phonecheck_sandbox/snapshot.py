"""What the device's network is configured as, as one value: two that are equal mean that nothing was left behind.

Only what somebody configures is in it. Neighbours, counters, lifetimes and the kernel's own link-local addresses, which
are others after each replugging, are not.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import NETNS
from phonecheck_sandbox.netlink import versions

_LINK_LOCAL = "fe80:"
_PASSING = ("valid_life_time", "preferred_life_time", "expires", "used")


def take() -> dict[str, Any]:
    """Rules and routes of all tables by family, and links with their addresses; see ip-rule(8) and ip-route(8).

    Raises:
        SandboxError: ip failed.
    """
    return {
        "rules": {version: _ip(f"-{version}", "rule", "show") for version in versions()},
        "routes": {version: _routes(f"-{version}") for version in versions()},
        "links": [_link(link) for link in _ip("address", "show")],
    }


def _link(link: dict[str, Any]) -> dict[str, Any]:
    return {
        "ifname": link["ifname"],
        "up": "UP" in link["flags"],
        "mtu": link["mtu"],
        "addresses": [address for address in link["addr_info"] if not address["local"].startswith(_LINK_LOCAL)],
    }


def _routes(family: str) -> list[dict[str, Any]]:
    routes = _ip(family, "route", "show", "table", "all")
    return [route for route in routes if not route["dst"].startswith(_LINK_LOCAL)]


def _ip(*words: str) -> list[dict[str, Any]]:
    argv = ["nsenter", f"--net={NETNS / 'device'}", "ip", "-details", "-json", *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SandboxError(f"ip failed: {done.stderr.strip()}", hint="Install it: sudo apt install iproute2")
        found = json.loads(done.stdout or "[]", object_hook=_lasting)
    except ValueError:
        raise SandboxError("ip printed what is no JSON.", hint="Install iproute2 of Debian 12 or later.") from None
    return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))


def _lasting(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in _PASSING}
