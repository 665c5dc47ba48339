"""The README's first command, and that it can say no."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from phonecheck_sandbox.demo import Demo


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "phonecheck_sandbox.cli", "demo", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def test_the_demo_tells_its_story_and_all_of_it_holds() -> None:
    done = demo("--rtt", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("Sandbox Mobile", "MATCH", "NO MATCH", "not_mobile_ip", "all bound to wwan0", "All of it held"):
        assert words in done.stdout
    assert "NOT SO" not in done.stdout


def test_the_demo_speaks_to_machines_too() -> None:
    found = json.loads(demo("--rtt", "0", "--json").stdout)
    assert found["held"] is True
    assert all(found["claims"].values())
    assert (found["match"]["match"], found["no_match"]["match"]) == (True, False)
    assert found["over_lan"] == {"http_status": 412, "problem": "not_mobile_ip"}
    assert [found["packets"]["lan0"][to] for to in ("platform", "mno", "carrier-dns")] == [0, 0, 0]


@pytest.mark.parametrize("condition", ["platform_status=412", "dns_fault=silent", "app_fault=down"])
def test_a_demo_that_does_not_hold_says_so(device: Any, condition: str) -> None:
    device.box.ctl("set", condition)
    done = device.run(sys.executable, "-P", "-m", "phonecheck_sandbox.demo")
    device.packets(reset=True)  # curl went by the LAN, as it should
    assert done.returncode == 1, done.stdout
    assert "NOT SO" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Not all of it held" in done.stdout


def test_a_demo_is_told_in_the_letters_that_the_locale_has_and_to_whoever_listens(device: Any) -> None:
    told = [sys.executable, "-P", "-m", "phonecheck_sandbox.demo"]
    script = '"$@" | head -n 1; true'
    done = device.run("sh", "-c", script, "sh", *told, env={"PYTHONIOENCODING": "ascii"})
    device.packets(reset=True)
    assert (done.stdout, done.stderr) == ("phonecheck: a SIM verified over a mobile link\n", "")


def test_one_claim_that_fails_is_enough() -> None:
    demo = Demo(quiet=True)
    demo.claim("one", True)
    demo.claim("two", False)
    assert not demo.held
