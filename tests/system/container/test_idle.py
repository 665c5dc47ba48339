"""A service that nobody wants anything of: small, and asleep."""

from __future__ import annotations

import re
import subprocess

from system.container.booted import Device

SECONDS = 60
MEGABYTES = 30
_WOKEN = re.compile(r"(?:poll|ppoll|epoll_wait|epoll_pwait2?|select|pselect6|nanosleep|clock_nanosleep|futex)\(")


def test_an_idle_service_is_small(device: Device):
    device.at_rest()
    device.until(lambda: len(processes(device)) == 1, 20, "a service without children")
    pid = device.show("MainPID")
    status = device.path(f"/proc/{pid}/status").read_text()
    resident = int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024
    assert resident <= MEGABYTES


def test_an_idle_service_wakes_for_the_watchdog_alone(device: Device):
    device.at_rest()
    device.until(lambda: len(processes(device)) == 1, 20, "a service without children")
    pid = device.show("MainPID")
    argv = ["strace", "-f", "-qq", "-e", "trace=all", "-p", str(device.pid(int(pid)))]
    traced = subprocess.run(["timeout", str(SECONDS), *argv], capture_output=True, text=True, timeout=90, check=False)
    # Each wait that ended is a wake-up; the first and the last line of a thread are of the wait that strace broke into.
    ended = [
        line for line in traced.stderr.splitlines() if _WOKEN.search(line) and " = " in line and "restart" not in line
    ]
    signs = traced.stderr.count("WATCHDOG=1")
    assert 1 <= signs <= SECONDS / 15, traced.stderr
    assert len(ended) <= 2 * signs + 2, traced.stderr


def processes(device: Device) -> list[str]:
    """The service's own, and its children."""
    return device.run("pgrep", "-u", "phonecheck", check=False).stdout.split()
