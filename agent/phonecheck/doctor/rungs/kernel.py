"""May sockets be bound to an interface here? The exchange stands on that."""

from __future__ import annotations

import re

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, well

_ANY_PROCESS = (5, 7)
"""Since this Linux, binding a socket takes no right (commit c427bfec18f2)."""


def look(device: Device, _: Deadline) -> Finding:
    """The kernel's version and what it lets this process do."""
    kernel = device.kernel
    release, may_configure = kernel.release(), kernel.net_admin()
    found = re.match(r"(\d{1,5})\.(\d{1,5})", release)
    version = (int(found[1]), int(found[2])) if found else None
    refused = kernel.binding_refused()
    if refused is not None:
        return failed(refused, "uname -r", release=release, may_bind=False, net_admin=may_configure)
    who = "anyone may bind" if version is None or version >= _ANY_PROCESS else "this process may bind"
    short = f"Linux {version[0]}.{version[1]}" if version else f"Linux {release}"
    return well(
        f"{short}, {who}; CAP_NET_ADMIN: {'yes' if may_configure else 'no'}",
        release=release,
        may_bind=True,
        net_admin=may_configure,
    )


RUNG = Rung("kernel", "Kernel", look)
