"""What an engineer watches: `monitor` while the modem lives its life, and the service's metrics, history and status."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SECONDS = 40.0
"""For whatever is waited for: much longer than it takes, for machines are slow at times."""


def until(happens: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := happens():
            return found
        time.sleep(0.1)
    pytest.fail(f"not {what} in {SECONDS:.0f} s")


class Watching:
    """`phonecheck monitor` on the device, its output in a file."""

    def __init__(self, device: Any, file: Path, *options: str) -> None:
        self.file = file
        file.touch()  # the shell answers before what it has in the background has opened anything
        run = f"phonecheck monitor {' '.join(options)} >{file} 2>&1 & echo $!"
        self._device, self._pid = device, device.run("sh", "-c", run).stdout.strip()
        self._read = 0

    def scene(self, holds: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """The next of its objects that fulfils a condition."""

        def found() -> dict[str, Any] | None:
            lines = self.file.read_text().splitlines(keepends=True)
            for number, text in enumerate(lines[self._read :], self._read + 1):
                if text.endswith("\n") and holds(scene := json.loads(text)):
                    self._read = number
                    return dict(scene)
            return None

        return dict(until(found, f"{what}: {self.file.read_text()[-1000:]}"))

    def end(self) -> None:
        self._device.run("kill", "-TERM", self._pid)


@pytest.fixture
def watch(device: Any, tmp_path: Path, assert_redacted: Callable[[str], None]) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def begin(*options: str) -> Watching:
        started.append(Watching(device, tmp_path / f"seen-{len(started)}", *options))
        return started[-1]

    yield begin
    for each in started:
        each.end()
        assert "Traceback" not in each.file.read_text()
        assert_redacted(each.file.read_text())


def test_the_modem_lives_its_life(device: Any, watch: Callable[..., Watching]) -> None:
    seen = watch("--json")
    ctl = device.box.ctl
    first = seen.scene(lambda scene: scene["modem"], "there")
    assert (first["modem"]["state"], first["modem"]["operator"]) == ("connected", "Sandbox Mobile")
    assert first["modem"]["bearers"][0]["interface"] == "wwan0"
    assert first["service"] is None
    ctl("signal", "30")
    # The modem tells it in steps of its own: 0 to 31.
    seen.scene(lambda scene: 25 <= scene["modem"]["signal"] <= 35, "weaker")
    ctl("registration", "searching")
    seen.scene(lambda scene: scene["modem"]["registration"] == "searching", "searching")
    ctl("registration", "home")
    ctl("connect")
    seen.scene(lambda scene: scene["modem"]["state"] == "connected", "connected again")
    ctl("unplug")
    gone = seen.scene(lambda scene: not scene["modem"], "unplugged")
    assert gone["error"]["code"] == "modem-not-found"
    ctl("plug")
    seen.scene(lambda scene: scene["modem"], "plugged")
    ctl("manager-kill")
    gone = seen.scene(lambda scene: not scene["modem"], "without ModemManager")
    assert gone["error"]["code"] == "modem-manager-unavailable"
    ctl("manager-start")
    seen.scene(lambda scene: scene["modem"], "with it again")
    ctl("connect")
    seen.scene(lambda scene: scene["modem"] and scene["modem"]["state"] == "connected", "connected at last")


def test_a_reader_that_has_enough_ends_it(device: Any) -> None:
    device.box.ctl("later", "0.5", "signal", "30")
    device.box.ctl("later", "1.5", "signal", "60")
    done = device.run("sh", "-c", "phonecheck monitor | head -2; echo ended")
    lines = done.stdout.splitlines()
    assert (len(lines), lines[2]) == (3, "ended"), done
    assert all("connected  Sandbox Mobile (00101)  home  lte" in each for each in lines[:2])
    assert done.stderr == ""


class Service:
    """`phonecheck run` with a file of metrics."""

    def __init__(self, device: Any, directory: Path) -> None:
        self.device = device
        self.metrics = directory / "metrics" / "phonecheck.prom"
        self.metrics.parent.mkdir()
        settings = device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
        more = f'[service]\non_start = false\nmetrics = "{self.metrics}"'
        config = directory / "agent.toml"
        config.write_text(settings.replace("[service]", more))
        self.log = directory / "log"
        run = f"setsid phonecheck run --state-directory {directory}/state --config {config} >{self.log} 2>&1 & echo $!"
        self._pid = device.run("sh", "-c", run).stdout.strip()
        until(self.status, "on the bus")

    def status(self) -> str:
        """The metrics, as the service tells them."""
        told: str = self.device.run("phonecheck", "status", "--prometheus").stdout
        return told

    def verify(self) -> None:
        self.device.run("phonecheck", "verify", "--via-service", "--json")
        until(lambda: "phonecheck_outbox_reports 0\n" in self.status(), "reported")
        until(lambda: self.metrics.exists() and self.metrics.read_text() == self.status(), "written")

    def end(self) -> None:
        self.device.run("kill", "-TERM", self._pid)
        until(lambda: self.device.run("test", "-e", f"/proc/{self._pid}").returncode, "gone")


@pytest.fixture
def service(device: Any, tmp_path: Path) -> Iterator[Service]:
    made = Service(device, tmp_path)
    yield made
    made.end()
    assert not made.metrics.exists(), "old metrics tell less than none"


def sample(text: str, name: str) -> float:
    found = re.search(rf"^phonecheck_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_the_services_checks(
    device: Any, service: Service, watch: Callable[..., Watching], assert_redacted: Callable[[str], None]
) -> None:
    seen = watch("--json")
    seen.scene(lambda scene: scene["service"] and scene["service"]["state"] == "idle", "idle")
    service.verify()
    seen.scene(lambda scene: (scene["service"]["last"] or {}).get("outcome") == "match", "a match")
    device.set(platform_status=412)
    device.box.ctl("signal", "30")
    service.verify()
    seen.scene(lambda scene: scene["service"]["last"]["error_code"] == "not-mobile-ip", "a failure")

    metrics = service.metrics.read_text()
    assert sample(metrics, 'checks_total{outcome="match",code=""}') == 1
    assert sample(metrics, 'checks_total{outcome="inconclusive",code="not-mobile-ip"}') == 1
    assert sample(metrics, "check_seconds_count") == 2
    assert 25 <= sample(metrics, "signal_percent") <= 35
    assert 0 < sample(metrics, "last_success_timestamp_seconds") <= sample(metrics, "last_check_timestamp_seconds")
    assert sample(metrics, 'state{state="idle"}') == 1

    checks = json.loads(device.run("phonecheck", "history", "--json").stdout)["checks"]
    assert [(c["operator"], c["technology"], c["error_code"]) for c in checks] == [
        ("Sandbox Mobile", "lte", "not-mobile-ip"),
        ("Sandbox Mobile", "lte", None),
    ]
    shown = device.run("phonecheck", "history").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "last 2: 1 match, 1 inconclusive (1 not-mobile-ip)" in shown
    status = device.run("phonecheck", "status").stdout
    assert "checks   1 match, 1 inconclusive (1 not-mobile-ip) since the service's start" in status
    assert_redacted(metrics + shown + status + json.dumps(checks, ensure_ascii=False))


def test_a_history_without_a_check(device: Any, service: Service) -> None:
    done = device.run("phonecheck", "history")
    assert (done.returncode, done.stdout) == (0, "No check was made yet.\n")
    assert sample(service.status(), "last_check_timestamp_seconds") == 0
