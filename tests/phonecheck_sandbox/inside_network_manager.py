"""What test_network_manager.py runs on a sandbox's device: one kind of NetworkManager, met by the agent's own client.

Its output is one JSON object: what was seen after each step.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.manager import ModemManager
from phonecheck.modem.networkmanager import NetworkManager
from phonecheck_sandbox import control
from phonecheck_sandbox.network_manager import NetworkManagerPart
from phonecheck_sandbox.parts import on_node

Seen = dict[str, Any]


async def spawn(
    argv: Sequence[str], *, node: str, log: Path, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *on_node(node, argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | dict(env or {}),
            cwd="/",
            start_new_session=True,
        )


def ctl(*words: str) -> None:
    control.ask(control.find(None), list(words))


def ip(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True).stdout or "[]"
    )
    return found


def link() -> Seen:
    """How wwan0 is configured."""
    (shown,) = ip("address", "show", "wwan0")
    defaults = [route for route in ip("route", "show", "dev", "wwan0") if route["dst"] == "default"]
    return {
        "up": "UP" in shown["flags"],
        "addresses": [f"{a['local']}/{a['prefixlen']}" for a in shown["addr_info"] if a["scope"] == "global"],
        "mtu": shown["mtu"],
        "defaults": [[route["gateway"], route["metric"]] for route in defaults],
    }


def until(happens: Callable[[], bool]) -> bool:
    """Whether it happens within five seconds."""
    deadline = Deadline(5)
    while not happens() and not deadline.expired:
        time.sleep(0.02)
    return happens()


class Agent:
    def __init__(self) -> None:
        self.bus = ModemBus()
        self.modems, self.manager = ModemManager(self.bus), NetworkManager(self.bus)

    @property
    def modem(self) -> str:
        return next((modem.path for modem in self.modems.modems(Deadline(5))), "")

    def manages(self) -> bool:
        return self.manager.manages(self.modem, 5)

    def activate(self, seconds: float = 10) -> Seen:
        started: list[str] = []
        error: AgentError | None = None
        try:
            self.manager.activate(self.modem, Deadline(seconds), started.append)
        except AgentError as raised:
            error = raised
        seen = {"started": started, "code": error.code if error else "", "message": error.message if error else ""}
        return seen | {"link": link()}

    def deactivate(self, seen: Seen) -> Seen:
        for active in seen["started"]:
            self.manager.deactivate(active, 5)
        return link()


def story() -> Seen:
    agent = Agent()
    seen: Seen = {"manages": agent.manages(), "idle": link()}
    seen["first"] = agent.activate()
    seen["interface"] = agent.manager.ip_interface(agent.modem, 5)
    seen["name_servers"] = [str(server) for server in agent.manager.name_servers("wwan0", 5)]
    seen["second"] = agent.activate()
    seen["down"] = agent.deactivate(seen["first"])

    ctl("apn", "another")
    seen["wrong_apn"] = agent.activate()
    ctl("apn", "internet")

    ctl("registration", "searching")
    seen["searching"] = agent.activate(0.5)
    seen["given_up"] = agent.deactivate(seen["searching"])
    ctl("registration", "home")

    dropped = agent.activate()
    ctl("drop-bearer")
    seen["bare_after_drop"] = until(lambda: not link()["addresses"])
    agent.deactivate(dropped)

    agent.activate()
    ctl("unplug")
    seen["manages_pulled"] = agent.manages()
    ctl("plug")
    seen["manages_again"] = until(agent.manages)
    seen["left_up"] = agent.activate()
    agent.bus.close()
    return seen


async def main(kind: str) -> None:
    part = NetworkManagerPart(
        Path("/run", f"test-{kind}"), spawn, os.environ["DBUS_SYSTEM_BUS_ADDRESS"], real=kind == "real"
    )
    await part.start()
    try:
        seen = await asyncio.to_thread(story)
        seen |= {"kind": part.kind, "why": part.why, "ended": part.ended()}
    finally:
        await part.stop()
    json.dump(seen | {"stopped": link()}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
