"""What the conditions make of a program on the device, from its start on: of those that run already, nothing."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from phonecheck_sandbox import seccomp
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.errors import SandboxError

_DAY = 86_400
# It moves time(), gettimeofday() and CLOCK_REALTIME, and nothing else. libfaketime, which could do more, breaks Python's
# time.sleep (measured: 0.9.10 on Debian 12 makes an absolute clock_nanosleep EINVAL).
CLOCK = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "", "datefudge/datefudge.so")
"""The library that a program's clock is moved with."""


def as_started(argv: Sequence[str], env: Mapping[str, str], conditions: Conditions) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment that a program gets in place of its own.

    Raises:
        SandboxError: what sets its clock is not installed.
    """
    words, variables = list(argv), dict(env)
    if conditions.device_clock:
        if not CLOCK.exists():
            raise SandboxError(
                "A clock that is wrong for the device alone takes datefudge, which is not installed.",
                hint="Install it: sudo apt install datefudge",
            )
        preloaded = variables.get("LD_PRELOAD")
        variables["LD_PRELOAD"] = f"{preloaded}:{CLOCK}" if preloaded else str(CLOCK)
        variables["DATEFUDGE"] = str(-round(conditions.device_clock * _DAY))  # it subtracts
    if conditions.device_bind_refused:
        words = [sys.executable, "-P", "-m", seccomp.__name__, *words]
    return words, variables
