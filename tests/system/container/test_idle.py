"""A service that nobody wants anything of: small, and asleep."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from system.container.booted import Device

SECONDS = 60
MEGABYTES = 30


@pytest.fixture
def idle(device: Device) -> int:
    """The service's pid in the container, once it is alone and nobody has asked it anything for a while."""
    device.at_rest()
    pid = device.show("MainPID")
    device.until(
        lambda: device.run("pgrep", "-u", "phonecheck").stdout.split() == [pid], 20, "a service without children"
    )
    time.sleep(5)
    return int(pid)


def test_an_idle_service_is_small(device: Device, idle: int):
    status = device.path(f"/proc/{idle}/status").read_text()
    resident = int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024
    assert resident <= MEGABYTES


def test_an_idle_service_wakes_for_the_watchdog_alone(device: Device, idle: int):
    argv = ["timeout", str(SECONDS), "strace", "-f", "-ttt", "-qq", "-p", str(device.pid(idle))]
    trace = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS + 30, check=False).stderr
    # Calls within a moment of each other are of one wake-up; the first are those that strace broke into.
    wakes: list[str] = []
    last = 0.0
    for at, call in re.findall(r"^(?:\[pid +\d+\] )?(\d+\.\d+) (.*)$", trace, re.MULTILINE):
        if float(at) - last > 0.5:
            wakes.append("")
        wakes[-1] += f"{call}\n"
        last = float(at)
    assert len(wakes) > 1, trace
    assert [wake for wake in wakes[1:] if "WATCHDOG=1" not in wake] == []
