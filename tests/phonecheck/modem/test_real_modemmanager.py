"""Against the true daemon, on a private bus and without a modem; the sandbox's tests are those with one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time

import pytest

from phonecheck.deadline import Deadline
from phonecheck.errors import ModemError
from phonecheck.model import Modem
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.manager import ModemManager

# It reads no udev and scans nothing, so it finds none of the machine's own modems; it needs no rights for that.
DAEMON = ["ModemManager", "--test-no-udev", "--no-auto-scan", "--test-no-suspend-resume", "--log-level=ERR"]


def first_answer(manager: ModemManager) -> tuple[Modem, ...]:
    """What it says once it is up; DeadlineExceeded if it never is."""
    deadline = Deadline(10)
    while True:
        with contextlib.suppress(ModemError):
            return manager.modems(deadline)
        time.sleep(0.02)


@pytest.mark.dbus
def test_no_modem(bus):
    program = shutil.which(DAEMON[0], path="/usr/sbin:/usr/bin:/sbin")
    if program is None:
        pytest.skip("ModemManager is not installed")
    daemon = subprocess.Popen([program, *DAEMON[1:]], env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    try:
        with ModemManager(ModemBus(bus.address)) as manager:
            assert first_answer(manager) == ()
            with pytest.raises(ModemError, match="knows no modem"):
                manager.find(None, Deadline(5))
    finally:
        daemon.terminate()
        daemon.wait(10)
