"""`phonecheck run` on a device with a carrier: what it verifies, reports and remembers, and what it lives through.

PHONECHECK_SOAK says how many checks the soak makes, and each takes half a second.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import world
from running_service import Running

SOAK = int(os.environ.get("PHONECHECK_SOAK", "25"))


@pytest.fixture
def start(device: Any, tmp_path: Path, assert_redacted: Callable[[str], None]) -> Iterator[Callable[..., Running]]:
    """Starts the service; ends it after the test, and looks at what it logged and keeps."""
    started: list[Running] = []

    def begin(*, conditions: dict[str, str] | None = None, **settings: str) -> Running:
        device.set(**conditions or {})
        started.append(Running(device, tmp_path, **settings))
        return started[-1]

    yield begin
    for service in started:
        device.box.ctl("reset")
        service.end()
        log = service.log.read_text()
        assert "Traceback" not in log, log
        assert_redacted(log)
        for file in service.state.glob("agent.db*"):
            # Its texts: what lies between them may look like anything (seen: "?6s=").
            for text in re.findall(rb"[ -~]{12,}", file.read_bytes()):
                assert_redacted(text.decode())


ONE = [("start", "match")]


def test_it_verifies_at_start_and_reports_once(start: Any) -> None:
    service = start()
    service.until(lambda: service.outcomes() == ONE and service.status()["outbox"] == 0, "verified and reported")
    (check,) = service.history()
    (report,) = service.reports()
    assert report == {
        "report": check["id"],
        "outcome": "match",
        "error_code": None,
        "trigger": "start",
        "deliveries": 1,
    }
    status = service.status()
    assert (status["state"], status["next_run"], status["problem"]) == ("idle", None, None)
    assert status["last"] == check
    assert check["result"]["link"]["interface"] == "wwan0"


def test_asked_for_it_verifies_and_tells_what_verify_would(start: Any) -> None:
    service = start(service="on_start = false")
    number = f"+{world.SUBSCRIBER.msisdn}"
    done = service.device.run("phonecheck", "verify", number, "--via-service", "--json")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "match"), done
    other = service.device.run("phonecheck", "verify", f"+{world.OTHER_SUBSCRIBER.msisdn}", "--via-service")
    assert (other.returncode, other.stdout.split("  ")[0]) == (1, "NO MATCH"), other
    assert service.outcomes() == [("request", "match"), ("request", "no_match")]
    line = service.device.run("phonecheck", "history", "-n", "1").stdout
    assert "NO MATCH" in line
    assert "request" in line


def test_two_who_ask_for_the_same_get_the_same_check(start: Any) -> None:
    service = start(service="on_start = false")
    service.device.set(radio_rtt=400)
    both = "phonecheck verify --via-service --json >$0/a & phonecheck verify --via-service --json >$0/b & wait"
    service.device.run("sh", "-c", both, service.state.parent)
    one, two = (json.loads((service.state.parent / name).read_text()) for name in "ab")
    assert one["check_id"] == two["check_id"]
    assert len(service.history()) == 1


def test_a_signal_asks_too(start: Any) -> None:
    service = start(service="on_start = false")
    service.kill("USR1")
    service.until(lambda: service.outcomes() == [("signal", "match")], "verified")


def test_on_schedule(start: Any) -> None:
    service = start(service='on_start = false\nevery = "1 s"\njitter = 0')
    service.until(lambda: len(service.history()) >= 2, "verified twice")
    assert set(service.outcomes()) == {("schedule", "match")}
    assert service.status()["next_run"]


def test_another_sim(start: Any) -> None:
    service = start()
    service.until(lambda: service.outcomes() == ONE, "verified")
    try:
        service.device.box.ctl("swap-sim")
        service.until(lambda: len(service.history()) >= 2, "verified again")
        # The number is the SIM's own, and the app server's answer is about that.
        assert service.outcomes()[1][0] == "sim-change"
    finally:
        service.device.box.ctl("swap-sim")
        service.device.box.ctl("connect")
    # The first one again is another one, too.
    service.until(lambda: service.outcomes()[-1] == ("sim-change", "match"), "verified a third time")


def test_a_check_that_is_killed_is_no_outage_and_made_again(start: Any) -> None:
    service = start(conditions={"mno_hang": "yes"})
    service.until(service.child, "verifying")
    service.kill("KILL", service.child())
    service.until(lambda: service.outcomes() == [("start", "check-killed")], "told")
    assert service.status()["state"] == "waiting"
    service.until(service.reports, "reported")
    assert service.reports()[0]["error_code"] == "check-killed"
    service.device.set(mno_hang="no")
    service.until(lambda: service.outcomes()[1:] == [("retry", "match")], "made again")


def test_killed_in_the_middle_it_forgets_and_repeats_nothing(start: Any) -> None:
    service = start(service="on_start = false")
    service.device.set(mno_hang="yes")
    service.kill("USR1")
    service.until(service.child, "verifying")
    service.kill("KILL")
    service.until(service.gone, "gone")
    service.device.set(mno_hang="no")
    service.begin()
    service.until(lambda: service.outcomes()[:1] == [("signal", "check-interrupted")], "remembered")
    service.until(lambda: service.status()["outbox"] == 0, "reported")
    assert [r["deliveries"] for r in service.reports()] == [1] * len(service.reports())


def test_stopped_in_the_middle_it_leaves_nothing(start: Any) -> None:
    service = start(service="on_start = false")
    before = service.device.box.ctl("snapshot")
    service.device.set(mno_hang="yes")
    service.kill("USR1")
    service.until(service.child, "verifying")
    service.end()
    assert service.device.box.ctl("snapshot") == before
    service.device.set(mno_hang="no")
    service.begin()
    assert service.outcomes()[0][0] == "signal"


def test_reports_wait_for_the_app_server(start: Any) -> None:
    service = start(service="on_start = false")
    service.device.set(app_fault="report-down")
    service.kill("USR1")
    service.until(lambda: service.outcomes() == [("signal", "match")], "verified")
    service.until(lambda: service.status()["outbox"] == 1, "kept")
    service.end()
    service.device.box.ctl("reset")
    service.begin()
    # The app server can be reached, as a check shows: what waits for it need not wait for its turn.
    service.kill("USR1")
    service.until(lambda: len(service.history()) == 2 and service.status()["outbox"] == 0, "reported")
    assert [r["deliveries"] for r in service.reports()] == [1, 1]


def test_a_configuration_that_is_wrong_is_not_taken_over(start: Any) -> None:
    service = start(service="on_start = false")
    good = service.config.read_text()
    service.config.write_text("[server]\nurl = 7\n")
    service.kill("HUP")
    problem = service.until(lambda: service.status()["problem"], "said")
    assert problem.startswith("The configuration was not taken over: server.url")
    # The check has the configuration that the service has, and not the file's.
    service.kill("USR1")
    service.until(lambda: service.outcomes() == [("signal", "match")], "verified")
    service.config.write_text(good)
    service.kill("HUP")
    service.until(lambda: service.status()["problem"] is None, "taken over")


def test_without_an_app_server_it_asks_to_be_configured(start: Any) -> None:
    service = start()
    service.until(lambda: service.outcomes() == ONE, "verified")
    good = service.config.read_text()
    service.config.write_text("")
    service.kill("HUP")
    service.until(lambda: service.status()["state"] == "unconfigured", "unconfigured")
    done = service.device.run("phonecheck", "verify", "--via-service", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (8, "not-configured")
    service.config.write_text(good)
    service.kill("HUP")
    service.until(lambda: service.status()["state"] != "unconfigured", "configured")


def test_a_second_one_is_told_that_there_is_one(start: Any) -> None:
    service = start(service="on_start = false")
    done = service.device.run("phonecheck", "run", "--state-directory", service.state, "--config", service.config)
    assert done.returncode == 8
    assert "already-running" in done.stderr
    elsewhere = service.state.parent / "elsewhere"
    done = service.device.run("phonecheck", "run", "--state-directory", elsewhere, "--config", service.config)
    assert done.returncode == 8, done.stderr
    assert "already-running" in done.stderr


def test_modem_manager_may_restart(start: Any) -> None:
    service = start()
    service.until(lambda: service.outcomes() == ONE, "verified")
    service.device.box.ctl("manager-kill")
    service.kill("USR1")
    service.until(lambda: ("signal", "modem-manager-unavailable") in service.outcomes(), "told")
    service.device.box.ctl("manager-start")
    service.device.box.ctl("connect")
    service.kill("USR1")
    service.until(lambda: service.outcomes()[-1] == ("signal", "match"), "verified again")


def test_hooks_are_told(start: Any) -> None:
    service = start(service="on_start = false")
    directory = service.device.run("sh", "-c", "echo $(dirname $PHONECHECK_CONFIG)/hooks.d").stdout.strip()
    told = service.state.parent / "told"
    hook = f"printf '#!/bin/sh\\nenv | grep ^PHONECHECK_ | sort >{told}\\n' >{directory}/10-tell"
    service.device.run("sh", "-c", f"{hook}; chmod 700 {directory}/10-tell")
    try:
        service.kill("USR1")
        service.until(told.exists, "told")
        facts = dict(line.split("=", 1) for line in told.read_text().splitlines())
        assert (facts["PHONECHECK_EVENT"], facts["PHONECHECK_MATCH"], facts["PHONECHECK_TRIGGER"]) == (
            "check-completed",
            "yes",
            "signal",
        )
    finally:
        service.device.run("rm", f"{directory}/10-tell")


def test_many_checks_take_no_more_memory_than_some(start: Any) -> None:
    """The soak: resident memory within 2 MB, descriptors the same, every check in the history and at the app server."""
    service = start(service="on_start = false")

    def check() -> str:
        done = service.device.run("phonecheck", "verify", "--via-service", "--json")
        found: str = json.loads(done.stdout)["check_id"]
        return found

    made = [check() for _ in range(5)]
    service.until(lambda: service.status()["outbox"] == 0, "reported")
    before = service.held()
    made += [check() for _ in range(SOAK)]
    service.until(lambda: service.status()["outbox"] == 0, "reported")
    after = service.held()
    assert abs(after[0] - before[0]) <= 2048, (before, after)
    assert after[1] == before[1]
    assert [c["result"]["check_id"] for c in service.history()] == made
    assert sorted(r["report"] for r in service.reports()) == sorted(c["id"] for c in service.history())
    assert {r["deliveries"] for r in service.reports()} == {1}
