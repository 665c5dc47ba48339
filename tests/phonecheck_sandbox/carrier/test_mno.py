from __future__ import annotations

from ipaddress import IPv4Address

import httpx
import pytest
from starlette.applications import Starlette

from phonecheck_sandbox.carrier.mno import PLAIN_COOKIE, SECURE_COOKIE, Mno, MnoSettings
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.world import SUBSCRIBER

pytestmark = pytest.mark.anyio

HERE = "10.64.0.2"
START = {
    "client_id": "platform",
    "state": "the-state",
    "redirect_uri": "https://p.example/phone_check/v0.2/checks/1/return",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def conditions() -> Conditions:
    return Conditions()


@pytest.fixture
def mno(conditions: Conditions) -> Mno:
    settings = MnoSettings(
        "http://he.mno.example",
        "https://id.mno.example",
        "mno.example",
        "https://p.example",
        "Sandbox Mobile",
        "00101",
        "partner-secret",
        {IPv4Address(HERE): SUBSCRIBER},
    )
    return Mno(settings, conditions)


async def get(app: Starlette, url: str, cookies: dict[str, str] | None = None, peer: str = HERE) -> httpx.Response:
    headers = {"Cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())} if cookies else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 1))) as client:
        return await client.get(url, headers=headers)


async def started(mno: Mno) -> tuple[str, dict[str, str]]:
    """The URL of the second hop, and the cookies."""
    answer = await get(mno.start, str(httpx.URL("https://start.mno.example/identify", params=START)))
    assert answer.status_code == 302
    return answer.headers["Location"], dict(answer.cookies.items())


async def confirmed(mno: Mno) -> tuple[str, dict[str, str]]:
    """The URL of the third hop, and the cookies."""
    url, cookies = await started(mno)
    answer = await get(mno.enrich, url, {PLAIN_COOKIE: cookies[PLAIN_COOKIE]})
    assert answer.status_code == 303
    return answer.headers["Location"], cookies


async def test_only_subscribers_get_past_the_first_hop(mno: Mno) -> None:
    answer = await get(mno.start, str(httpx.URL("https://start.mno.example/identify", params=START)), peer="192.0.2.10")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "change", [{"redirect_uri": "https://evil.example/phone_check/"}, {"redirect_uri": ""}, {"state": ""}]
)
async def test_browsers_are_sent_back_to_the_platform_alone(mno: Mno, change: dict[str, str]) -> None:
    assert (
        await get(mno.start, str(httpx.URL("https://start.mno.example/identify", params=START | change)))
    ).status_code == 400


async def test_the_cleartext_hop_wants_the_plain_cookie_and_not_the_secure_one(mno: Mno) -> None:
    url, cookies = await started(mno)
    assert (await get(mno.enrich, url)).status_code == 403
    assert (await get(mno.enrich, url, {PLAIN_COOKIE: "another"})).status_code == 403
    assert (await get(mno.enrich, url, cookies)).status_code == 400
    assert (await get(mno.enrich, url, {PLAIN_COOKIE: cookies[PLAIN_COOKIE]}, peer="10.64.0.6")).status_code == 403


async def test_the_last_hop_wants_the_secure_cookie(mno: Mno) -> None:
    url, cookies = await confirmed(mno)
    assert (await get(mno.identity, url, {PLAIN_COOKIE: cookies[PLAIN_COOKIE]})).status_code == 403
    assert (await get(mno.identity, url, cookies, peer="10.64.0.6")).status_code == 403
    assert (await get(mno.identity, url, cookies)).status_code == 302


async def test_the_cleartext_hop_cannot_be_left_out(mno: Mno) -> None:
    url, cookies = await started(mno)
    tx = httpx.URL(url).params["tx"]
    for path in (f"confirm?operator=Sandbox+Mobile&tx={tx}", f"finish?tx={tx}"):
        assert (await get(mno.identity, f"https://id.mno.example/session/{path}", cookies)).status_code == 403


async def test_both_repairs_of_a_raw_space_are_understood(mno: Mno) -> None:
    url, cookies = await confirmed(mno)
    assert " " in url
    for repaired in (url.replace(" ", "+"), url.replace(" ", "%20")):
        assert (await get(mno.identity, repaired, cookies)).status_code == 302
    assert (await get(mno.identity, url.replace(" Mobile", ""), cookies)).status_code == 400


async def test_each_hop_has_its_trace_id(mno: Mno) -> None:
    url, cookies = await confirmed(mno)
    assert len((await get(mno.identity, url, cookies)).headers["X-Orange-Trace-Id"]) == 16


async def test_a_token_names_the_subscriber_once_and_to_the_partner_alone(mno: Mno) -> None:
    url, cookies = await confirmed(mno)
    tx = httpx.URL(url).params["tx"]
    back = await get(mno.identity, f"https://id.mno.example/session/finish?tx={tx}", cookies)
    assert back.status_code == 307
    target = httpx.URL(back.headers["Location"])
    assert (target.host, target.path, target.params["state"]) == (
        "p.example",
        "/phone_check/v0.2/checks/1/return",
        "the-state",
    )
    body = {"token": target.params["token"]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(mno.partner), base_url="https://partner") as partner:
        assert (await partner.post("/v1/tokens", json=body)).status_code == 401
        secret = {"Authorization": "Bearer partner-secret"}
        answer = await partner.post("/v1/tokens", json=body, headers=secret)
        assert answer.json() == {"msisdn": SUBSCRIBER.msisdn, "network_id": "00101"}
        assert (await partner.post("/v1/tokens", json=body, headers=secret)).status_code == 404
        assert (await partner.post("/v1/tokens", content=b"[", headers=secret)).status_code == 404
    assert (await get(mno.identity, f"https://id.mno.example/session/finish?tx={tx}", cookies)).status_code == 403


async def test_the_loop_comes_back_to_the_same_url(mno: Mno, conditions: Conditions) -> None:
    conditions.mno_loop = True
    location, cookies = await confirmed(mno)
    url, seen = httpx.URL(location), list[str]()
    for _ in range(4):
        seen.append(str(url))
        answer = await get(mno.identity, str(url), cookies)
        url = url.join(answer.headers["Location"])
    assert seen[1] == seen[3]
    assert SECURE_COOKIE in cookies


async def test_the_first_hop_answers_with_the_status_asked_for(mno: Mno, conditions: Conditions) -> None:
    conditions.mno_status = 503
    assert (await get(mno.start, "https://start.mno.example/identify")).status_code == 503
