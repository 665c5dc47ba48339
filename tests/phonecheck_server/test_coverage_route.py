"""The token that a device gets for the platform's coverage API: what it opens, whose it is, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import pytest

from phonecheck.redact import Secret
from phonecheck_server.app import create_app
from phonecheck_server.devices import Devices
from phonecheck_server.settings import Settings

pytestmark = pytest.mark.anyio

METER = "meter-token-0123456789"
ROUTE = "/coverage-access-token"


@dataclass
class TokenPlatform:
    """Gives a token of its own to each request, and notes what was asked for; ``say`` goes first."""

    say: Callable[[str], httpx.Response | None] = lambda _scope: None
    scopes: list[str] = field(default_factory=list)
    opened_with: list[str] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/oauth2/v1/token":
            self.opened_with.append(request.headers["Authorization"])
            return httpx.Response(404, stream=httpx.ByteStream(b"{}"))
        (scope,) = parse_qs((await request.aread()).decode())["scope"]
        self.scopes.append(scope)
        token = f"{scope}-{len(self.scopes)}"
        usual = httpx.Response(200, json={"access_token": token, "expires_in": 3600, "scope": scope})
        answer = self.say(scope) or usual
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))


@pytest.fixture
def platform() -> TokenPlatform:
    return TokenPlatform()


@pytest.fixture
async def device(platform: TokenPlatform) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings("https://api.example", "project", Secret("client-secret"), Devices({METER: "meter"}))
    app = create_app(settings, transport=httpx.MockTransport(platform))
    headers = {"Authorization": f"Bearer {METER}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example", headers=headers) as made:
        yield made


async def test_a_device_gets_a_token_for_coverage_alone_and_the_url_to_take_it_to(
    device: httpx.AsyncClient, platform: TokenPlatform
) -> None:
    answer = await device.get(ROUTE)
    assert (answer.status_code, answer.json()) == (
        200,
        {"token": "coverage-1", "url": "https://api.example/coverage/v0.1/device_ip"},
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert platform.scopes == ["coverage"]


async def test_the_servers_own_token_is_another_and_never_handed_out(
    device: httpx.AsyncClient, platform: TokenPlatform
) -> None:
    query = {"phone_number": "447700900123"}
    for _ in range(2):
        await device.post("/v0.2/phone-check", json=query)
        assert (await device.get(ROUTE)).json()["token"].startswith("coverage-")
    assert platform.scopes == ["phone_check", "coverage", "coverage"]
    assert platform.opened_with == ["Bearer phone_check-1"] * 2


@pytest.mark.parametrize("authorization", ["", "Bearer another-token-0123456789", f"Basic {METER}"])
async def test_nobody_else_gets_one(device: httpx.AsyncClient, platform: TokenPlatform, authorization: str) -> None:
    answer = await device.get(ROUTE, headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert platform.scopes == []


async def test_a_token_that_opens_more_stays_here(device: httpx.AsyncClient, platform: TokenPlatform) -> None:
    more = {"access_token": "too-mighty", "expires_in": 3600, "scope": "phone_check coverage"}
    platform.say = lambda _scope: httpx.Response(200, json=more)
    answer = await device.get(ROUTE)
    assert (answer.status_code, answer.json()["code"]) == (502, "platform_unusable")
    assert "too-mighty" not in answer.text


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (httpx.Response(400, json={"error": "invalid_scope"}), 501, "coverage_unavailable"),
        (httpx.Response(401, json={"error": "invalid_client"}), 502, "platform_unusable"),
        (httpx.Response(200, json={"access_token": 1, "expires_in": 3600}), 502, "platform_unusable"),
        (httpx.Response(200, content=b"<html>"), 502, "platform_unusable"),
    ],
)
async def test_what_goes_wrong_at_the_platform_is_told_apart(
    device: httpx.AsyncClient, platform: TokenPlatform, said: httpx.Response, status: int, code: str
) -> None:
    platform.say = lambda _scope: said
    answer = await device.get(ROUTE)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_platforms_wait_is_passed_on(device: httpx.AsyncClient, platform: TokenPlatform) -> None:
    platform.say = lambda _scope: httpx.Response(429, headers={"Retry-After": "17"})
    answer = await device.get(ROUTE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "17")


async def test_it_is_read_only(device: httpx.AsyncClient) -> None:
    assert (await device.post(ROUTE)).status_code == 405
