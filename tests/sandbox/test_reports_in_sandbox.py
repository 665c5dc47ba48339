"""Reports on their real way: by the LAN or over the modem, to an app server on its good and bad days."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest


def deliver(device: Any, directory: Path, *keys: str, more: str = "") -> tuple[int, list[dict[str, Any]]]:
    """Have reports delivered; the exit status and the lines."""
    settings = device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
    if more:
        settings = settings.replace("[server]\n", f"[server]\n{more}\n")
    (directory / "agent.toml").write_text(settings)
    outcome = {"outcome": "match", "error": None}
    bodies = [{"report": key, "trigger": "start", "at": None, "outcome": outcome} for key in keys]
    lines = [json.dumps({"id": body["report"], "body": body}) for body in bodies]
    (directory / "reports").write_text("".join(f"{line}\n" for line in lines))
    script = f"phonecheck deliver --config {directory}/agent.toml < {directory}/reports"
    done = device.run("sh", "-c", script)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def received(device: Any, *keys: str) -> list[int]:
    """How often each was delivered, as the app server counts."""
    counted = {report["report"]: report["deliveries"] for report in device.box.ctl("state")["reports"]}
    return [counted.get(key, 0) for key in keys]


@pytest.fixture
def keys() -> tuple[str, str, str]:
    a, b, c = (uuid.uuid4().hex for _ in range(3))
    return a, b, c


@pytest.mark.parametrize("more", ["", 'over = "modem"'], ids=["by the normal routes", "over the modem"])
def test_reports_arrive_in_order_and_once(device: Any, tmp_path: Path, keys: tuple[str, ...], more: str) -> None:
    before = device.packets()["lan0"]["app-server"]
    status, lines = deliver(device, tmp_path, *keys, more=more)
    assert status == 0
    assert [(line["id"], line["result"]) for line in lines] == [(key, "delivered") for key in keys]
    assert [r["report"] for r in device.box.ctl("state")["reports"][-3:]] == list(keys)
    assert received(device, *keys) == [1, 1, 1]
    assert (device.packets()["lan0"]["app-server"] > before) == (more == "")


@pytest.mark.parametrize(
    ("fault", "code", "wait", "came"),
    [
        ("report-down", "server-unreachable", None, 0),
        ("report-lost", "server-unreachable", None, 1),
        ("report-401", "server-rejected", None, 0),
        ("report-404", "protocol-mismatch", None, 0),
        ("report-429", "server-rejected", 5, 0),
        ("report-500", "server-unreachable", None, 0),
    ],
)
def test_a_report_that_was_not_taken_comes_again_and_counts_once(
    device: Any, tmp_path: Path, keys: tuple[str, ...], fault: str, code: str, wait: float | None, came: int
) -> None:
    device.set(app_fault=fault)
    status, lines = deliver(device, tmp_path, *keys)
    assert (status, len(lines)) == (0, 1)
    assert (lines[0]["result"], lines[0]["code"], lines[0]["retry_after"]) == ("failed", code, wait)
    assert received(device, *keys) == [came, 0, 0]
    # The check itself is not touched by it.
    assert device.verify().status == 0
    device.set(app_fault="")
    assert [line["result"] for line in deliver(device, tmp_path, *keys)[1]] == ["delivered"] * 3
    assert received(device, *keys) == [came + 1, 1, 1]


def test_a_slow_server_gets_its_time(device: Any, tmp_path: Path, keys: tuple[str, ...]) -> None:
    device.set(app_fault="report-slow")
    assert [line["result"] for line in deliver(device, tmp_path, keys[0])[1]] == ["delivered"]


@pytest.mark.parametrize(
    ("condition", "code", "wait"),
    [({"app_fault": "429"}, "server-rejected", 3600), ({"platform_status": 429}, "rate-limited", 30)],
)
def test_whoever_verifies_is_told_how_long_to_wait(
    device: Any, condition: dict[str, object], code: str, wait: float
) -> None:
    device.set(**condition)
    error = device.verify().json["error"]
    assert (error["code"], error["retry_after"]) == (code, wait)
