"""`phonecheck deliver` by itself: what its lines say where there is nothing to post to, or nothing to post."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPORT = b'{"id": "a", "body": {}}\n'


def deliver(tmp_path: Path, settings: str, stdin: bytes) -> tuple[int, list[dict[str, object]]]:
    file = tmp_path / "agent.toml"
    file.write_text(settings)
    env = {k: v for k, v in os.environ.items() if k not in ("PHONECHECK_CONFIG", "CREDENTIALS_DIRECTORY")}
    done = subprocess.run(
        [sys.executable, "-m", "phonecheck", "deliver", "--config", str(file)],
        input=stdin,
        env=env | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


SERVER = '[server]\nurl = "http://127.0.0.1:9"\nreport = "/r"\n'
OVER_MODEM = '[server]\nurl = "https://app.example"\nreport = "/r"\nover = "modem"\n'


def test_a_server_that_is_down_fails_the_first_report_and_ends_well(tmp_path: Path) -> None:
    status, lines = deliver(tmp_path, SERVER, REPORT + REPORT)
    assert status == 0
    (line,) = lines
    assert (line["id"], line["result"], line["code"]) == ("a", "failed", "server-unreachable")


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ("", 3, "bad-setting"),
        ('[server]\nurl = "https://app.example"\n', 3, "bad-setting"),
        ("nonsense", 3, "bad-setting"),
        (SERVER.replace("[server]", '[server]\ntoken_file = "/no/such/token"'), 3, "missing-credential"),
        (SERVER.replace("http:", "https:") + 'ca_file = "/no/such/ca"\n', 3, "bad-setting"),
        (OVER_MODEM, 4, "modem-manager-unavailable"),
    ],
)
def test_what_keeps_it_from_working_is_one_error_and_an_exit_status(
    tmp_path: Path, settings: str, status: int, code: str
) -> None:
    found, lines = deliver(tmp_path, settings, REPORT)
    (line,) = lines
    assert found == status
    assert line["error"]["code"] == code  # type: ignore[index]


def test_nothing_to_post_needs_no_modem(tmp_path: Path) -> None:
    assert deliver(tmp_path, OVER_MODEM, b"") == (0, [])


def test_a_line_that_is_no_report_is_refused_in_its_turn(tmp_path: Path) -> None:
    long = b'{"id": "b", "body": {"x": "' + b"x" * 600_000 + b'"}}\n'
    status, lines = deliver(tmp_path, SERVER, b"{}\n" + long + b'{"id": "a b", "body": {}}\n' + REPORT)
    assert status == 0
    assert [(line["id"], line["result"], line["code"]) for line in lines] == [
        *([(None, "refused", "bad-report")] * 3),
        ("a", "failed", "server-unreachable"),
    ]


def test_it_is_not_offered(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "phonecheck", "--help"], capture_output=True, text=True, check=True)
    assert "deliver" not in done.stdout
