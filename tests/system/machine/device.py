"""The device that runs in the virtual machine: its service, its modem, and the sandbox behind that."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from system.machine.virtual_machine import VirtualMachine

UNIT = "phonecheck-agent.service"
SETTINGS = "/etc/phonecheck/agent.toml"
_T = TypeVar("_T")
_API = "org.phonecheck.Agent1 /org/phonecheck/Agent1 org.phonecheck.Agent1"


class Device:
    """The device in a machine that has booted. Slow: an emulated processor starts a Python in seconds, busctl at once."""

    def __init__(self, machine: VirtualMachine) -> None:
        self._machine = machine
        self.run = machine.run
        self.suspend = machine.suspend

    def out(self, command: str, **options: Any) -> str:
        """What a shell command prints."""
        return self.run(command, **options).out.strip()

    # Acting on it

    def verify(self, **options: str) -> str:
        """Ask the service for a check, with options as busctl writes them; its id."""
        words = " ".join(f"{name} {value}" for name, value in options.items())
        said = self.out(f"busctl --json=short call {_API} Verify 'a{{sv}}' {len(options)} {words}")
        return str(json.loads(said)["data"][0])

    def modem(self, verb: str) -> None:
        """Act on the modem: see gadget.d/__main__.py for the verbs."""
        self.run(f"python3 /usr/local/lib/lte-modem {verb}")

    def ctl(self, words: str) -> Any:
        """Act on the sandbox."""
        said = self.out(f"phonecheck-sandbox ctl {words}")
        return json.loads(said) if said.startswith("{") else said

    def set_up(self, text: str) -> None:
        """Put lines below the settings, in place of those of an earlier call, and have the service read them."""
        self.run(f"cp -n {SETTINGS} {SETTINGS}.first; cat {SETTINGS}.first - >{SETTINGS}", stdin=text)
        self.run(f"systemctl reload {UNIT}")

    def until(self, look: Callable[[], _T | None], seconds: float, what: str) -> _T:
        """Look until there is something true to see, and return it."""
        end = time.monotonic() + seconds
        while not (seen := look()):
            if time.monotonic() > end:
                raise AssertionError(f"After {seconds:g} s there is not yet: {what}.\n{self.told()}")
            time.sleep(0.3)
        return seen

    # Looking at it

    def told(self) -> str:
        """The end of the journal, for whoever reads why a test failed."""
        return self.out("journalctl --no-pager --lines=80 --output=short-monotonic")

    def get(self, name: str) -> Any:
        """A property of the service's D-Bus API."""
        return json.loads(self.out(f"busctl --json=short get-property {_API} {name}"))["data"]

    def show(self, name: str) -> str:
        """A property of the service's unit."""
        return self.out(f"systemctl show {UNIT} --property={name} --value")

    def history(self) -> list[dict[str, Any]]:
        """The checks that were made, the newest first, as the D-Bus API tells them."""
        said = json.loads(self.out(f"busctl --json=short call {_API} History u 0"))
        return [{name: value["data"] for name, value in check.items()} for check in said["data"][0]]

    def check(self, what: str, fits: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        """Wait for a check in the history that fits; the newest such."""
        return self.until(lambda: next(filter(fits, self.history()), None), seconds, what)

    def verified(self, **options: str) -> dict[str, Any]:
        """Ask the service for a check, and what came of it."""
        asked = self.verify(**options)
        return self.check("the check's end", lambda check: check["id"] == asked)

    def at_rest(self) -> None:
        """Wait until a modem is there and the service has nothing to do, to wait for or to report."""
        self.until(lambda: "/Modem/" in self.out("mmcli --list-modems"), 60, "a modem")
        self.until(lambda: self.get("State") == "idle" and not self.get("Outbox"), 180, "an idle service")

    def clock(self) -> float:
        """Seconds since the epoch, as the device has it."""
        return float(self.out("date +%s.%N"))
