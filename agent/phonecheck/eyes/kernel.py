"""The kernel and the clock of this device."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from ipaddress import ip_address

from phonecheck.errors import LinkError
from phonecheck.link import bind, capability

_LOOPBACK = ip_address("127.0.0.1")
_DISCARD = 9
_NOT_SYNCHRONISED = 0x40  # STA_UNSYNC (linux/timex.h)


class _Timex(ctypes.Structure):
    """The foot of ``struct timex`` (adjtimex(2)), and room for the rest of it: 208 bytes on 64-bit machines."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("numbers", ctypes.c_long * 4),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


class RealKernel:
    """What this process sees of it."""

    def release(self) -> str:
        """As ``uname -r``."""
        return os.uname().release

    def binding_refused(self) -> LinkError | None:
        """Bind a socket to the loopback; nothing is sent."""
        try:
            sock, _ = bind.udp_socket("lo", _LOOPBACK, _DISCARD)
        except LinkError as error:
            # What else there is to say of the loopback comes after the binding.
            return error if error.code == "bind-refused" else None
        sock.close()
        return None

    def net_admin(self) -> bool:
        """Whether CAP_NET_ADMIN is in force here."""
        return capability.holds(capability.NET_ADMIN)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def synchronised(self) -> bool | None:
        """What whoever keeps the clock told the kernel; None where a sandbox forbids the question."""
        state = _Timex()  # no modes: nothing is changed, so anybody may ask
        with contextlib.suppress(OSError, AttributeError):  # no C library found, or none that can say
            if ctypes.CDLL(None).adjtimex(ctypes.byref(state)) >= 0:
                return not state.status & _NOT_SYNCHRONISED
        return None
