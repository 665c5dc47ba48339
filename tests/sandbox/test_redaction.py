"""Every scenario, human output and log at its loudest: nobody's identity and no secret in any of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import secret, world
from phonecheck_sandbox.scenarios import SCENARIOS
from running_service import Running

NUMBER = f"+{world.SUBSCRIBER.msisdn}"
RUNNING = [name for name, scenario in SCENARIOS.items() if name != "bad-radio" and not (scenario.plan or scenario.acts)]
"""Those that a running sandbox takes on, and that one call takes back."""


@pytest.fixture
def say(device: Any, assert_redacted: Any) -> Any:
    """Runs the agent for a person, its log at its loudest, and returns all that it said, which holds no secret."""

    def run(*words: str, **options: Any) -> str:
        done = device.run("phonecheck", *words, "-v", **options)
        text: str = done.stdout + done.stderr
        assert_redacted(text)
        assert "Traceback" not in text
        return text

    return run


@pytest.mark.parametrize("scenario", RUNNING)
@pytest.mark.parametrize(
    "words", [("verify", NUMBER, "--timeout", "8"), ("verify", NUMBER, "--timeout", "8", "--json")]
)
def test_every_scenario_is_redacted(device: Any, say: Any, scenario: str, words: tuple[str, ...]) -> None:
    device.box.ctl("scenario", scenario)
    assert "…0123" in say(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("modem", "list"),
        ("modem", "show"),
        ("modem", "show", "--json"),
        ("modem", "show", f"iccid:{world.OTHER_SUBSCRIBER.iccid}"),
        ("verify", NUMBER + "0000000"),
        ("verify", "not-a-number-447700900123"),
        ("verify", NUMBER, "--server", f"http://app.example/?token={secret.MARK}"),
        ("open", f"https://{world.LAB_HOST}/json?token={secret.MARK}"),
        ("open", f"https://{world.LAB_HOST}/{world.SUBSCRIBER.msisdn}"),
        ("open", f"https://{world.SUBSCRIBER.msisdn}:{secret.MARK}@{world.LAB_HOST}/"),
        ("open", f"https://{world.LAB_HOST}/location?to=https%3A%2F%2F{world.SUBSCRIBER.msisdn}.example%2F%3Fa%3Db"),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_what_a_user_or_a_hop_gives_is_not_repeated(say: Any, words: tuple[str, ...]) -> None:
    say(*words)


@pytest.mark.parametrize("scenario", RUNNING)
def test_the_doctor_is_redacted(device: Any, assert_redacted: Any, tmp_path: Path, scenario: str) -> None:
    device.box.ctl("scenario", scenario)
    # Side by side: for some scenarios it has to be patient.
    both = "phonecheck doctor -v >$0/person 2>&1 & phonecheck doctor --json -v >$0/program 2>&1 & wait"
    device.run("sh", "-c", both, tmp_path)
    for name in ("person", "program"):
        text = (tmp_path / name).read_text()
        assert_redacted(text)
        assert "Traceback" not in text
        # It has seen the SIM, and shows the end of its number.
        assert f"…{world.SUBSCRIBER.iccid[-4:]}" in text


@pytest.mark.parametrize("scenario", ["lte", "portal", "token-refused", "not-mobile"])
def test_the_report_of_a_failure_is_redacted(device: Any, say: Any, scenario: str) -> None:
    device.box.ctl("scenario", scenario)
    assert '"slug": "mobile-address"' in say("report", "--show")


@pytest.fixture
def service(device: Any, tmp_path: Path) -> Iterator[Running]:
    running = Running(device, tmp_path, service=f'on_start = false\nmetrics = "{tmp_path}/phonecheck.prom"')
    yield running
    device.box.ctl("reset")
    running.end()


def test_what_the_service_tells_is_redacted(device: Any, say: Any, assert_redacted: Any, service: Running) -> None:
    metrics, page = (service.state.parent / name for name in ("phonecheck.prom", "report.html"))
    say("verify", NUMBER, "--via-service")
    device.set(platform_status=412)
    say("verify", NUMBER, "--via-service", "--json")
    service.until(lambda: service.status()["outbox"] == 0, "reported")
    for verb in (("history",), ("status",), ("monitor", "--for", "0.5")):
        for form in ((), ("--json",)):
            assert "not-mobile-ip" in say(*verb, *form)
    assert "not-mobile-ip" in say("status", "--prometheus")
    service.until(lambda: "not-mobile-ip" in metrics.read_text(), "written")
    say("report", "-o", str(page), "--config", str(service.config))
    for text in (metrics.read_text(), page.read_text(), service.log.read_text()):
        assert "not-mobile-ip" in text
        assert_redacted(text)


def test_the_monitor_is_redacted_whoever_comes_and_goes(device: Any, assert_redacted: Any, tmp_path: Path) -> None:
    """As lines, as objects and as a page, while the SIM is another and the modem is pulled."""
    files = [tmp_path / name for name in ("lines", "objects", "page")]
    forms = ("monitor -v --for 12 >lines 2>&1", "monitor --json -v --for 12 >objects 2>&1")
    on_terminal = "script -qfec 'phonecheck monitor --for 12' page >/dev/null"
    together = f"cd $0; {' & '.join(f'phonecheck {form}' for form in forms)} & {on_terminal} & wait"
    watching = threading.Thread(target=device.run, args=("sh", "-c", together, tmp_path))
    watching.start()
    try:
        while watching.is_alive() and not all(file.exists() and "Sandbox" in file.read_text() for file in files):
            time.sleep(0.05)
        for act in ("swap-sim", "unplug", "plug"):
            device.box.ctl(act)
    finally:
        watching.join()
        device.box.ctl("swap-sim")
        device.box.ctl("connect")
    objects = files[1].read_text()
    scenes = [json.loads(line) for line in objects.splitlines() if line.startswith("{")]
    sims = {scene["modem"]["sim"]["iccid"] for scene in scenes if scene["modem"] and scene["modem"]["sim"]}
    assert f"…{world.OTHER_SUBSCRIBER.iccid[-4:]}" in sims, objects
    assert any(not scene["modem"] for scene in scenes), objects
    for file in files:
        assert "Traceback" not in file.read_text()
        assert_redacted(file.read_text())


def test_a_token_for_coverage_would_be_seen(device: Any, assert_redacted: Any) -> None:
    """The one that the doctor asks the platform with, as the app server hands it out."""
    header = f"Authorization: Bearer {world.SERVER_TOKEN}"
    done = device.run("curl", "-sS", "-H", header, f"https://{world.APP_SERVER_HOST}/coverage-access-token")
    with pytest.raises(AssertionError, match="a secret is shown"):
        assert_redacted(json.loads(done.stdout)["token"])


def test_the_test_can_fail(assert_redacted: Any) -> None:
    for text in (f"token {secret.MARK}abc", world.SUBSCRIBER.imsi, "GET /return?token=abc"):
        with pytest.raises(AssertionError):
            assert_redacted(text)
