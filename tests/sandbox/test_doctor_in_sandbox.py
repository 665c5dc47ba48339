"""The matrix: whatever is broken, the doctor names it, and only it; with nothing broken, all is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phonecheck.doctor.rungs import RUNGS
from phonecheck_sandbox import world
from phonecheck_sandbox.scenarios import SCENARIOS
from running_service import Running

NEVER = '[link]\nroutes = "never"'
CONNECT = ("--connect", "--apn", "internet")


@dataclass(frozen=True)
class Case:
    """A scenario, and the rung that it breaks."""

    rung: str
    scenario: str
    code: str
    status: int
    words: tuple[str, ...] = ()
    settings: str = ""

    def __str__(self) -> str:
        return f"{self.rung}: {' '.join([self.scenario, *self.words])}"


CASES = (
    Case("kernel", "bind-refused", "bind-refused", 5),
    Case("clock", "wrong-clock", "clock-wrong", 3),
    Case("bus", "bus-down", "modem-manager-unavailable", 4),
    Case("polkit", "polkit-denied", "not-authorized", 4, CONNECT),
    Case("modem-manager", "manager-down", "modem-manager-unavailable", 4),
    Case("modem", "unplugged", "modem-not-found", 4),
    Case("modem", "two-modems", "ambiguous-modem", 4),
    Case("sim", "sim-locked", "sim-locked", 4),
    Case("sim", "puk-locked", "puk-required", 4, CONNECT),
    Case("registration", "searching", "not-registered", 4),
    Case("registration", "denied", "not-registered", 4, CONNECT),
    Case("registration", "roaming", "not-connected", 4, CONNECT),
    Case("signal", "weak-signal", "weak-signal", 4),
    Case("bearer", "bearer-down", "not-connected", 4),
    Case("bearer", "wrong-apn", "connect-failed", 4, CONNECT),
    Case("address", "unconfigured", "no-route", 5, (), NEVER),
    Case("rules", "mwan3", "no-route", 5, (), NEVER),
    Case("route", "no-route", "no-route", 5, (), NEVER),
    Case("rp-filter", "strict-rp-filter", "reply-filtered", 5, (), NEVER),
    Case("dns", "dns-silent", "resolver-silent", 5),
    Case("captive", "portal", "captive-network", 5),
    Case("captive", "portal-tls", "captive-network", 5),
    Case("captive", "filtered-apn", "captive-network", 5),
    Case("platform", "platform-down", "hop-timeout", 6),
    Case("mtu", "large-packets-lost", "large-packets-lost", 5),
    Case("tls", "certificate-expired", "tls-failed", 6),
    Case("tls", "certificate-of-another", "tls-failed", 6),
    Case("tls", "authority-unknown", "tls-failed", 6),
    Case("server", "token-refused", "server-rejected", 7),
    Case("server", "app-server-down", "server-unreachable", 7),
    Case("mobile-address", "not-mobile", "not-mobile-ip", 6),
)


def failed(answer: Any) -> list[str]:
    return [rung["slug"] for rung in answer.json["rungs"] if rung["state"] == "failed"]


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., Any]:
    """Asks the doctor on a device, with more settings than its own."""

    def ask(device: Any, *words: str, settings: str = "") -> Any:
        file = tmp_path / "doctor.toml"
        file.write_text(device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout + settings)
        return device.phonecheck("doctor", *words, env={"PHONECHECK_CONFIG": str(file)})

    return ask


@contextmanager
def scenario_of(case: Case, shared: Any, start_device: Any) -> Iterator[Any]:
    """A device in the scenario: the session's where conditions alone make it, and a `reset` mends it."""
    scenario = SCENARIOS[case.scenario]
    if scenario.plan or scenario.acts:
        with start_device("--scenario", case.scenario) as device:
            yield device
    else:
        shared.box.ctl("scenario", case.scenario)
        yield shared


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_names_what_is_broken_and_only_that(device: Any, start_device: Any, doctor: Any, case: Case) -> None:
    with scenario_of(case, device, start_device) as broken:
        before = broken.box.ctl("snapshot")
        answer = doctor(broken, *case.words, settings=case.settings)
        seen = (failed(answer), answer.json["cause"], answer.code, answer.status)
        assert seen == ([case.rung], case.rung, case.code, case.status), answer.stdout
        assert broken.box.ctl("snapshot") == before


@pytest.fixture
def service(device: Any, tmp_path: Path) -> Any:
    running: list[Running] = []

    def start(**settings: str) -> Running:
        running.append(Running(device, tmp_path, **settings))
        return running[-1]

    yield start
    device.box.ctl("reset")
    for each in running:
        each.end()


def test_a_service_that_refuses_its_configuration(device: Any, doctor: Any, service: Any) -> None:
    running = service(service="on_start = false")
    running.config.write_text("nonsense")
    running.kill("HUP")
    running.until(lambda: running.status()["problem"], "a problem")
    answer = doctor(device)
    assert (failed(answer), answer.status) == (["service"], 3), answer.stdout


def test_reports_that_the_app_server_does_not_take(device: Any, doctor: Any, service: Any) -> None:
    running = service()
    running.until(lambda: running.outcomes() == [("start", "match")], "one match")
    running.until(lambda: running.status()["outbox"] == 0, "reported")
    device.set(app_fault="report-500")
    running.kill("USR1")
    running.until(lambda: running.status()["outbox"] == 1, "a report that waits")
    answer = doctor(device)
    assert (failed(answer), answer.code, answer.status) == (["outbox"], "reports-waiting", 8), answer.stdout


def test_no_rung_is_without_its_breaking() -> None:
    assert {rung.slug for rung in RUNGS} == {case.rung for case in CASES} | {"service", "outbox"}


@pytest.mark.parametrize("over", ["auto", "modem"])
def test_with_nothing_broken_all_is_well(device: Any, settings: Any, service: Any, over: str) -> None:
    running = service()
    running.until(lambda: running.outcomes() == [("start", "match")], "one match")
    running.until(lambda: running.status()["outbox"] == 0, "reported")
    device.set(radio_rtt=60.0)
    answer = device.phonecheck("doctor", env=settings("", server=f'over = "{over}"'))
    states = {rung["slug"]: rung["state"] for rung in answer.json["rungs"]}
    assert answer.status == 0
    # The device's settings leave the modem alone.
    assert {slug for slug, state in states.items() if state != "well"} == {"polkit"}, answer.stdout
    # Sending nothing more than its rungs say.
    assert 0 < answer.json["traffic"] < 2 * sum(rung.traffic for rung in RUNGS)


@pytest.mark.parametrize("scenario", ["unconfigured", "ipv6-only", "dual-stack", "vpn-kill-switch", "dhcp", "hat"])
def test_what_verify_would_mend_is_well(start_device: Any, scenario: str) -> None:
    words = ("--interface", "usb0", "--dns", str(world.CARRIER_DNS[0])) if scenario == "hat" else ()
    with start_device("--scenario", scenario) as device:
        before = device.box.ctl("snapshot")
        answer = device.phonecheck("doctor", *words)
        assert (answer.status, failed(answer)) == (0, []), answer.stdout
        assert device.box.ctl("snapshot") == before


def test_a_modem_that_is_off_is_made_ready_and_taken_down(start_device: Any) -> None:
    with start_device("--scenario", "modem-off") as device:
        before = device.box.ctl("snapshot")
        assert device.phonecheck("doctor", *CONNECT).status == 0
        assert device.box.ctl("snapshot") == before


def test_without_traffic_nothing_is_sent(device: Any) -> None:
    answer = device.phonecheck("doctor", "--no-traffic")
    assert answer.status == 0
    assert not any(device.packets()["wwan0"].values())
    idle = {rung["slug"] for rung in answer.json["rungs"] if rung["state"] == "idle"}
    assert {rung.slug for rung in RUNGS if rung.traffic} <= idle
