"""Linux's timerfd: a descriptor that is readable once a point in time has come, or the clock was set.

Python has it from 3.13 on (os.timerfd_create); this is man 2 timerfd_create by ctypes for all versions.
"""

from __future__ import annotations

import ctypes
import math
import os
import time

_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_ABSTIME = 1
_CANCEL_ON_SET = 2
_NEVER = 2**40
"""Seconds since the epoch that no clock comes to: the year 36812."""

_libc = ctypes.CDLL(None, use_errno=True)
# With 32-bit time_t the plain name ends in 2038, and a wrong clock is there today; 64-bit systems have no other name.
_settime = getattr(_libc, "__timerfd_settime64", None) or _libc.timerfd_settime


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def boottime() -> int:
    """A timer on CLOCK_BOOTTIME, not armed.

    Raises:
        OSError: as timerfd_create.
    """
    return _create(time.CLOCK_BOOTTIME)


def clock_watch() -> int:
    """A descriptor that is readable whenever the wall clock was set, until :func:`clock_was_set` was asked.

    Raises:
        OSError: as timerfd_create.
    """
    fd = _create(time.CLOCK_REALTIME)
    _set(fd, _ABSTIME | _CANCEL_ON_SET, float(_NEVER))
    return fd


def arm(fd: int, at: float | None) -> None:
    """Have a timer be readable at a point of its clock, in seconds, at once where that has passed; None for never.

    Raises:
        OSError: as timerfd_settime.
    """
    # To the kernel, a zero is "never".
    _set(fd, _ABSTIME, 0.0 if at is None else max(at, 1e-9))


def has_come(fd: int) -> bool:
    """Whether a timer's point in time has come since it was armed or last asked."""
    try:
        return len(os.read(fd, 8)) == 8
    except BlockingIOError:
        return False


def clock_was_set(fd: int) -> bool:
    """Whether the wall clock was set since this was last asked; the descriptor goes on watching."""
    try:
        os.read(fd, 8)
    except BlockingIOError:
        return False
    except OSError:  # ECANCELED: the answer that was waited for
        return True
    return False


def _create(clock: int) -> int:
    fd: int = _libc.timerfd_create(clock, _FLAGS)
    if fd < 0:
        raise _failed()
    return fd


def _set(fd: int, flags: int, at: float) -> None:
    # Rounded up, or a timer would fire a moment before it is due, find nothing to do, and be armed again.
    seconds, nanoseconds = divmod(math.ceil(at * 1e9), 10**9)
    spec = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
    if _settime(fd, flags, ctypes.byref(spec), None):
        raise _failed()


def _failed() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
