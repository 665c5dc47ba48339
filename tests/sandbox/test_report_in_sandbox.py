"""`phonecheck report` of a device with a carrier: everything in it, and nobody."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECONDS = 40.0


@pytest.fixture
def service(device: Any, tmp_path: Path) -> Iterator[str]:
    """The service, after a check that matched; gives its settings file."""
    settings = device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
    config = tmp_path / "agent.toml"
    config.write_text(settings + '\n[modem]\nconnect = "auto"\napn = "internet"\n')
    run = f"setsid phonecheck run --state-directory {tmp_path}/state --config {config} >>{tmp_path}/log 2>&1 & echo $!"
    pid = device.run("sh", "-c", run).stdout.strip()
    until = time.monotonic() + SECONDS
    while '"match"' not in device.run("phonecheck", "history", "--json").stdout:
        assert time.monotonic() < until, (tmp_path / "log").read_text()
        time.sleep(0.2)
    yield str(config)
    device.run("kill", "-TERM", pid)
    while device.run("test", "-e", f"/proc/{pid}").returncode == 0:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_report_tells_everything_and_nobody(device: Any, service: str, assert_redacted: Any, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = device.run("phonecheck", "report", "--config", service, "-o", page, "-v")
    assert done.returncode == 0, done.stderr
    assert_redacted(done.stdout + done.stderr)
    text = page.read_text()
    assert_redacted(text)
    found = re.search(r'id="report">(.*?)</script>', text, re.DOTALL)
    assert found
    report = json.loads(found[1])
    assert report["modem"]["operator"] == "Sandbox Mobile"
    assert report["modem"]["imei"].startswith("…")
    assert report["service"]["state"] in ("idle", "waiting", "checking")
    good = report["history"]["last_good"]["result"]
    assert [hop["bound_to"] for hop in good["hops"]] == ["wwan0"] * len(good["hops"])
    assert good["link"]["dns"], "the operator's name servers are no secret"
    assert "…" not in good["link"]["dns"]
    assert good["check_id"] in text
    assert report["configuration"]["modem.apn"] == "internet"
    assert report["diagnosis"]["well"] is True, report["diagnosis"]
    # No journal is in the sandbox, and that is said.
    assert {entry["what"] for entry in report["missing"]} <= {"log", "link"}


def test_show_sends_nothing_where_that_is_asked_for(device: Any, assert_redacted: Any) -> None:
    device.packets(reset=True)
    done = device.run("phonecheck", "report", "--show", "--no-traffic")
    assert done.returncode == 0, done.stderr
    assert_redacted(done.stdout)
    report = json.loads(done.stdout)
    assert report["modem"]["manufacturer"]
    assert not any(device.packets().get("wwan0", {}).values())
