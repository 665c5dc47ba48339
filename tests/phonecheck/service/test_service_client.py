from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck.deadline import Deadline
from phonecheck.errors import DeadlineExceeded, ExitStatus, ServiceError
from phonecheck.model import PhoneNumber
from phonecheck.service.client import AgentClient
from phonecheck.service.dbus import NAME, Api
from phonecheck.service.model import Record
from service_bus import OPEN, FakeCalls, LoopInThread, ServiceBus, a_bus, a_loop, an_api, result

pytestmark = pytest.mark.dbus


@pytest.fixture
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceBus]:
    with a_bus(tmp_path, getattr(request, "param", OPEN)) as made:
        yield made


@pytest.fixture
def loop(bus: ServiceBus) -> Iterator[LoopInThread]:
    with a_loop() as made:
        yield made


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def api(bus: ServiceBus, loop: LoopInThread, calls: FakeCalls) -> Iterator[Api]:
    with an_api(bus.address, loop, calls) as made:
        yield made


@pytest.fixture
def client(bus: ServiceBus) -> Iterator[AgentClient]:
    with AgentClient(bus.address) as made:
        yield made


def code_of(work: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        work()
    return caught.value.code


def test_asks_and_is_told(api, client, calls):
    assert client.verify(PhoneNumber("447700900123"), "imei:867223029999992", 20.0) == "1f2e"
    assert client.verify() == "1f2e"
    assert calls.told == [{"number": "+447700900123", "modem": "imei:867223029999992", "timeout": 20.0}, {}]
    assert client.check("1f2e") == {"state": "done", **result()}
    assert [check["id"] for check in client.history(2)] == ["0", "1"]
    assert client.properties() == calls.properties()


def test_the_services_errors_keep_their_codes(api, client, calls):
    assert code_of(lambda: client.check("nobody")) == "unknown-check"
    for error in (
        ServiceError("agent-busy", "Eight checks wait."),
        ServiceError("not-configured", "No app server is configured."),
        ServiceError("not-allowed", "This user may not have a check made."),
    ):
        calls.raises = error
        with pytest.raises(ServiceError) as caught:
            client.verify()
        assert (caught.value.code, caught.value.message) == (error.code, error.message)
        assert caught.value.hint == error.hint


def test_a_bug_of_the_service_is_no_bug_of_the_client(api, client, calls):
    calls.raises = ZeroDivisionError()
    with pytest.raises(ServiceError, match="InternalError: The service has a bug") as caught:
        client.verify()
    assert caught.value.code == "agent-unavailable"
    assert "journalctl" in caught.value.hint


def test_nobody_serves(bus, client):
    for work in (client.verify, client.properties, lambda: client.check("1"), lambda: client.history(1)):
        with pytest.raises(ServiceError, match="does not run") as caught:
            work()
        assert caught.value.code == "agent-unavailable"
        assert "systemctl start phonecheck-agent" in caught.value.hint


def test_there_is_no_bus(bus):
    with AgentClient("unix:path=/nonexistent", patience=0.05) as client:
        assert code_of(client.properties) == "agent-unavailable"
        assert code_of(lambda: client.wait("1", Deadline(1))) == "agent-unavailable"


DENIES = OPEN + f'<policy context="mandatory"><deny send_interface="{NAME}" send_member="Verify"/></policy>'


@pytest.mark.parametrize("bus", [DENIES], indirect=True)
def test_the_bus_itself_refuses(api, client):
    with pytest.raises(ServiceError, match="may not ask") as caught:
        client.verify()
    assert caught.value.code == "not-allowed"
    assert "group phonecheck" in caught.value.hint


def test_verify_has_the_service_started(tmp_path):
    started = tmp_path / "started"
    services = tmp_path / "services"
    services.mkdir()
    program = tmp_path / "start"
    program.write_text(f"#!/bin/sh\necho >{started}\nexit 1\n")
    program.chmod(0o755)
    (services / f"{NAME}.service").write_text(f"[D-BUS Service]\nName={NAME}\nExec={program}\n")
    policy = OPEN + f"<servicedir>{services}</servicedir>"
    with a_bus(tmp_path, policy) as bus, AgentClient(bus.address) as client:
        assert code_of(client.properties) == "agent-unavailable"
        assert not started.exists()
        assert code_of(client.verify) == "agent-unavailable"
        assert started.exists()


# Waiting


def done(calls: FakeCalls, loop: LoopInThread, api: Api) -> None:
    calls.checks["1f2e"] = {"state": "done", **result()}
    loop.run(lambda: api.check_completed(Record("1f2e", "request", 1.8e9, {"outcome": "match", "match": True})))


class Counting(FakeCalls):
    """Says when it was first asked for the check, and how often."""

    def __init__(self) -> None:
        super().__init__(checks={"1f2e": {"state": "running"}})
        self.asked = threading.Event()
        self.times = 0

    def check(self, id: str) -> Any:  # noqa: A002
        self.times += 1
        self.asked.set()
        return super().check(id)


def test_waits_for_the_signal_and_does_not_poll(bus, loop, client):
    calls = Counting()
    with an_api(bus.address, loop, calls) as api:
        later = threading.Thread(target=lambda: (calls.asked.wait(20), done(calls, loop, api)))
        later.start()
        assert client.wait("1f2e", Deadline(20)) == {"state": "done", **result()}
        later.join()
    assert calls.times == 2


def test_a_check_that_is_done_needs_no_signal(api, client):
    assert client.wait("1f2e", Deadline(20))["outcome"] == "match"
    assert code_of(lambda: client.wait("nobody", Deadline(20))) == "unknown-check"


def test_the_deadline(api, client, calls):
    calls.checks["1f2e"] = {"state": "running"}
    with pytest.raises(DeadlineExceeded) as caught:
        client.wait("1f2e", Deadline(0.05))
    assert caught.value.exit_status is ExitStatus.SERVICE


def test_a_service_that_is_restarted_is_waited_for(bus, loop, client):
    calls, after = Counting(), FakeCalls()
    found: list[Any] = []
    with an_api(bus.address, loop, calls):
        waiting = threading.Thread(target=lambda: found.append(client.wait("1f2e", Deadline(20))))
        waiting.start()
        assert calls.asked.wait(20)
    with an_api(bus.address, loop, after):
        waiting.join(20)
    assert found == [{"state": "done", **result()}]


def test_a_service_that_stays_away_is_not(bus):
    with AgentClient(bus.address, patience=0.05) as client:
        assert code_of(lambda: client.wait("1f2e", Deadline(20))) == "agent-unavailable"
