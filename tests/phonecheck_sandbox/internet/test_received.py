"""The sandbox's app server and a device's reports: what it keeps of them, and its bad days."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from phonecheck.redact import Secret
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.internet.faults import Faults
from phonecheck_sandbox.internet.received import Received, read
from phonecheck_server.app import create_app
from phonecheck_server.devices import Devices
from phonecheck_server.reports import Report
from phonecheck_server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

TOKEN = "device-token-0123456789"


def body(key: str) -> dict[str, Any]:
    failed = {"outcome": "inconclusive", "error": {"code": "hop-timeout"}}
    return {"report": key, "trigger": "schedule", "at": None, "outcome": failed}


class Rig:
    """The app server behind its faults, on a port of loopback, as uvicorn serves it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.conditions = Conditions()
        settings = Settings("https://api.example", "project", Secret("secret"), Devices({TOKEN: "device"}))
        self.faults = Faults(create_app(settings, reports=Received(file)), self.conditions)
        config = uvicorn.Config(
            self.faults, http=self.faults.protocol(), ws="none", lifespan="off", log_config=None, access_log=False
        )
        self.server = uvicorn.Server(config)
        self.listener = socket.create_server(("127.0.0.1", 0))

    async def post(self, key: str) -> httpx.Response:
        port = self.listener.getsockname()[1]
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
        async with httpx.AsyncClient(trust_env=False) as device:
            url = f"http://127.0.0.1:{port}/v0.2/phone-check/report"
            return await device.post(url, json=body(key), headers=headers, timeout=10)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "reports.json")
    serving = asyncio.create_task(rig.server.serve(sockets=[rig.listener]))
    while not rig.server.started:
        await asyncio.sleep(0.001)
    yield rig
    rig.server.should_exit = True
    await serving


async def test_what_came_can_be_read_with_how_often_it_came(rig: Rig) -> None:
    assert read(rig.file) == []
    assert [(await rig.post(key)).status_code for key in ("b", "a", "b")] == [201, 201, 200]
    entry = {"outcome": "inconclusive", "error_code": "hop-timeout", "trigger": "schedule"}
    assert read(rig.file) == [{"report": "b", **entry, "deliveries": 2}, {"report": "a", **entry, "deliveries": 1}]


@pytest.mark.parametrize(
    ("fault", "status", "wait"),
    [
        ("report-401", 401, None),
        ("report-404", 404, None),
        ("report-429", 429, "5"),
        ("report-500", 500, None),
        ("500", 500, None),
    ],
)
async def test_a_report_that_is_refused_is_not_kept(rig: Rig, fault: str, status: int, wait: str | None) -> None:
    rig.conditions.app_fault = fault
    answer = await rig.post("a")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, wait)
    assert read(rig.file) == []


@pytest.mark.parametrize(("fault", "kept"), [("report-down", 0), ("report-lost", 1), ("down", 0)])
async def test_a_report_may_be_lost_on_either_way(rig: Rig, fault: str, kept: int) -> None:
    rig.conditions.app_fault = fault
    with pytest.raises(httpx.TransportError):
        await rig.post("a")
    assert len(read(rig.file)) == kept
    rig.conditions.app_fault = ""
    assert (await rig.post("a")).status_code == (200 if kept else 201)


@pytest.mark.parametrize("fault", ["report-down", "report-500", "report-lost", "check-url-missing", "finish-500"])
async def test_a_fault_of_one_step_leaves_the_others_alone(rig: Rig, fault: str) -> None:
    rig.conditions.app_fault = fault
    port = rig.listener.getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as device:
        # Nobody is who asks: the app server itself says so, and no fault before it.
        answer = await device.get(f"http://127.0.0.1:{port}/v0.2/phone-check/elsewhere")
    assert answer.status_code == (500 if fault == "finish-500" else 404)
    if not fault.startswith("report-"):
        assert (await rig.post("a")).status_code == 201


async def test_only_so_many_are_kept(tmp_path: Path) -> None:
    received = Received(tmp_path / "reports.json", most=3)
    for n in range(5):
        assert await received.take(Report("device", str(n), "start", None, "match", None, {}))
    assert [report["report"] for report in read(tmp_path / "reports.json")] == ["2", "3", "4"]
