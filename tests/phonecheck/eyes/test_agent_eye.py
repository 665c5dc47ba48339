"""The service seen over a bus of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.agent import LastCheck, Service
from phonecheck.errors import AgentError, DeadlineExceeded, ServiceError
from phonecheck.eyes.agent import RealAgent
from service_bus import FakeCalls, LoopInThread, ServiceBus, a_bus, a_loop, an_api, result

pytestmark = pytest.mark.dbus


class Ebbing(FakeCalls):
    """Its outbox is one report shorter each time it is asked, down to ``least``."""

    outbox, least, asked = 4, 0, 0

    def properties(self) -> Any:
        now = {**super().properties(), "Outbox": max(self.outbox, self.least)}
        self.outbox -= 1
        self.asked += 1
        return now


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[ServiceBus]:
    with a_bus(tmp_path) as made:
        yield made


@pytest.fixture
def loop() -> Iterator[LoopInThread]:
    with a_loop() as made:
        yield made


def test_what_the_service_is_at(bus: ServiceBus, loop: LoopInThread) -> None:
    calls = FakeCalls(last=result(outcome="inconclusive", error_code="not-registered"))
    with an_api(bus.address, loop, calls):
        found = RealAgent(bus.address, clock=lambda: 1800000090.0).read(Deadline(5))
    assert found == Service("idle", "0.1.0", waiting=2, last=LastCheck("inconclusive", "not-registered", 90.0))


@pytest.mark.parametrize(("at", "now"), [(1000, 1800000000.0), (1800000100, 1800000000.0), (1800000000, 5000.0)])
def test_of_a_clock_that_was_not_set_no_age_is_made(bus: ServiceBus, loop: LoopInThread, at: int, now: float) -> None:
    with an_api(bus.address, loop, FakeCalls(last=result(at=at))):
        found = RealAgent(bus.address, clock=lambda: now).read(Deadline(5))
    assert found.last == LastCheck("match", age=None)


def test_it_is_read_once_whether_it_runs_or_not(bus: ServiceBus, loop: LoopInThread) -> None:
    early = RealAgent(bus.address)
    with pytest.raises(ServiceError) as first:
        early.read(Deadline(5))
    assert first.value.code == "agent-unavailable"
    calls = Ebbing()
    with an_api(bus.address, loop, calls):
        with pytest.raises(ServiceError):
            early.read(Deadline(5))
        late = RealAgent(bus.address)
        asked = calls.asked
        assert late.read(Deadline(5)) is late.read(Deadline(5))
        assert calls.asked == asked + 1
        assert late.read(Deadline(5)).last is None


def test_reports_are_waited_for_until_one_has_gone(bus: ServiceBus, loop: LoopInThread) -> None:
    calls = Ebbing()
    with an_api(bus.address, loop, calls):
        agent = RealAgent(bus.address)
        before = agent.read(Deadline(5)).waiting
        assert agent.waiting_after(60, Deadline(60)) == before - 1


def test_reports_that_stay_are_waited_for_as_long_as_was_said(bus: ServiceBus, loop: LoopInThread) -> None:
    calls = Ebbing(), Ebbing()
    for fake in calls:
        fake.least = 4
    with an_api(bus.address, loop, calls[0]):
        assert RealAgent(bus.address).waiting_after(0.3, Deadline(60)) == 4
        assert calls[0].asked > 3  # at the start of the API, for the reading, and more than once after it


def test_a_service_that_the_bus_would_start_is_installed(tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.mkdir()
    with a_bus(tmp_path, f"<servicedir>{services}</servicedir>" + _open()) as bus:
        assert not RealAgent(bus.address, units=()).installed(Deadline(5))
    (services / "org.phonecheck.Agent1.service").write_text(
        "[D-BUS Service]\nName=org.phonecheck.Agent1\nExec=/bin/false\nUser=nobody\n"
    )
    with a_bus(tmp_path, f"<servicedir>{services}</servicedir>" + _open()) as bus:
        agent = RealAgent(bus.address, units=())
        assert agent.installed(Deadline(5))
        with pytest.raises(ServiceError, match="does not run"):  # and looking at it has not started it
            agent.read(Deadline(5))


def test_a_service_with_a_unit_is_installed_unless_it_is_masked(bus: ServiceBus, tmp_path: Path) -> None:
    etc, lib = tmp_path / "etc.service", tmp_path / "lib.service"
    assert not RealAgent(bus.address, units=(etc, lib)).installed(Deadline(5))
    lib.write_text("[Service]\n")
    assert RealAgent(bus.address, units=(etc, lib)).installed(Deadline(5))
    etc.symlink_to("/dev/null")
    assert not RealAgent(bus.address, units=(etc, lib)).installed(Deadline(5))


def test_without_a_bus_it_is_away_and_nothing_hangs(tmp_path: Path) -> None:
    pytest.importorskip("pydbus", reason="python3-gi is not installed")
    agent = RealAgent(f"unix:path={tmp_path}/none", units=())
    assert not agent.installed(Deadline(5))
    with pytest.raises(AgentError) as caught:
        agent.read(Deadline(5))
    assert caught.value.code == "agent-unavailable"


def test_it_is_not_asked_when_the_time_is_over(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded):
        RealAgent(f"unix:path={tmp_path}/none").read(Deadline(0))


def _open() -> str:
    from service_bus import OPEN

    return OPEN
