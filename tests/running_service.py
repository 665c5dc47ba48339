"""The service, running in a sandbox: started, asked, killed, waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS = 40.0
"""For whatever is waited for: much longer than it takes, for machines are slow at times."""
# What it holds: its resident memory in kB, as the kernel counts it, and its descriptors.
HELD = "awk '/^VmRSS/ {print $2}' /proc/$0/status; ls /proc/$0/fd | wc -l"


class Running:
    """The service in a sandbox, with a state directory of its own."""

    def __init__(self, device: Any, directory: Path, service: str = "", server: str = "") -> None:
        self.device = device
        self.state = directory / "state"
        self.config = directory / "agent.toml"
        self.log = directory / "log"
        self.settings = device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
        self.configure(service, server)
        self.begin()

    def configure(self, service: str = "", server: str = "") -> None:
        text = self.settings.replace("[service]", f"[service]\n{service}").replace("[server]", f"[server]\n{server}")
        self.config.write_text(f'{text}\n[modem]\nconnect = "auto"\napn = "internet"\n')

    def begin(self) -> None:
        run = f"setsid phonecheck run --state-directory {self.state} --config {self.config} >>{self.log} 2>&1 & echo $!"
        self.pid = self.device.run("sh", "-c", run).stdout.strip()
        self.until(lambda: self.status()["state"], "on the bus")

    def kill(self, name: str = "KILL", pid: str = "") -> None:
        self.device.run("kill", f"-{name}", pid or self.pid)

    def gone(self) -> bool:
        return self.device.run("test", "-e", f"/proc/{self.pid}").returncode != 0

    def end(self) -> None:
        self.kill("TERM")
        self.until(self.gone, "gone")

    def status(self) -> dict[str, Any]:
        done = self.device.run("phonecheck", "status", "--json")
        return json.loads(done.stdout) | {"state": ""} if done.returncode else json.loads(done.stdout)

    def history(self) -> list[dict[str, Any]]:
        """The checks that were made, the oldest first."""
        checks = json.loads(self.device.run("phonecheck", "history", "-n", "0", "--json").stdout)["checks"]
        return list(reversed(checks))

    def outcomes(self) -> list[tuple[str, str]]:
        return [
            (c["trigger"], (c["result"]["error"] or {}).get("code") or c["result"]["outcome"]) for c in self.history()
        ]

    def child(self) -> str:
        """The process of the check that is being made."""
        return self.device.run("pgrep", "-P", self.pid, "-f", "phonecheck verify").stdout.strip()

    def reports(self) -> list[dict[str, Any]]:
        return [r for r in self.device.box.ctl("state")["reports"] if r["report"] in {c["id"] for c in self.history()}]

    def held(self) -> tuple[int, int]:
        kilobytes, descriptors = self.device.run("sh", "-c", HELD, self.pid).stdout.split()
        return int(kilobytes), int(descriptors)

    def until(self, happens: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if found := happens():
                return found
            time.sleep(0.1)
        pytest.fail(f"not {what} in {SECONDS:.0f} s; {self.status()}\n{self.log.read_text()[-4000:]}")
