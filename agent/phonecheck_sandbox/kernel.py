"""The system calls that Python 3.11 has no name for: unshare, setns, mount and four of prctl (ctypes on the C library)."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x0002_0000, 0x0400_0000, 0x0800_0000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x1000_0000, 0x2000_0000, 0x4000_0000

MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x4_0000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_TIMERSLACK, _PR_SET_NO_NEW_PRIVS = 1, 22, 29, 38
_SECCOMP_MODE_FILTER = 2

NETNS = Path("/run/netns")
"""Where ``ip netns`` keeps its names."""

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def unshare(flags: int) -> None:
    """Leave the namespaces named by CLONE_NEW… flags for new ones.

    Raises:
        OSError: refused by the kernel.
    """
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """Put a file system or a bind mount on ``target``.

    Raises:
        OSError: refused by the kernel; ``filename`` is the target.
    """
    _checked(
        _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()), target
    )


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends, however it ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def precise_timers() -> None:
    """Take away the 50 µs by which the kernel may delay this thread's timeouts to save wake-ups."""
    _checked(_libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0), "prctl")


def filter_system_calls(program: bytes) -> None:
    """Have a BPF program, an array of struct sock_filter, judge every system call of this process from now on.

    Raises:
        OSError: refused by the kernel.
    """
    # Without it only root of the first user namespace may; with it, set-user-ID programs lose their right.
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    instructions = ctypes.create_string_buffer(program, len(program))
    size_of_one = 8
    fprog = struct.pack("@HP", len(program) // size_of_one, ctypes.addressof(instructions))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0), "prctl")


def make_node(name: str) -> None:
    """Make a network namespace that ``ip netns`` knows too. It lives as long as the mount namespace it is named in.

    Raises:
        OSError: refused by the kernel.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        unshare(CLONE_NEWNET)
        name_node(name, "/proc/thread-self/ns/net")
    finally:
        _checked(_libc.setns(own, CLONE_NEWNET), "setns")
        os.close(own)


def name_node(name: str, namespace: str) -> None:
    """Give a network namespace a node's name; ``namespace`` is a path that leads to it.

    Raises:
        OSError: refused by the kernel.
    """
    place = NETNS / name
    place.parent.mkdir(exist_ok=True)
    place.touch()
    mount(namespace, str(place), flags=MS_BIND)


@contextmanager
def inside(node: str) -> Iterator[None]:
    """Put the calling thread into a node's network namespace for a while.

    A socket, a TUN device or a file below /proc/sys/net belongs to the namespace that its opener is in at that moment,
    and stays there. Only this thread moves, so that other threads and the event loop's next step are not carried along:
    nothing in the block may await.

    Raises:
        OSError: there is no such node.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(NETNS / node, os.O_RDONLY)
        try:
            _checked(_libc.setns(there, CLONE_NEWNET), "setns")
        finally:
            os.close(there)
        try:
            yield
        finally:
            _checked(_libc.setns(own, CLONE_NEWNET), "setns")
    finally:
        os.close(own)
