"""The app server against the whole platform, as a device uses it, and on its bad days."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio
Net = Any  # of conftest.py

CREATE = {"v0.1": "/v0.1/phone-check", "v0.2": "/v0.2/phone-check"}


@pytest.mark.parametrize(("number", "match"), [("+447700900123", True), ("+447700900456", False)])
async def test_v02_from_number_to_match(net: Net, number: str, match: bool) -> None:
    async with net.device() as device, net.browser() as browser:
        check = (await device.post(CREATE["v0.2"], json={"phone_number": number})).json()
        end = (await browser.get(check["check_url"])).json()
        answer = await device.post(CREATE["v0.2"] + "/exchange-code", json=end)
    assert (answer.status_code, answer.json()) == (200, {"match": match})


async def test_v01_from_number_to_match(net: Net) -> None:
    net.conditions.platform_pending = 1
    async with net.device() as device, net.browser() as browser:
        check = (await device.post(CREATE["v0.1"], json={"phone_number": "447700900123"})).json()
        assert (await browser.get(check["check_url"])).text == "OK"
        answers = [await device.get(CREATE["v0.1"], params={"check_id": check["check_id"]}) for _ in range(2)]
    assert [(a.status_code, a.json()) for a in answers] == [(202, {"status": "PENDING"}), (200, {"match": True})]


async def test_a_wrong_code_is_a_404(net: Net) -> None:
    async with net.device() as device, net.browser() as browser:
        check = (await device.post(CREATE["v0.2"], json={"phone_number": "447700900123"})).json()
        await browser.get(check["check_url"])
        answer = await device.post(CREATE["v0.2"] + "/exchange-code", json={"check_id": check["check_id"], "code": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "check_not_found")


@pytest.mark.parametrize("status", [400, 409, 412, 429, 501])
async def test_a_refusal_to_create_keeps_its_status_and_type(net: Net, status: int) -> None:
    net.conditions.platform_create_status = status
    async with net.device() as device:
        answer = await device.post(CREATE["v0.2"], json={"phone_number": "447700900123"})
    assert answer.status_code == status
    assert answer.json()["type"].startswith("https://developer.tru.id/docs/reference/api-errors#")
    assert answer.headers.get("Retry-After") == ("30" if status == 429 else None)


async def created(net: Net) -> Any:
    async with net.device() as device:
        return await device.post(CREATE["v0.2"], json={"phone_number": "447700900123"})


async def finished(net: Net) -> Any:
    async with net.device() as device:
        return await device.post(CREATE["v0.2"] + "/exchange-code", json={"check_id": "x", "code": "x"})


@pytest.mark.parametrize("status", ["401", "403", "404", "429", "500"])
async def test_faults_with_a_status(net: Net, status: str) -> None:
    net.conditions.app_fault = status
    for answer in (await created(net), await finished(net)):
        assert answer.status_code == int(status)
        assert answer.headers.get("Retry-After") == ("3600" if status == "429" else None)


async def test_429_once_strikes_once_and_again_when_set_anew(net: Net) -> None:
    net.conditions.app_fault = "429-once"
    first, second = await created(net), await created(net)
    assert (first.status_code, first.headers["Retry-After"], second.status_code) == (429, "1", 200)
    net.app_server.rearm()
    assert (await created(net)).status_code == 429


async def test_faults_that_answer_something_else(net: Net) -> None:
    net.conditions.app_fault = "not-json"
    assert "html" in (await created(net)).headers["Content-Type"]
    net.conditions.app_fault = "not-object"
    assert isinstance((await created(net)).json(), list)
    net.conditions.app_fault = "redirect"
    assert (await created(net)).headers["Location"] == "https://elsewhere.example/"
    net.conditions.app_fault = "oversize"
    assert len((await created(net)).content) > 1 << 20


@pytest.mark.parametrize(("fault", "status"), [("finish-500", 500), ("finish-redirect", 302)])
async def test_faults_of_the_last_step_leave_the_first_alone(net: Net, fault: str, status: int) -> None:
    net.conditions.app_fault = fault
    assert (await created(net)).status_code == 200
    assert (await finished(net)).status_code == status


@pytest.mark.parametrize(
    ("fault", "start"),
    [
        ("check-url-http", "http://api."),
        ("check-url-userinfo", "https://user:word@"),
        ("check-url-no-host", "https:///"),
        ("check-url-loopback", "https://127.0.0.1/"),
        ("check-url-missing", ""),
    ],
)
async def test_bad_check_urls_come_with_a_real_check(net: Net, fault: str, start: str) -> None:
    net.conditions.app_fault = fault
    answer = (await created(net)).json()
    assert answer["check_id"]
    assert answer.get("check_url", "").startswith(start)
    assert ("check_url" in answer) == bool(start)
