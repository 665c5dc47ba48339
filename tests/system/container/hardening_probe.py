"""What a process may do, as one JSON object: runs in the container, in the place of the service, with its directives.

Each attempt is made in a child, for a system call filter may kill; its result is "ok", the error's name, or the signal.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import socket
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from signal import Signals

LIBC = ctypes.CDLL(None, use_errno=True)
STATE = Path(os.environ["STATE_DIRECTORY"])
CLONE_NEWUSER, PTRACE_TRACEME, PER_LINUX32, IPC_CREAT, SHM = 0x1000_0000, 0, 8, 0o1000, 0x5048_4F4E
# eax = 1 (exit), ebx = 0, int 0x80; the least that the kernel takes for a program of 32 bits.
ELF32 = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
ELF32 += struct.pack("<8I", 1, 0, 0x8048000, 0x8048000, 96, 96, 5, 0x1000)
ELF32 += b"\xb8\x01\x00\x00\x00\x31\xdb\xcd\x80".ljust(12, b"\x90")


def called(result: int) -> None:
    """Raise what a call of the C library failed with."""
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def attempt(act: Callable[[], object]) -> str:
    """Make it in a child, and say what came of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "ok"
        try:
            act()
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, "?")
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 64).decode()
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else said


def program(place: Path) -> None:
    """Run a program of 32 bits."""
    place.write_bytes(ELF32)
    place.chmod(0o700)
    child = os.fork()
    if child == 0:
        try:
            os.execv(place, [place])
        except OSError as error:
            os._exit(error.errno or 1)
    _, status = os.waitpid(child, 0)
    place.unlink()
    if os.WIFSIGNALED(status):
        raise OSError(errno.EACCES, "")
    if os.WEXITSTATUS(status):
        raise OSError(os.WEXITSTATUS(status), "")


def scheduled() -> None:
    """Set what is set already, for which no right is needed."""
    os.sched_setaffinity(0, os.sched_getaffinity(0))


def setuid_file(place: Path) -> None:
    """Make a program that would run as its owner."""
    place.touch()
    try:
        place.chmod(0o4755)
    finally:
        place.unlink()


def mode_of_new(place: Path) -> str:
    """What a new file's mode is."""
    place.touch()
    mode = place.stat().st_mode
    place.unlink()
    return oct(stat.S_IMODE(mode))


def writable(place: str) -> str:
    """Whether an existing file may be opened to be written."""
    return attempt(lambda: os.close(os.open(place, os.O_WRONLY)))


def created(place: str) -> str:
    """Whether a file may be made, which then goes again."""

    def act() -> None:
        Path(place).touch()
        Path(place).unlink()

    return attempt(act)


def listed(place: str) -> str:
    """Whether a directory may be listed."""
    return attempt(lambda: list(Path(place).iterdir()))


def status() -> dict[str, str]:
    """What the kernel says of this process."""
    lines = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in lines if name in ("CapEff", "CapBnd", "CapAmb", "NoNewPrivs")}


def cgroup(name: str) -> str:
    """A limit of this process's cgroup; empty where the controller is not the container's."""
    path = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    try:
        return Path(f"/sys/fs/cgroup{path}/{name}").read_text().strip()
    except OSError:
        return ""


def shared() -> None:
    """Leave a segment of shared memory behind."""
    called(LIBC.shmget(SHM, 4096, IPC_CREAT | 0o600))


def main() -> None:
    """Print it."""
    vsock = 40
    found = {
        "uid": os.getuid(),
        **status(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "state directory": oct(stat.S_IMODE(STATE.stat().st_mode)),
        "umask": mode_of_new(STATE / "new"),
        "memory": cgroup("memory.max"),
        "tasks": cgroup("pids.max"),
        "write /usr": created("/usr/probe"),
        "write /proc/sys/net": writable("/proc/sys/net/ipv4/ip_forward"),
        "write accept_ra": writable("/proc/sys/net/ipv6/conf/lo/accept_ra"),
        "write /sys/fs/cgroup": created("/sys/fs/cgroup/probe"),
        "list /home": listed("/home"),
        "list modules": listed("/usr/lib/modules"),
        "others' /tmp": Path("/tmp/phonecheck-probe").exists(),
        "/dev/net/tun": Path("/dev/net/tun").exists(),
        "others' processes": sum(1 for place in Path("/proc").glob("[0-9]*") if place.stat().st_uid != os.getuid()),
        "packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).close()),
        "vsock": attempt(lambda: socket.socket(vsock, socket.SOCK_STREAM).close()),
        "user namespace": attempt(lambda: called(LIBC.unshare(CLONE_NEWUSER))),
        "personality": attempt(lambda: called(LIBC.personality(PER_LINUX32))),
        "write and execute": attempt(
            lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        ),
        "trace": attempt(lambda: called(LIBC.ptrace(PTRACE_TRACEME, 0, 0, 0))),
        "schedule": attempt(scheduled),
        "setuid file": attempt(lambda: setuid_file(STATE / "setuid")),
        "32 bits": attempt(lambda: program(STATE / "small")) if platform.machine() == "x86_64" else "",
        "shared memory": attempt(shared),
        "namespaces": {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("mnt", "uts")},
    }
    with Path(sys.argv[1]).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(found, file)


if __name__ == "__main__":
    main()
