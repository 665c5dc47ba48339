"""The unit, as systemd reads it without being booted."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from phonecheck.errors import ExitStatus

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = "phonecheck-agent.service"
DROP_INS_SINCE = {"backoff.conf": 254, "dhcp.conf": 252}

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def settings(name: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for key, value in re.findall(r"^(\w+)=(.*)$", (SYSTEMD / name).read_text(), re.MULTILINE):
        found[key].append(value)
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit beside programs that this machine has: it need not have the package, nor procps."""
    text = re.sub(r"/usr/bin/(phonecheck|kill)\b", "/bin/true", (SYSTEMD / UNIT).read_text())
    file = tmp_path / UNIT
    file.write_text(text)
    return file


def version() -> int:
    told = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[1])


def verify(unit: Path) -> str:
    """What systemd says of it; its exit status is 0 on most mistakes."""
    command = ["systemd-analyze", "verify", "--man=no", unit]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS_SINCE])
def test_systemd_finds_nothing_to_say(unit: Path, drop_in: str | None):
    if drop_in:
        since = DROP_INS_SINCE[drop_in]
        if version() < since:
            pytest.skip(f"{drop_in} is for systemd {since}, and this is {version()}")
        directory = unit.with_name(f"{UNIT}.d")
        directory.mkdir()
        shutil.copy(SYSTEMD / drop_in, directory)
    assert verify(unit) == ""


@needs_systemd
def test_systemd_would_say_something(unit: Path):
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in verify(unit)


@needs_systemd
def test_the_exposure_is_small(unit: Path):
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=18", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_what_the_unit_and_the_agent_say_to_one_another():
    unit = settings(UNIT)
    assert unit["RestartPreventExitStatus"] == [str(int(ExitStatus.CONFIG))]
    # credentials.py takes them by these names; relative ones may be missing.
    assert unit["LoadCredential"] == ["server-token:phonecheck.server-token", "sim-pin:phonecheck.sim-pin"]
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == ["CAP_NET_ADMIN"]
    # Where docs/service.md has service.metrics, for another user's eyes; kept for who looks into it meanwhile.
    assert (unit["RuntimeDirectory"], "RuntimeDirectoryMode" in unit) == (["phonecheck"], False)
    assert 'metrics = "/run/phonecheck/' in (SYSTEMD.parent / "docs/service.md").read_text()
    assert not {"DynamicUser", "IPAddressDeny"} & set(unit)
    assert "network-online.target" not in " ".join(unit["After"] + unit["Wants"])
    user, group = unit["User"][0], settings(UNIT).get("Group", [])
    assert re.search(rf"^u {user} ", (SYSTEMD / "phonecheck.sysusers").read_text(), re.MULTILINE)
    assert not group, "sysusers makes the user's own"


def test_no_restart_takes_so_long_that_the_watchdogs_promise_fails():
    """Back within 2 x WatchdogSec, after however many starts in the months before."""
    unit, backoff = settings(UNIT), settings("backoff.conf")
    slowest = max(int(unit["RestartSec"][0]), int(backoff["RestartMaxDelaySec"][0]))
    assert slowest <= int(unit["WatchdogSec"][0]) / 2
    assert unit["StartLimitIntervalSec"] == ["0"]
