from __future__ import annotations

import json
import subprocess
import sys

import pytest

from phonecheck_sandbox.scenarios import SCENARIOS


def sandbox(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "phonecheck_sandbox.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("run",), "COMMAND"),
        (("run", "--rtt", "-1", "--", "true"), "--rtt"),
        (("run", "--loss", "101", "--", "true"), "--loss"),
        (("run", "--modems", "3", "--", "true"), "--modems"),
        (("run", "--scenario", "bad-radios", "--", "true"), "Did you mean bad-radio?"),
        (("run", "--dhcp", "--", "true"), "--link ethernet"),
        (("run", "--dhcp", "--link", "ethernet", "--ip", "6", "--", "true"), "of IPv4"),
        (("run", "--scenario", "dhcp", "--ip", "6", "--", "true"), "of IPv4"),
        (("run", "--link", "hat", "--modems", "2", "--", "true"), "stands alone"),
        (("run", "--link", "wifi", "--", "true"), "ethernet"),
        (("run", "--set", "colour=red", "--", "true"), "unknown condition 'colour'"),
        (("run", "--set", "mno_loop=maybe", "--", "true"), "mno_loop takes yes or no"),
        (("run", "--", "no-such-program"), "'no-such-program' is not a program"),
        (("ctl", "explode"), "explode"),
        (("here",), "--throw-away"),
        (("here", "--throw-away", "--link", "usb0"), "--modems 0"),
    ],
)
def test_bad_input_is_said_before_anything_starts(words: tuple[str, ...], cause: str):
    done = sandbox(*words)
    assert done.returncode == 2
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_scenarios_are_listed_without_a_sandbox():
    listed = sandbox("scenarios")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(SCENARIOS)
    as_json = json.loads(sandbox("scenarios", "--json").stdout)
    assert as_json["two-modems"]["plan"] == {"modems": 2}
    assert as_json["sim-locked"]["acts"] == ["lock-sim"]


def test_ctl_without_a_sandbox_says_how_to_start_one():
    done = sandbox("ctl", "--pid", "1", "state")
    assert done.returncode == 70
    assert done.stderr == (
        "phonecheck-sandbox: No sandbox of yours has the pid 1.\n"
        "Start one in another terminal: phonecheck-sandbox shell\n"
    )
