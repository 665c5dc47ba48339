"""Where the report's parts come from: settings, versions, journal, surroundings, and what becomes of those that fail."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import subprocess
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from phonecheck import config
from phonecheck.errors import ServiceError
from phonecheck.report import log
from phonecheck.report.contents import PARTS, as_json, compose, history
from phonecheck.report.scrub import Surroundings
from phonecheck.report.settings import TABLE, in_force
from phonecheck.report.surroundings import surroundings
from phonecheck.report.versions import versions

NOW = dt.datetime(2026, 11, 24, 3, 33, 46, tzinfo=dt.UTC)


def test_every_setting_has_a_rule_of_its_own() -> None:
    sections = config.Settings()
    names = {
        f"{section.name}.{key.name}"
        for section in dataclasses.fields(sections)
        for key in dataclasses.fields(getattr(sections, section.name))
    }
    assert names == set(TABLE)


def test_no_setting_tells_a_secret_or_a_number() -> None:
    settings = config.parse(
        {
            "server": {
                "url": "https://app.example/base",
                "redirect_url": "https://user:pw@app.example/done?token=hush",
                "token_file": "/home/anna/token-hush",
                "ca_file": "/home/anna/hush.pem",
                "client_cert": "/home/anna/hush.pem",
                "client_key": "/home/anna/hush.key",
            },
            "phone": {"number": "+447700900123"},
            "modem": {"id": "iccid:8944001012345678909", "apn": "internet", "pin_file": "/home/anna/hush"},
            "link": {"dns": ["10.64.0.53"]},
        }
    )
    shown = in_force(settings)
    assert not any(word in json.dumps(shown) for word in ("hush", "4477", "89440", "anna", "pw"))
    assert shown["server.url"] == "https://app.example/base"
    assert shown["server.token_file"] == shown["modem.pin_file"] == shown["server.client_key"] == "set"
    assert shown["phone.number"] == "…0123"
    assert shown["modem.id"] == "iccid:…8909"
    assert (shown["modem.apn"], shown["link.dns"]) == ("internet", ["10.64.0.53"])
    assert in_force(config.Settings())["server.token_file"] == "not set"


def test_versions_are_asked_of_programs_files_and_packages(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi Zero 2 W Rev 1.0\0")
    said = {"ModemManager": "ModemManager 1.24.0\nCopyright\n", "systemctl": "systemd 257 (257.8-1)\n+PAM\n"}
    found = versions(lambda command: said.get(command[0], ""), tmp_path)
    assert found["distribution"] == "Debian GNU/Linux 13 (trixie)"
    assert found["board"] == "Raspberry Pi Zero 2 W Rev 1.0"
    assert (found["ModemManager"], found["NetworkManager"], found["systemd"]) == ("1.24.0", None, "257")
    assert found["click"]


def test_versions_without_anything_are_none(tmp_path: Path) -> None:
    found = versions(lambda _: "", tmp_path)
    assert found["distribution"] is found["board"] is found["ModemManager"] is None
    assert found["Python"]


def test_libraries_are_not_imported_for_their_version() -> None:
    code = "import sys; from phonecheck.report.versions import versions; versions(lambda _: ''); print(*sys.modules)"
    import sys

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"httpx", "httpcore", "gi", "pydbus", "dns", "pyroute2", "click"} & set(loaded)


def journal(*entries: object, stderr: bytes = b"", status: int = 0) -> Callable[[Any], Any]:
    stdout = b"\n".join(e if isinstance(e, bytes) else json.dumps(e).encode() for e in entries)
    return lambda command: subprocess.CompletedProcess(command, status, stdout, stderr)


AT = {"__REALTIME_TIMESTAMP": "1795491226000000"}


def test_log_lines_have_time_level_and_redacted_text() -> None:
    entries = (
        {**AT, "PRIORITY": "4", "MESSAGE": "imsi 234101234567890", "_HOSTNAME": "annas-van"},
        {**AT, "MESSAGE": [98, 255]},
        {**AT, "PRIORITY": "9", "MESSAGE": None},
        b"-- No entries --",
        b"[1]",
        {"MESSAGE": "without a time"},
        {"__REALTIME_TIMESTAMP": "9" * 30, "MESSAGE": "beyond all time"},
    )
    assert log.lines(journal(*entries)) == [
        {"at": "2026-11-24T03:33:46Z", "level": "warning", "text": "imsi …7890"},
        {"at": "2026-11-24T03:33:46Z", "level": "info", "text": "b\ufffd"},
        {"at": "2026-11-24T03:33:46Z", "level": "info", "text": ""},
    ]


@pytest.mark.parametrize(
    ("run", "code", "words"),
    [
        (
            journal(stderr=b"Hint: You are currently not seeing messages from other users"),
            "not-allowed",
            "may not read",
        ),
        (
            journal(stderr=b"No journal files were opened due to insufficient permissions.", status=1),
            "not-allowed",
            "may",
        ),
        (journal(b"-- No entries --"), "agent-unavailable", "holds no line"),
        (journal(status=1), "agent-unavailable", "failed"),
    ],
)
def test_a_log_that_is_not_to_be_seen_says_why(run: Any, code: str, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        log.lines(run)
    assert caught.value.code == code
    assert words in caught.value.message


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError(13, "no"), subprocess.TimeoutExpired("j", 1)])
def test_a_journalctl_that_cannot_be_asked_is_a_reason(error: Exception) -> None:
    def run(_: object) -> Any:
        raise error

    with pytest.raises(ServiceError) as caught:
        log.lines(run)
    assert caught.value.code == "agent-unavailable"


def test_surroundings_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (net / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    (net / "if_inet6").write_text(
        "20010db8000700000000000000000001 02 40 00 80     eth0\n" + "0" * 31 + "1 01 80 10 80 lo\n"
    )
    around = surroundings(tmp_path)
    assert around.networks == {"eth0": (ip_network("192.168.1.0/24"), ip_network("2001:db8:7::/64"))}
    assert ip_address("192.168.1.7") in around.networks["eth0"][0]


def test_surroundings_of_this_machine_name_it() -> None:
    import socket

    assert socket.gethostname() in surroundings().names


def test_a_part_that_fails_costs_only_itself(sources: dict[str, Any]) -> None:
    def denied() -> Any:
        raise ServiceError("not-allowed", "This user may not ask the service.")

    def broken() -> Any:
        raise KeyError("447700900123")

    report = compose(sources | {"history": denied, "link": broken}, Surroundings(), NOW)
    assert list(report) == ["schema", "made_at", *PARTS, "missing"]
    assert report["history"] is report["link"] is None
    assert report["modem"]
    reasons = {entry["what"]: (entry["code"], entry["why"]) for entry in report["missing"]}  # type: ignore[index,union-attr,call-overload]
    assert reasons == {
        "history": ("not-allowed", "This user may not ask the service."),
        "link": ("internal-error", "Unexpected KeyError in the report's link."),
    }


def test_the_doctor_goes_last(sources: dict[str, Any]) -> None:
    order: list[str] = []
    compose({part: lambda part=part: order.append(part) for part in sources}, Surroundings(), NOW)
    assert order[-1] == "diagnosis"


def test_history_is_short_but_for_the_last_of_each_kind(report: dict[str, Any]) -> None:
    told = report["history"]
    assert len(told["checks"]) == 96
    assert set(told["checks"][0]) == {"at", "trigger", "outcome", "ms", "code", "operator", "signal", "technology"}
    assert told["last_failed"]["result"]["hops"][1]["status"] is None
    assert len(told["last_good"]["result"]["hops"]) == 4


@pytest.mark.parametrize("check", [{}, {"result": None}, {"result": {"error": None, "modem": None, "outcome": None}}])
def test_a_check_without_an_answer_is_one_without_facts(check: dict[str, Any]) -> None:
    told = history([check])
    assert told["checks"] == [
        dict.fromkeys(("at", "trigger", "outcome", "ms", "code", "operator", "signal", "technology"))
    ]
    assert told["last_failed"] == check
    assert told["last_good"] is None


def test_no_more_than_the_last_checks_are_told() -> None:
    assert len(history([{}] * 300)["checks"]) == 200


def test_json_is_whole_and_readable(report: dict[str, Any]) -> None:
    text = as_json(report)
    assert json.loads(text) == report
    assert text.endswith("}\n")
    assert "…8909" in text
