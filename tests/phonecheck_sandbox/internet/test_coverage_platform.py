"""The sandbox's coverage API by the letter of the specification, and the way of its token from platform to device."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
Net = Any  # of conftest.py

PATH = "/coverage/v0.1/device_ip"
PLATFORM = "https://api.platform.example"
BEHIND_NAT, HOME = "203.0.113.64", "192.0.2.10"
TYPES = "https://developer.tru.id/docs/reference/api-errors#"


async def ask(net: Net, *, public: str = BEHIND_NAT, scope: str = "coverage", path: str = PATH) -> httpx.Response:
    async with net.browser(public=public) as device:
        headers = await net.access_token(scope) if scope else {}
        answer: httpx.Response = await device.get(PLATFORM + path, headers=headers)
        return answer


async def test_a_mobile_address_is_known_with_its_operator_and_its_products(net: Net) -> None:
    answer = await ask(net)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/hal+json")
    assert answer.json() == {
        "network_id": "00101",
        "network_name": "Sandbox Mobile",
        "country_code": "GB",
        "mobile_data_ip": BEHIND_NAT,
        "products": [{"product_id": "PCK", "product_name": "Phone Check"}],
    }
    assert all(f"X-RateLimit-{name}" in answer.headers for name in ("Limit", "Remaining", "Reset"))
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_any_other_address_is_none_of_a_mobile_operators(net: Net) -> None:
    answer = await ask(net, public=HOME)
    assert answer.status_code == 412
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == TYPES + "not_mobile_ip"


@pytest.mark.parametrize(
    ("status", "word"), [(400, "mno_not_supported"), (412, "not_mobile_ip"), (429, "too_many_requests")]
)
async def test_a_condition_of_the_platform_holds_here_too(net: Net, status: int, word: str) -> None:
    net.conditions.platform_status = status
    answer = await ask(net)
    assert (answer.status_code, answer.json()["type"]) == (status, TYPES + word)
    assert ("Retry-After" in answer.headers) is (status == 429)


async def test_a_condition_that_is_the_check_urls_alone_changes_nothing(net: Net) -> None:
    net.conditions.platform_status = 409
    assert (await ask(net)).status_code == 200


async def test_an_operator_that_checks_are_not_served_for_is_known_without_the_product(net: Net) -> None:
    net.conditions.platform_status = 501
    answer = (await ask(net)).json()
    assert (answer["network_id"], answer["products"]) == ("00101", [])


@pytest.mark.parametrize(("scope", "status"), [("", 401), ("phone_check", 403), ("phone_check coverage", 200)])
async def test_the_scope_of_the_token_decides(net: Net, scope: str, status: int) -> None:
    assert (await ask(net, scope=scope)).status_code == status


async def test_the_public_one_takes_no_token(net: Net) -> None:
    answer = await ask(net, scope="", path="/public" + PATH)
    assert (answer.status_code, answer.json()["network_id"]) == (200, "00101")


async def test_a_device_takes_its_token_from_the_app_server_to_the_platform_and_no_further(net: Net) -> None:
    async with net.device() as device:
        given = (await device.get("/coverage-access-token")).json()
    async with net.browser() as modem:
        headers = {"Authorization": f"Bearer {given['token']}"}
        assert (await modem.get(given["url"], headers=headers)).status_code == 200
        number = {"phone_number": "447700900123"}
        checks = await modem.post(PLATFORM + "/phone_check/v0.2/checks", json=number, headers=headers)
    assert checks.status_code == 403


@pytest.mark.parametrize(("fault", "status"), [("coverage-404", 404), ("404", 404), ("finish-500", 200)])
async def test_the_app_servers_route_may_be_missing_alone(net: Net, fault: str, status: int) -> None:
    net.conditions.app_fault = fault
    async with net.device() as device:
        assert (await device.get("/coverage-access-token")).status_code == status
