"""The engineer's commands on a device as it is sold: real polkit, real systemd credentials, a real journal."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from system.container.booted import Device

NUMBER, IMSI, SECRET = "+447700900123", "001010123456789", "sbxsecret-in-a-log-line"
# A line of another program, which knows nothing of redaction, in the service's own journal.
TALK = f"[Service]\nExecStartPre=/bin/echo 'dialler: {NUMBER} {IMSI} token={SECRET} done'\n"
IDENTITIES = (NUMBER.removeprefix("+"), IMSI, SECRET, "sbxsecret")


def doctor(device: Device, *words: str, user: str = "") -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Its exit status, its answer, and the rungs by their slugs."""
    done = device.run(*as_user(user), "phonecheck", "doctor", "--json", *words, check=False)
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    return done.returncode, answer, {rung["slug"]: rung for rung in answer["rungs"]}


def as_user(user: str) -> tuple[str, ...]:
    return ("runuser", "-u", user, "--") if user else ()


@pytest.fixture(scope="module")
def stranger(device: Device) -> str:
    device.run("useradd", "--no-create-home", "--groups", "nogroup", "stranger")
    return "stranger"


def test_root_finds_all_well_and_by_the_line_that_is_told_with_the_services_credential_too(device: Device):
    device.at_rest()
    before = device.ctl("snapshot")
    status, answer, rungs = doctor(device)
    assert (status, answer["well"], answer["cause"]) == (0, True, None)
    assert {slug: rung["words"] for slug, rung in rungs.items() if rung["state"] == "failed"} == {}
    assert rungs["polkit"]["state"] == rungs["bearer"]["state"] == rungs["platform"]["state"] == "well"
    assert rungs["modem-manager"]["words"].startswith("ModemManager 1.")
    assert rungs["service"]["words"].startswith("idle; last: match")
    # The token is in systemd's credential store, and not in root's shell.
    assert [slug for slug, rung in rungs.items() if rung["state"] == "unseen"] == ["server", "mobile-address"]
    assert device.ctl("snapshot") == before

    line = rungs["server"]["command"]
    assert line.startswith("sudo systemd-run ")
    page = device.run(*shlex.split(line)[1:])
    assert re.search(r"^ALL WELL  \(", page.stdout, re.MULTILINE), page.stdout
    assert "unseen" not in page.stdout
    assert not [name for name in IDENTITIES if name in page.stdout + page.stderr]


def test_an_ordinary_user_is_told_what_takes_rights_and_changes_nothing(device: Device, stranger: str):
    device.at_rest()
    before, checks = device.ctl("snapshot"), device.history()
    status, answer, rungs = doctor(device, user=stranger)
    assert (status, answer["cause"], answer["error"]["code"]) == (4, "polkit", "not-authorized")
    assert [slug for slug, rung in rungs.items() if rung["state"] == "failed"] == ["polkit"]
    assert rungs["kernel"]["facts"]["net_admin"] is False
    assert rungs["bearer"]["because"] == "polkit"
    assert {"registration", "signal", "server"} <= {slug for slug, rung in rungs.items() if rung["state"] == "unseen"}
    assert all(rung["words"] for rung in rungs.values() if rung["state"] == "unseen")
    # Where nothing is to be made ready, no right is missing: then the modem itself is what is not connected.
    status, answer, _ = doctor(device, "--no-connect", user=stranger)
    assert (status, answer["cause"], answer["error"]["code"]) == (4, "bearer", "not-connected")
    assert (device.ctl("snapshot"), device.history()) == (before, checks)


def test_a_modem_manager_that_does_not_run_is_named(device: Device, stranger: str):
    device.at_rest()
    device.ctl("manager-stop")
    try:
        status, answer, _ = doctor(device)
        assert (status, answer["cause"], answer["error"]["code"]) == (4, "modem-manager", "modem-manager-unavailable")
        _, _, rungs = doctor(device, user=stranger)
        assert [slug for slug, rung in rungs.items() if rung["state"] == "failed"] == ["polkit", "modem-manager"]
    finally:
        device.ctl("manager-start")
    device.until(lambda: "/Modem/" in device.run("mmcli", "-L", check=False).stdout, 20, "a modem")


def test_a_report_has_the_journal_and_nobody_in_it(device: Device, stranger: str):
    device.drop_in("talk", TALK)
    device.run("systemctl", "restart", "phonecheck-agent")
    device.at_rest()
    assert NUMBER in device.messages(), "the journal itself has what was said"
    device.run("phonecheck", "report", "--output", "/tmp/report.html")
    text = device.path("/tmp/report.html").read_text()
    found = re.search(r'id="report">(.*?)</script>', text, re.DOTALL)
    assert found
    report = json.loads(found[1])
    lines = [line["text"] for line in report["log"]]
    assert len(lines) > 5
    assert [line for line in lines if line.startswith("dialler:") and line.endswith("done")]
    assert not [name for name in IDENTITIES if name in text]
    assert report["history"]["checks"]
    assert report["service"]["state"] == "idle"
    assert report["versions"]["systemd"]
    assert {part["what"] for part in report["missing"]} <= {"link"}, report["missing"]
    assert device.path("/tmp/report.html").stat().st_mode & 0o777 == 0o644

    shown = device.run(*as_user(stranger), "phonecheck", "report", "--show", "--no-traffic")
    theirs = json.loads(shown.stdout)
    missing = {part["what"]: part for part in theirs["missing"]}
    assert {"history", "log"} <= missing.keys()
    assert missing["history"]["code"] == missing["log"]["code"] == "not-allowed"
    assert not [name for name in IDENTITIES if name in shown.stdout + shown.stderr]
