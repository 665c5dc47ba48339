"""scripts/setup, in a checkout whose project has no libraries, so that nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup"
PACKAGES = "python3-venv python3-gi gir1.2-glib-2.0 modemmanager dbus nftables iproute2 busybox curl datefudge"

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "phonecheck"
version = "0"
optional-dependencies = { dev = [] }
"""
# The least that pip takes for a build of an editable project with a command.
BACKEND = """
import zipfile
def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "phonecheck-0-py3-none-any.whl"
    files = {
        "METADATA": "Metadata-Version: 2.1\\nName: phonecheck\\nVersion: 0\\nProvides-Extra: dev\\n",
        "WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "entry_points.txt": "[console_scripts]\\nphonecheck = os:getcwd\\n",
    }
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(f"phonecheck-0.dist-info/{file}", text)
        wheel.writestr("phonecheck-0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """With a space in its path."""
    root = tmp_path / "check out"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(SETUP, root / "scripts")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    return root


def environment(tmp_path: Path, *, installed: str = PACKAGES, **programs: str) -> dict[str, str]:
    """One in which these Debian packages are installed, and these programs come before the system's."""
    stubs = tmp_path / "stubs"
    stubs.mkdir(exist_ok=True)
    listing = "".join(f"echo {package} install ok installed\n" for package in installed.split())
    for name, script in {"dpkg-query": listing, **programs}.items():
        (stubs / name).write_text(f"#!/bin/sh\n{script}")
        (stubs / name).chmod(0o755)
    unpacked = tmp_path / "cache/phonecheck/network-manager/usr/sbin/NetworkManager"
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    unpacked.touch(0o755)
    return {
        "PATH": f"{stubs}:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "TMPDIR": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def start(checkout: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", checkout / "scripts" / "setup"],
        cwd="/", env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(checkout: Path, env: dict[str, str]) -> tuple[int, str]:
    with start(checkout, env) as setup:
        output = setup.communicate(timeout=60)[0]
    return setup.returncode, output


@pytest.mark.sandbox  # for its time
@pytest.mark.skipif(not shutil.which("/usr/bin/python3"), reason="there is no Python of Debian's here")
def test_two_at_once_make_one_venv_and_an_unfinished_one_is_made_anew(checkout: Path, tmp_path: Path):
    env = environment(tmp_path)
    with start(checkout, env) as one, start(checkout, env) as other:
        said = [setup.communicate(timeout=60)[0] for setup in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert sorted(map(bool, said)) == [False, True], "the second has nothing to do"
    assert run(checkout, env) == (0, "")

    # As a kill -9 in the middle leaves it.
    (checkout / ".venv" / "stamp").unlink()
    half_written = checkout / ".venv" / "half-written"
    half_written.touch()
    assert run(checkout, env)[0] == 0
    assert not half_written.exists()

    # Another pyproject.toml alone is built upon; another place is not, for the programs name their own.
    (checkout / "pyproject.toml").write_text(PYPROJECT + "# changed")
    kept = checkout / ".venv" / "kept"
    kept.touch()
    assert run(checkout, env)[0] == 0
    assert kept.exists()
    moved = checkout.rename(tmp_path / "moved")
    assert run(moved, env)[0] == 0
    assert not (moved / ".venv" / "kept").exists()
    command = subprocess.run([moved / ".venv/bin/phonecheck"], capture_output=True, text=True, check=False)
    assert command.stderr.strip() == os.getcwd()  # noqa: PTH109  what the command returns, sys.exit prints

    # Without NetworkManager the sandbox has its stand-in: what keeps it away fails nothing. This project has no unpacker.
    del env["XDG_CACHE_HOME"]
    assert run(moved, env)[0] == 0
    status, output = run(moved, env | {"HOME": "/proc/none"})
    assert status == 0
    if not os.access("/usr/sbin/NetworkManager", os.X_OK):
        assert output.endswith("setup: left out; the sandbox's stand-in serves instead\n")


def test_what_is_missing_is_named_with_its_reason_and_what_apt_says_is_shown(checkout: Path, tmp_path: Path):
    env = environment(
        tmp_path, installed="dash", sudo='exec "$@"', **{"apt-get": "echo E: no network here >&2; exit 100"}
    )
    status, output = run(checkout, env)
    assert status == 1
    assert "setup: Debian package nftables: the sandbox's NAT" in output
    assert output.endswith("E: no network here\n")
    assert list(tmp_path.glob("tmp.*")) == []


def test_a_machine_that_is_no_debian_is_told_so(checkout: Path, tmp_path: Path):
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    status, output = run(checkout, {"PATH": str(tmp_path / "bin")})
    assert (status, output) == (1, "setup: this is for Debian and its kin; here is no dpkg.\n")
