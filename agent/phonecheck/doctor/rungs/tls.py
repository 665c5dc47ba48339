"""Does the platform prove who it is?"""

from __future__ import annotations

import shlex
import time

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, well
from phonecheck.errors import CheckError, ConfigError

_OFF_SECONDS = 3600.0
"""A clock that is off by less makes no certificate's dates wrong that are right, but on the day that it is changed."""


def look(device: Device, deadline: Deadline) -> Finding:
    """A handshake as a check's; where a date is what is wrong, the network's date tells whose."""
    secure = device.network.secure(deadline)
    if secure.fault is None:
        return well(
            f"{secure.version}, verified, in {secure.ms:.0f} ms", version=secure.version, ms=round(secure.ms, 1)
        )
    interface = device.links.prepared(deadline).interface
    command = shlex.join(["curl", "--interface", interface, "-v", f"https://{device.network.host}/"])
    if not secure.of_dates:
        return failed(secure.fault, command)
    date, now = device.network.date(deadline), device.kernel.now()
    if date is None:
        return failed(secure.fault, command, clock_off_seconds=None)
    off = round(now - date)
    if abs(now - date) < _OFF_SECONDS:
        hint = (
            "The device's clock agrees with the network's, so the certificate is at fault: report it to the platform."
        )
        error = CheckError("tls-failed", secure.fault.message, hint=hint)
        return failed(error, command, clock_off_seconds=off)
    message = (
        f"The device's clock says {_day(now)}, and the network's {_day(date)}: a good certificate looks bad by it."
    )
    set_it = time.strftime("date -u -s '%Y-%m-%d %H:%M:%S'", time.gmtime(date))
    return failed(ConfigError("clock-wrong", message), set_it, clock_off_seconds=off)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


RUNG = Rung("tls", "Certificate", look, needs=("platform",), explained_by=("captive", "clock", "mtu"), traffic=6000)
