"""`phonecheck report` as its user meets it, on a device that has nothing: no bus, no modem, no service."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phonecheck.report.contents import PARTS

NAME = re.compile(r"phonecheck-report-\d{8}T\d{6}Z\.html")


@pytest.fixture
def report(tmp_path: Path) -> Any:
    place = tmp_path / "here"
    place.mkdir()

    def run(*arguments: str, env: dict[str, str] | None = None, stdout: Any = subprocess.PIPE) -> Any:
        clean = {k: v for k, v in os.environ.items() if k not in ("PHONECHECK_CONFIG", "CREDENTIALS_DIRECTORY")}
        clean |= {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", **(env or {})}
        command = [sys.executable, "-m", "phonecheck", "report", "--no-traffic", *arguments]
        return subprocess.run(
            command, stdout=stdout, stderr=subprocess.PIPE, env=clean, cwd=place, timeout=120, check=False
        )

    run.place = place  # type: ignore[attr-defined]
    return run


def inside(page: bytes) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', page.decode(), re.DOTALL)
    assert found
    shown: dict[str, Any] = json.loads(found[1])
    return shown


def test_a_report_is_made_of_a_device_that_has_nothing(report: Any) -> None:
    done = report()
    assert done.returncode == 0, done.stderr
    first, *missing, last = done.stdout.decode().splitlines()
    (file,) = report.place.iterdir()
    assert NAME.fullmatch(file.name)
    assert re.fullmatch(rf"{file.name}  \d+ kB", first)
    assert last.startswith("Look through it in a browser, then send it")
    assert any(line.startswith("  without modem: The system bus cannot be reached") for line in missing)
    shown = inside(file.read_bytes())
    assert set(PARTS) < set(shown)
    reasons = {entry["what"] for entry in shown["missing"]}
    assert {"modem", "service", "history"} <= reasons
    assert all(shown[part] is None for part in reasons)
    assert shown["versions"]["Python"]


def test_show_is_what_would_be_sent_and_writes_nothing(report: Any) -> None:
    shown = report("--show")
    assert list(report.place.iterdir()) == []
    assert report("-o", "r.JSON").returncode == 0
    sent = (report.place / "r.JSON").read_text()
    page = inside(report("-o", "-").stdout)
    printed = json.loads(shown.stdout)
    assert list(printed) == list(json.loads(sent)) == list(page)
    for part in ("schema", "versions", "configuration", "missing"):
        assert printed[part] == json.loads(sent)[part] == page[part]
    assert shown.stderr == b""


def test_show_is_json_in_every_locale(report: Any) -> None:
    done = report(
        "--show", "--apn", "caf\u00e9".encode().decode("latin-1"), env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    )
    why = json.loads(done.stdout)["missing"]
    assert any("APN" in entry["why"] for entry in why)


def test_another_file_is_not_replaced_unasked(report: Any) -> None:
    file = report.place / "r.html"
    file.write_text("mine")
    done = report("-o", "r.html")
    assert done.returncode == 3
    assert b"r.html is there already." in done.stderr
    assert b"--force" in done.stderr
    assert file.read_text() == "mine"
    assert report("-o", "r.html", "--force").returncode == 0
    assert inside(file.read_bytes())["schema"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "no/such/r.html"), "There is no directory no/such."),
        (("-o", "/dev/full"), "/dev/full is there, and is not a file."),
        (("-o", "/dev/full", "--force"), "/dev/full is there, and is not a file."),
        (("-o", "."), "is not a file."),
        (("-o", ""), "is not a file."),
        (("-o", "n" * 300), "cannot be written: File name too long."),
    ],
)
def test_a_file_that_cannot_be_is_said(report: Any, arguments: tuple[str, ...], words: str) -> None:
    done = report(*arguments)
    assert done.returncode == 3
    assert words in done.stderr.decode()
    assert b"file-unwritable (exit status 3)" in done.stderr
    assert list(report.place.iterdir()) == []


@pytest.mark.parametrize("arguments", [("-o", "-"), ("--show",)])
def test_a_full_standard_output_is_a_failure(report: Any, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = report(*arguments, stdout=full)
    assert done.returncode == 3
    assert b"Standard output cannot be written: No space left on device." in done.stderr


@pytest.mark.parametrize("arguments", [("--show", "-o", "r.html"), ("--show", "--force"), ("--nonsense",), ("x",)])
def test_a_command_line_that_means_nothing_is_usage(report: Any, arguments: tuple[str, ...]) -> None:
    assert report(*arguments).returncode == 2


def test_a_broken_configuration_is_a_finding_not_an_obstacle(report: Any, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[server]\nurk = 1\n")
    done = report("--show", "--config", str(tmp_path / "agent.toml"))
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert shown["configuration"] is shown["diagnosis"] is None
    reasons = {entry["what"]: entry for entry in shown["missing"]}
    assert reasons["configuration"]["why"] == "Unknown setting server.urk."
    assert reasons["configuration"]["cure"] == "Did you mean server.url?"
    assert shown["versions"]


def test_nobody_is_named(report: Any, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(
        '[server]\nurl = "https://192.168.7.9:8443"\ntoken_file = "/home/anna/token"\n'
        '[phone]\nnumber = "+447700900123"\n[modem]\nid = "imei:490154203237518"\n'
    )
    done = report("--show", "--config", str(tmp_path / "agent.toml"))
    shown = done.stdout.decode()
    host = socket.gethostname()
    named = [host] if len(host) > 2 and host not in ("debian", "localhost", "raspberrypi") else []
    for word in (*named, "anna", "447700900123", "490154203237518", "192.168.7.9"):
        assert not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", shown), word
    assert json.loads(shown)["configuration"]["phone.number"] == "…0123"
