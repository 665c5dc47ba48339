"""What runs on this device, by version: the first thing that a vendor asks."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from phonecheck import __version__

LIBRARIES = ("httpx", "httpcore", "pyroute2", "pydbus", "click", "dnspython", "PyGObject")
_PROGRAMS = {
    "ModemManager": ("ModemManager", "--version"),
    "NetworkManager": ("NetworkManager", "--version"),
    "systemd": ("systemctl", "--version"),
}
_SECONDS = 5.0
_PLACES = "/usr/sbin:/sbin"
"""Where Debian has daemons, and an ordinary user's PATH does not lead."""

Say = Callable[[Sequence[str]], str]
"""What a command prints; empty where there is none."""


def versions(say: Say | None = None, root: Path = Path("/")) -> dict[str, str | None]:
    """The version of everything that takes part; None where it is not installed, or does not say.

    Args:
        say: runs a command; tests hand in their own.
        root: where the files are.
    """
    say = say or output
    # No more of uname than this: it holds the device's name, too.
    found: dict[str, str | None] = {
        "phonecheck": __version__,
        "Python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "board": _read(root / "proc/device-tree/model").strip("\0\n ") or None,
        "distribution": _distribution(_read(root / "etc/os-release")),
    }
    for name, command in _PROGRAMS.items():
        words = say(command).partition("\n")[0].removeprefix(name).split()
        found[name] = words[0] if words else None
    return found | {name: _library(name) for name in LIBRARIES}


def output(command: Sequence[str]) -> str:
    """What a command prints on stdout within a few seconds; empty where it cannot be run."""
    environment = os.environ | {"LC_ALL": "C", "PATH": f"{os.environ.get('PATH', os.defpath)}:{_PLACES}"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def _distribution(text: str) -> str | None:
    """os-release(5) is a file of shell assignments."""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            try:
                return " ".join(shlex.split(value)) or None
            except ValueError:
                return None
    return None


def _library(name: str) -> str | None:
    from importlib import metadata  # without the library itself, which would take its time and its memory

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
