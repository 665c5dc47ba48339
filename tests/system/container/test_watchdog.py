"""A service that hangs is ended and started again by systemd, and goes on where it was."""

from __future__ import annotations

import time

from system.container.booted import Device

SECONDS = 4
# The proportions of the unit's own figures: systemd waits before it starts a service again.
UNIT = f"[Service]\nWatchdogSec={SECONDS}\nRestartSec=250ms\nRestartSteps=0\n"


def test_a_service_that_was_stopped_is_back_within_twice_its_watchdog(device: Device):
    device.at_rest()
    device.drop_in("watchdog", UNIT)
    device.run("systemctl", "restart", "phonecheck-agent")
    known = {check["id"] for check in device.checked(2)}
    device.until(lambda: device.property("State") == 's "idle"', 20, "a service at rest")
    pid = device.show("MainPID")

    device.run("kill", "-STOP", pid)
    begin = time.monotonic()
    device.until(lambda: device.show("MainPID") not in ("0", pid), 3 * SECONDS, "another main process")
    device.until(lambda: device.show("ActiveState") == "active", 3 * SECONDS, "a service that is up again")
    took = time.monotonic() - begin
    assert took <= 2 * SECONDS
    assert "watchdog" in device.out("journalctl", "--no-pager", "-u", "phonecheck-agent", "-n", "50")
    assert known < {check["id"] for check in device.checked(len(known) + 1)}


def test_a_service_that_works_is_left_alone_by_a_watchdog(device: Device):
    device.drop_in("watchdog", UNIT)
    device.run("systemctl", "restart", "phonecheck-agent")
    device.until(lambda: device.show("ActiveState") == "active", 10, "a service that is up")
    pid = device.show("MainPID")
    time.sleep(2.5 * SECONDS)
    assert device.show("MainPID") == pid
    assert device.show("NRestarts") == "0"
