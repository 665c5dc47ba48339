"""What the sandbox needs from this machine, and the step from the machine into namespaces of its own."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    mount,
    unshare,
)

TUN = Path("/dev/net/tun")
RESOLV_CONF = "/etc/resolv.conf"
RESOLVER = f"nameserver {world.PUBLIC_DNS}\noptions timeout:2 attempts:2\n"
"""What is in it on the device."""
_NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS

_LIBRARIES = ("jeepney", "pyroute2", "starlette", "trustme", "uvicorn")
_TOOLS = {
    "ModemManager": "modemmanager",
    "dbus-daemon": "dbus",
    "nft": "nftables",
    "nsenter": "util-linux",
}
_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"),
)
"""The settings that keep an ordinary user from a user namespace: Debian's own, Ubuntu's, every kernel's."""


def with_system_paths(path: str | None) -> str:
    """A PATH that also finds nft and ModemManager: Debian leaves the sbin directories out of an ordinary user's."""
    known = (path or os.defpath).split(os.pathsep)
    return os.pathsep.join(known + [d for d in ("/usr/local/sbin", "/usr/sbin", "/sbin") if d not in known])


def check_machine(path: str | None = None, tun: Path = TUN, libraries: Sequence[str] = _LIBRARIES) -> None:
    """See that the tools, the libraries and the TUN device are there.

    Args:
        path: where to look for the tools; PATH and the directories of daemons by default.
        tun: the TUN device.
        libraries: what the sandbox imports and the agent does not.

    Raises:
        SandboxError: the first thing that is missing, and the command that mends it.
    """
    absent = [library for library in libraries if importlib.util.find_spec(library) is None]
    if absent:
        # A device installs the agent alone, and this command with it.
        raise SandboxError(
            f"The sandbox needs {' and '.join(absent)}, which this Python does not have.",
            hint="Install its part: pip install 'phonecheck[sandbox]'",
        )
    path = path or with_system_paths(os.environ.get("PATH"))
    missing = {tool: package for tool, package in _TOOLS.items() if not shutil.which(tool, path=path)}
    if missing:
        raise SandboxError(
            f"The sandbox runs {' and '.join(missing)}, which this machine does not have.",
            hint=f"Install it: sudo apt install {' '.join(missing.values())}",
        )
    try:
        os.close(os.open(tun, os.O_RDWR))
    except FileNotFoundError:
        raise SandboxError(f"This machine has no {tun}.", hint="Load its driver: sudo modprobe tun") from None
    except PermissionError:
        mode = stat.S_IMODE(tun.stat().st_mode)
        raise SandboxError(
            f"{tun} is not open to this user: mode {mode:04o}, where udev makes it 0666.",
            hint=f"Open it: sudo chmod 0666 {tun}; or run the sandbox as root.",
        ) from None
    except OSError as error:
        raise SandboxError(
            f"{tun} cannot be opened: {error.strerror}.", hint="Load its driver: sudo modprobe tun"
        ) from None


def enter() -> None:
    """Take this process, and the children it forks from here on, out of the machine's namespaces.

    The caller becomes uid 0 and gid 0 of a user namespace where it alone is mapped; root does without where user
    namespaces are refused. The pid namespace takes effect with the next fork, whose child must call ``furnish``.

    Raises:
        SandboxError: the kernel refuses.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWUSER | _NAMESPACES)
    except OSError as refusal:
        if uid != 0:
            raise refused(refusal) from None
        try:
            unshare(_NAMESPACES)
        except OSError as error:
            raise refused(error) from None
        return
    try:
        # user_namespaces(7): without CAP_SETGID outside, a gid may be mapped only once setgroups is denied.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise refused(error) from None


def furnish() -> None:
    """Give PID 1 of the new namespaces its own /proc, /run, resolver configuration and host name.

    The empty /run also hides the sockets of the host's D-Bus, systemd-resolved, avahi and nscd: a name is asked of the
    server in /etc/resolv.conf or of nobody, and no program on the device can meet the host's ModemManager.

    Raises:
        SandboxError: the kernel refuses, or /etc/resolv.conf is missing.
    """
    resolv_conf = Path(
        RESOLV_CONF
    ).resolve()  # systemd-resolved makes it a link into /run, which is about to be covered
    if not resolv_conf.exists() and not resolv_conf.is_relative_to("/run"):
        raise SandboxError(f"This machine has no {RESOLV_CONF} to cover.", hint=f"Make one: sudo touch {RESOLV_CONF}")
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        if resolv_conf.is_relative_to("/run"):
            resolv_conf.parent.mkdir(parents=True, exist_ok=True)
            resolv_conf.write_text(RESOLVER)
        else:
            cover = Path("/run/resolv.conf")
            cover.write_text(RESOLVER)
            mount(str(cover), str(resolv_conf), flags=MS_BIND)
        socket.sethostname("device")
    except OSError as error:
        raise refused(error) from None


def refused(error: OSError, switches: Sequence[tuple[str, str, str]] = _SWITCHES) -> SandboxError:
    """The error for namespaces that the kernel refuses.

    Args:
        error: what it said.
        switches: the settings that may be the cause: a file, what it then holds, the cure.
    """
    what = f"The kernel refuses this user the sandbox's namespaces: {error.strerror} ({error.filename or 'mount'})."
    for place, off, cure in switches:
        try:
            if Path(place).read_text().strip() == off:
                return SandboxError(what, hint=f"Allow them: {cure}; or run the sandbox as root.")
        except OSError:
            continue
    if error.errno == errno.ENOSPC:
        return SandboxError(what, hint="Raise the limit: sudo sysctl -w user.max_user_namespaces=10000")
    return SandboxError(what, hint="Run the sandbox as root, and outside a chroot or a container that refuses them.")


def unavailable() -> str | None:
    """Why this machine cannot run the sandbox, in a sentence with its cure; None where it can. Leaves no trace."""
    # In a process of its own: a test runner may have threads, and a process with threads cannot unshare or safely fork.
    tried = subprocess.run([sys.executable, "-m", __spec__.name], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else tried.stdout.strip() or tried.stderr.strip()


def _try_all() -> int:
    """Go the whole way in this process and a child, and print what was refused."""
    try:
        check_machine()
        enter()
        if (child := os.fork()) == 0:
            os._exit(_tried(furnish))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except SandboxError as error:
        print(error.message, error.hint)
        return 1


def _tried(step: Callable[[], None]) -> int:
    try:
        step()
    except SandboxError as error:
        print(error.message, error.hint, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_try_all())
