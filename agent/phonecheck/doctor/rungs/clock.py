"""Is the clock such that certificates can be judged by it?"""

from __future__ import annotations

import time

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, well
from phonecheck.errors import ConfigError

# A device without a battery-backed clock starts in 1970, or when its software was built. No program can run before it
# was written, and a clock beyond the life of every certificate is as wrong.
EARLIEST = 1767225600  # 2026-01-01T00:00:00Z
LATEST = 4102444800  # 2100-01-01T00:00:00Z


def look(device: Device, _: Deadline) -> Finding:
    """The date, and whether somebody keeps it right."""
    now, kept = device.kernel.now(), device.kernel.synchronised()
    if not EARLIEST <= now < LATEST:
        # Nothing can be said of a date that the calendar does not reach.
        date = time.strftime("%Y-%m-%d", time.gmtime(now)) if abs(now) < LATEST * 10 else "no date at all"
        error = ConfigError("clock-wrong", f"The device's clock says {date}: no certificate can be judged by it.")
        return failed(error, "timedatectl set-ntp true", seconds=now, synchronised=kept)
    words = {True: "synchronised", False: "not synchronised", None: "nobody says whether it is synchronised"}[kept]
    when = time.gmtime(now)
    return well(
        f"{time.strftime('%Y-%m-%d %H:%M UTC', when)}, {words}",
        utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", when),
        synchronised=kept,
    )


RUNG = Rung("clock", "Clock", look)
