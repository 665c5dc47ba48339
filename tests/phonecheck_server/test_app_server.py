"""The app server against a platform that a test scripts; tests/phonecheck_sandbox has it against a whole one."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette

from phonecheck.redact import Secret
from phonecheck_server.app import create_app
from phonecheck_server.devices import Devices
from phonecheck_server.settings import Settings

pytestmark = pytest.mark.anyio

METER, THIEF = "meter-token-0123456789", "thief-token-0123456789"
NUMBER, CODE, SECRET, ACCESS = "447700900123", "94dae426fg", "the-client-secret", "the-access-token"
ID = "c69bc0e6-a429-11ea-bb37-0242ac130002"
TYPES = "https://developer.tru.id/docs/reference/api-errors#"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Platform:
    """Answers what the API's specification says, unless ``say`` says otherwise."""

    say: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None
    requests: list[httpx.Request] = field(default_factory=list)
    expires_in: int = 3600

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answer = self.say(request) or self._usual(request)
        # As from the network: a body still to be read, and compressed for whoever accepts that.
        assert request.headers["Accept-Encoding"] == "identity"
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    def _usual(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth2/v1/token":
            return httpx.Response(200, json={"access_token": ACCESS, "expires_in": self.expires_in})
        if request.method == "POST":
            url = f"https://api.example{request.url.path}/{ID}"
            links = {"self": {"href": url}, "check_url": {"href": url + "/redirect"}}
            return httpx.Response(201, json={"check_id": ID, "status": "ACCEPTED", "ttl": 60, "_links": links})
        return httpx.Response(200, json={"check_id": ID, "status": "COMPLETED", "match": True})

    def sent(self, method: str, ending: str) -> list[httpx.Request]:
        return [r for r in self.requests if r.method == method and r.url.path.endswith(ending)]


@dataclass
class Rig:
    platform: Platform
    clock: Clock
    app: Starlette

    def device(self, token: str = METER) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="https://app.example",
            headers={"Authorization": f"Bearer {token}"},
        )

    async def created(self, version: str = "v0.2") -> None:
        async with self.device() as device:
            answer = await device.post(f"/{version}/phone-check", json={"phone_number": NUMBER})
            assert answer.status_code == 200, answer.text


@pytest.fixture
def rig() -> Rig:
    return make_rig()


def make_rig(redirect_url: str | None = None) -> Rig:
    platform, clock = Platform(), Clock()
    settings = Settings(
        platform_url="https://api.example",
        client_id="project",
        client_secret=Secret(SECRET),
        devices=Devices({METER: "meter", THIEF: "thief"}),
        redirect_url=redirect_url,
    )
    return Rig(platform, clock, create_app(settings, transport=httpx.MockTransport(platform), clock=clock))


def finish_v02(**more: str) -> dict[str, str]:
    return {"check_id": ID, "code": CODE, **more}


@pytest.mark.parametrize("version", ["v0.1", "v0.2"])
async def test_creating_a_check_returns_id_url_and_ttl(rig: Rig, version: str) -> None:
    async with rig.device() as device:
        answer = await device.post(f"/{version}/phone-check", json={"phone_number": "+44 7700 900123"})
    assert answer.json() == {
        "check_id": ID,
        "check_url": f"https://api.example/phone_check/{version}/checks/{ID}/redirect",
        "ttl": 60,
    }
    assert answer.headers["Cache-Control"] == "no-store"
    (sent,) = rig.platform.sent("POST", "/checks")
    body = json.loads(sent.content)
    assert body["phone_number"] == NUMBER
    assert set(body) == {"phone_number", "reference_id"}
    assert sent.headers["Authorization"] == f"Bearer {ACCESS}"


async def test_the_token_request_is_oauth2_client_credentials(rig: Rig) -> None:
    await rig.created()
    (sent,) = rig.platform.sent("POST", "/oauth2/v1/token")
    assert sent.headers["Authorization"] == "Basic " + base64.b64encode(f"project:{SECRET}".encode()).decode()
    assert sent.content == b"grant_type=client_credentials&scope=phone_check"


async def test_the_token_is_kept_until_a_minute_before_its_end(rig: Rig) -> None:
    rig.platform.expires_in = 300
    await rig.created()
    rig.clock.now += 240
    await rig.created()
    assert len(rig.platform.sent("POST", "/token")) == 1
    rig.clock.now += 1
    await rig.created()
    assert len(rig.platform.sent("POST", "/token")) == 2


async def test_a_revoked_token_is_replaced_once(rig: Rig) -> None:
    await rig.created()
    rejected = httpx.Response(401)
    rig.platform.say = lambda r: (
        rejected if r.url.path.endswith("/checks") and len(rig.platform.sent("POST", "/token")) < 2 else None
    )
    await rig.created()
    rig.platform.say = lambda r: httpx.Response(401) if r.url.path.endswith("/checks") else None
    async with rig.device() as device:
        answer = await device.post("/v0.2/phone-check", json={"phone_number": NUMBER})
    assert (answer.status_code, answer.json()["code"]) == (502, "platform_unusable")
    assert len(rig.platform.sent("POST", "/token")) == 3


async def test_only_the_settings_say_where_a_chain_ends() -> None:
    rig = make_rig(redirect_url="https://app.example/done")
    async with rig.device() as device:
        body = {"phone_number": NUMBER, "redirect_url": "https://thief.example", "phone_ip": "192.0.2.1"}
        await device.post("/v0.2/phone-check", json=body)
        await device.post("/v0.1/phone-check", json=body)
    newer, older = (json.loads(r.content) for r in rig.platform.sent("POST", "/checks"))
    assert newer["redirect_url"] == "https://app.example/done"
    assert "redirect_url" not in older
    assert "phone_ip" not in newer


@pytest.mark.parametrize("header", [None, "Bearer wrong-token-000000", f"Basic {METER}"])
async def test_nobody_is_served_without_a_device_token(rig: Rig, header: str | None) -> None:
    async with rig.device() as device:
        del device.headers["Authorization"]
        headers = {"Authorization": header} if header else {}
        for method, path in (
            ("POST", "/v0.1/phone-check"),
            ("GET", "/v0.1/phone-check"),
            ("POST", "/v0.2/phone-check"),
            ("POST", "/v0.2/phone-check/exchange-code"),
        ):
            answer = await device.request(method, path, headers=headers, json={"phone_number": NUMBER})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert rig.platform.requests == []


async def test_v01_answers_202_until_there_is_a_result(rig: Rig) -> None:
    await rig.created("v0.1")
    async with rig.device() as device:
        for status in ("ACCEPTED", "PENDING"):
            # A match that is not COMPLETED means nothing.
            rig.platform.say = lambda r, s=status: (
                httpx.Response(200, json={"status": s, "match": True}) if r.method == "GET" else None
            )  # type: ignore[misc]
            answer = await device.get("/v0.1/phone-check", params={"check_id": ID})
            assert (answer.status_code, answer.json()) == (202, {"status": status})
        for match in (True, False):
            rig.platform.say = lambda r, m=match: (
                httpx.Response(200, json={"status": "COMPLETED", "match": m}) if r.method == "GET" else None
            )  # type: ignore[misc]
            answer = await device.get("/v0.1/phone-check", params={"check_id": ID})
            assert (answer.status_code, answer.json()) == (200, {"match": match})


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"status": "EXPIRED"}, 410, "check_expired"),
        ({"status": "ERROR", "error_code": "not_mobile_ip"}, 412, "not_mobile_ip"),
        ({"status": "ERROR", "error_code": "ip_msisdn_mismatch"}, 409, "ip_msisdn_mismatch"),
        ({"status": "ERROR", "error_code": "mno_timeout"}, 504, "mno_timeout"),
        ({"status": "ERROR", "error_code": "mno_user_not_found"}, 502, "mno_user_not_found"),
        ({"status": "ERROR", "error_code": "<script>"}, 502, "check_error"),
        ({"status": "ERROR"}, 502, "check_error"),
    ],
)
async def test_v01_tells_how_a_check_failed_in_the_platforms_word(
    rig: Rig, said: dict[str, str], status: int, code: str
) -> None:
    await rig.created("v0.1")
    rig.platform.say = lambda r: httpx.Response(200, json=said) if r.method == "GET" else None
    async with rig.device() as device:
        answer = await device.get("/v0.1/phone-check", params={"check_id": ID})
    assert (answer.status_code, answer.json()["code"], answer.json()["type"]) == (status, code, TYPES + code)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"status": "COMPLETED"},
        {"status": "COMPLETED", "match": "true"},
        {"status": "NEW"},
        {"status": "COMPLETED", "match": True, "reference_id": "somebody's"},
    ],
)
async def test_a_result_that_is_none_is_never_a_match(rig: Rig, said: dict[str, object]) -> None:
    await rig.created("v0.1")
    rig.platform.say = lambda r: httpx.Response(200, json=said) if r.method == "GET" else None
    async with rig.device() as device:
        answer = await device.get("/v0.1/phone-check", params={"check_id": ID})
    assert (answer.status_code, answer.json()["code"]) == (502, "platform_unusable")


@pytest.mark.parametrize("match", [True, False])
async def test_v02_hands_the_code_to_the_platform_as_a_json_patch(rig: Rig, match: bool) -> None:
    await rig.created()
    rig.platform.say = lambda r: (
        httpx.Response(200, json={"status": "COMPLETED", "match": match}) if r.method == "PATCH" else None
    )
    async with rig.device() as device:
        answer = await device.post("/v0.2/phone-check/exchange-code", json=finish_v02())
    assert (answer.status_code, answer.json()) == (200, {"match": match})
    (sent,) = rig.platform.sent("PATCH", f"/phone_check/v0.2/checks/{ID}")
    assert sent.headers["Content-Type"] == "application/json-patch+json"
    assert json.loads(sent.content) == [{"op": "add", "path": "/code", "value": CODE}]


async def test_a_check_is_only_its_own_devices(rig: Rig) -> None:
    await rig.created()
    async with rig.device(THIEF) as thief, rig.device() as meter:
        stolen = await thief.post("/v0.2/phone-check/exchange-code", json=finish_v02())
        unknown = await thief.post("/v0.2/phone-check/exchange-code", json={"check_id": "unknown", "code": CODE})
        assert stolen.status_code == 404
        assert stolen.content == unknown.content
        assert rig.platform.sent("PATCH", "") == []
        assert (await meter.post("/v0.2/phone-check/exchange-code", json=finish_v02())).status_code == 200


async def test_the_result_of_a_v01_check_is_only_its_own_devices(rig: Rig) -> None:
    await rig.created("v0.1")
    async with rig.device(THIEF) as thief:
        assert (await thief.get("/v0.1/phone-check", params={"check_id": ID})).status_code == 404
    assert rig.platform.sent("GET", "") == []


@pytest.mark.parametrize("first", [200, 404, 500])
async def test_a_code_is_accepted_once(rig: Rig, first: int) -> None:
    await rig.created()
    rig.platform.say = lambda r: httpx.Response(first, json={}) if r.method == "PATCH" and first != 200 else None
    async with rig.device() as device:
        await device.post("/v0.2/phone-check/exchange-code", json=finish_v02())
        rig.platform.say = lambda _request: None
        again = await device.post("/v0.2/phone-check/exchange-code", json=finish_v02())
    assert again.status_code == 404
    assert len(rig.platform.sent("PATCH", "")) == 1


async def test_a_code_that_the_platform_never_looked_at_may_come_again(rig: Rig) -> None:
    await rig.created()

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PATCH" and len(rig.platform.sent("PATCH", "")) == 1:
            return httpx.Response(
                429,
                headers={"Retry-After": "7"},
                json={"type": TYPES + "too_many_requests", "title": "Rate Limit exceeded"},
            )
        if request.method == "PATCH" and len(rig.platform.sent("PATCH", "")) == 2:
            raise httpx.ConnectError("refused", request=request)
        return None

    rig.platform.say = refuse
    async with rig.device() as device:
        limited, unreachable, answer = [
            await device.post("/v0.2/phone-check/exchange-code", json=finish_v02()) for _ in range(3)
        ]
    assert (limited.status_code, limited.headers["Retry-After"], limited.json()["type"]) == (
        429,
        "7",
        TYPES + "too_many_requests",
    )
    assert (unreachable.status_code, unreachable.json()["code"]) == (502, "platform_unreachable")
    assert answer.json() == {"match": True}


async def test_a_code_dies_with_the_ttl(rig: Rig) -> None:
    await rig.created()
    rig.clock.now += 60
    async with rig.device() as device:
        answer = await device.post("/v0.2/phone-check/exchange-code", json=finish_v02())
    assert (answer.status_code, answer.json()["type"]) == (410, TYPES + "check_expired")
    assert rig.platform.sent("PATCH", "") == []


async def test_a_reference_id_must_be_the_sessions_own(rig: Rig) -> None:
    await rig.created()
    nonce = json.loads(rig.platform.sent("POST", "/checks")[0].content)["reference_id"]
    async with rig.device() as device:
        wrong = await device.post("/v0.2/phone-check/exchange-code", json=finish_v02(reference_id="another's"))
        right = await device.post("/v0.2/phone-check/exchange-code", json=finish_v02(reference_id=nonce))
    assert (wrong.status_code, right.status_code) == (404, 200)


@pytest.mark.parametrize(
    ("status", "word", "title"),
    [
        (400, "mno_not_supported", "Bad Request"),
        (409, "ip_msisdn_mismatch", "Conflict"),
        (412, "not_mobile_ip", "Precondition Failed"),
        (501, "mno_redirect_unsupported", "Not Implemented"),
    ],
)
async def test_the_platforms_problems_are_passed_on(rig: Rig, status: int, word: str, title: str) -> None:
    body = {"type": TYPES + word, "title": title, "detail": f"about {NUMBER}"}
    rig.platform.say = lambda r: httpx.Response(status, json=body) if r.url.path.endswith("/checks") else None
    async with rig.device() as device:
        answer = await device.post("/v0.2/phone-check", json={"phone_number": NUMBER})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": TYPES + word,
        "title": title,
        "status": status,
        "detail": "about …0123",
        "code": word,
    }


async def test_the_servers_own_trouble_with_the_platform_is_a_502_or_504(rig: Rig) -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    async with rig.device() as device:
        for say, status in (
            (lambda _r: httpx.Response(401, json={"error": "invalid_client"}), 502),
            (lambda r: httpx.Response(403) if r.url.path.endswith("/checks") else None, 502),
            (
                lambda r: (
                    httpx.Response(302, headers={"Location": "https://x.example"})
                    if r.url.path.endswith("/checks")
                    else None
                ),
                502,
            ),
            (lambda r: httpx.Response(201, json={"check_id": ID}) if r.url.path.endswith("/checks") else None, 502),
            (
                lambda r: (
                    httpx.Response(
                        201, json={"check_id": "../x", "_links": {"check_url": {"href": "https://a.example"}}}
                    )
                    if r.url.path.endswith("/checks")
                    else None
                ),
                502,
            ),
            (
                lambda r: (
                    httpx.Response(201, json={"check_id": ID, "_links": {"check_url": {"href": "http://a.example"}}})
                    if r.url.path.endswith("/checks")
                    else None
                ),
                502,
            ),
            (lambda r: httpx.Response(201, content=b" " * 70_000) if r.url.path.endswith("/checks") else None, 502),
            (down, 504),
        ):
            rig.platform.say = say  # type: ignore[assignment]
            answer = await device.post("/v0.2/phone-check", json={"phone_number": NUMBER})
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"{}",
        b'{"phone_number": 447700900123}',
        b'{"phone_number": "0770"}',
        b"[" * 4000,
        b'{"phone_number": "\\u0000"}',
        b"\xff",
    ],
)
async def test_a_bad_body_is_a_400_that_repeats_nothing(rig: Rig, body: bytes) -> None:
    async with rig.device() as device:
        answer = await device.post("/v0.2/phone-check", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert rig.platform.requests == []


async def test_a_large_body_is_refused_before_it_is_read_whole(rig: Rig) -> None:
    read = 0

    async def large() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1024
            yield b" " * 1024

    async with rig.device() as device:
        answer = await device.post("/v0.2/phone-check", content=large())
    assert answer.status_code == 413
    assert read <= 8192


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/v0.2/phone-check/exchange-code", 405), ("DELETE", "/v0.1/phone-check", 405)],
)
async def test_other_routes_are_problems_too(rig: Rig, method: str, path: str, status: int) -> None:
    async with rig.device() as device:
        answer = await device.request(method, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


async def test_the_log_says_who_and_how_and_nothing_secret(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "phonecheck_server")
    await rig.created()
    await rig.created("v0.1")
    async with rig.device() as device:
        await device.post("/v0.2/phone-check/exchange-code", json=finish_v02())
        await device.get("/v0.1/phone-check", params={"check_id": ID})
        await device.post("/v0.2/phone-check/exchange-code", json=finish_v02())
    lines = [record.getMessage() for record in caplog.records if record.name == "phonecheck_server"]
    assert len(lines) == 5
    assert lines[0].startswith("meter POST /v0.2/phone-check -> 200")
    assert not any(secret in line for line in lines for secret in (NUMBER, CODE, SECRET, ACCESS, METER, ID))


@pytest.mark.parametrize("path", ["/v0.2/phone-check/", "/v0.1/phone-check/?check_id=1"])
async def test_a_slash_too_many_leads_nowhere(rig: Rig, path: str) -> None:
    async with rig.device() as device:
        answer = await device.post(path, json={"phone_number": NUMBER}, headers={"Host": "thief.example"})
    assert answer.status_code == 404
    assert "Location" not in answer.headers
