"""The real NetworkManager for the sandbox: installed, or only unpacked.

Installed where it was not, it would take over the interfaces of a developer's machine. So Debian's packages are unpacked
into the user's cache, where nothing starts them: ``python -m phonecheck_sandbox.nm_package``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phonecheck_sandbox.errors import SandboxError

PATH = "/usr/sbin/NetworkManager"
_PACKAGE = "network-manager"
# A line of apt-get --simulate: an upgrade names the old version in brackets, and is not needed to run the program.
_NEW = re.compile(rf"^Inst ({_PACKAGE}|lib[^ ]+) \(", re.MULTILINE)
# Setup waits for it, each time as long as it fails: offline, apt would try again and again.
_IMPATIENT = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"]
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Program:
    """A NetworkManager that can be run.

    Attributes:
        tree: where it was unpacked, to be laid over ``/usr`` for it alone; None where it is installed.
    """

    tree: Path | None


def cache(env: Mapping[str, str] = os.environ) -> Path:
    """Where it is unpacked to."""
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "/root") / ".cache"
    return Path(base) / "phonecheck" / _PACKAGE


def find(installed: Path = Path(PATH), unpacked: Path | None = None) -> Program | None:
    """The NetworkManager that there is, None where there is none."""
    if _runs(installed):
        return Program(None)
    tree = cache() if unpacked is None else unpacked
    return Program(tree) if _runs(tree / PATH.lstrip("/")) else None


def unpack(directory: Path) -> None:
    """Download NetworkManager and the libraries that this machine lacks, and unpack them; no root, nothing installed.

    Raises:
        SandboxError: apt does not know the packages, or cannot get them.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: the name is taken when everything is in it.
        with tempfile.TemporaryDirectory(dir=directory.parent) as place:
            _unpack(directory, Path(place))
    except OSError as error:
        raise SandboxError(
            f"{directory} cannot be written: {error.strerror}.", hint="Set XDG_CACHE_HOME to a directory of yours."
        ) from None


def _unpack(directory: Path, place: Path) -> None:
    debs, tree = place / "debs", place / "tree"
    debs.mkdir()
    simulation = _run(["apt-get", "--simulate", "--no-install-recommends", "install", _PACKAGE], debs)
    # As root, apt would download as a user of its own, who may not write here.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    _run(["apt-get", *_IMPATIENT, *sandbox, "download", *_NEW.findall(simulation)], debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(deb), str(tree)], debs)
    if (tree / "lib").is_dir():  # Debian 12 has libraries there; the machine's own /lib is in /usr
        shutil.copytree(tree / "lib", tree / "usr" / "lib", symlinks=True, dirs_exist_ok=True)
    if not _runs(tree / PATH.lstrip("/")):
        raise SandboxError(f"{_PACKAGE} has no {PATH}.", hint="The sandbox uses its stand-in without it.")
    if not _runs(directory / PATH.lstrip("/")):  # else another checkout's setup was first, and a sandbox may run it
        shutil.rmtree(directory, ignore_errors=True)
        tree.rename(directory)


def _runs(program: Path) -> bool:
    return shutil.which(program) is not None  # where we may not even look, too


def _run(argv: Sequence[str], directory: Path) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    except OSError as error:
        raise SandboxError(
            f"{argv[0]} cannot be run: {error.strerror}.", hint="The sandbox uses its stand-in without it."
        ) from None
    except subprocess.TimeoutExpired:
        raise SandboxError(
            f"{argv[0]} did not end in {_LONGEST_SECONDS:.0f} s.", hint="Try again with a better network."
        ) from None
    if done.returncode:
        said = (done.stderr.strip() or "it does not say why").splitlines()[-1]
        raise SandboxError(f"{argv[0]} failed: {said}", hint="Refresh its lists: sudo apt-get update")
    return done.stdout


def _main() -> int:
    if (found := find()) is not None:
        print(f"NetworkManager is {'installed' if found.tree is None else f'unpacked in {found.tree}'} already.")
        return 0
    try:
        unpack(cache())
    except SandboxError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 1
    print(f"NetworkManager is unpacked in {cache()}; only the sandbox runs it.")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
