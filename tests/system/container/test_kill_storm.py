"""kill -9 at any moment loses nothing that was acknowledged, and repeats nothing that was reported."""

from __future__ import annotations

import random
import time
from collections import Counter

from system.container.booted import Device

ROUNDS = 24
UNIT = "[Service]\nRestartSec=50ms\nRestartSteps=0\n"


def children(device: Device, pid: str) -> list[str]:
    """The service's own: the check, above all."""
    return device.run("pgrep", "-P", pid, check=False).stdout.split()


def test_every_check_is_in_the_history_and_at_the_app_server_once(device: Device):
    device.at_rest()
    device.drop_in("restart", UNIT)
    chance = random.Random(4)
    acknowledged = set()
    for number in range(ROUNDS):
        device.until(lambda: device.show("ActiveState") == "active", 20, "a service that is up")
        if identity := device.verify(check=False):
            acknowledged.add(identity)
        time.sleep(chance.uniform(0, 0.8))
        pid = device.show("MainPID")
        # By turns the service, and the check under it.
        victims = [pid] if number % 2 else children(device, pid)
        device.run("kill", "-KILL", *victims, check=False) if victims and "0" not in victims else None
    assert len(acknowledged) > ROUNDS / 2

    device.until(lambda: device.show("ActiveState") == "active", 20, "a service that is up")
    device.until(lambda: acknowledged <= {check["id"] for check in device.history()}, 60, "every check acknowledged")
    device.verify()
    checks = device.at_rest()
    assert max(Counter(check["id"] for check in checks).values()) == 1
    told = {report["report"]: report["outcome"] for report in device.reports()}
    assert len(told) == len(device.reports())
    assert told == {check["id"]: check["result"]["outcome"] for check in checks}
    outcomes = Counter((c["result"]["error"] or {}).get("code", "match") for c in checks)
    assert outcomes["match"] > 0
    assert outcomes["check-killed"] + outcomes["check-interrupted"] > 0, outcomes
    assert device.property("Dropped") == "u 0"


def test_and_nothing_is_left_on_the_link(device: Device):
    assert device.come(device.verify())["result"]["outcome"] == "match"
    device.until(lambda: "connected" not in device.out("mmcli", "-m", "any", "--output-keyvalue"), 15, "no bearer")
    assert device.out("ip", "rule", "show").count("\n") == 2  # local, main, default
    assert "wwan0" not in device.out("ip", "-4", "route", "show", "table", "all")
