from __future__ import annotations

import asyncio

import httpx
import pytest

from phonecheck_sandbox.carrier.portal import create_portal

PORTAL = "portal.mno.example"


def get(url: str) -> httpx.Response:
    async def browse() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create_portal(PORTAL))) as browser:
            return await browser.get(url)

    return asyncio.run(browse())


@pytest.mark.parametrize("path", ["/", "/phone_check/v0.2/checks/1/redirect?x=1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_other_name_is_led_to_the_portal(scheme: str, path: str):
    answer = get(f"{scheme}://api.platform.example{path}")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"http://{PORTAL}/")


def test_the_portal_itself_is_a_page():
    answer = get(f"http://{PORTAL}/")
    assert answer.status_code == 200
    assert "allowance" in answer.text
