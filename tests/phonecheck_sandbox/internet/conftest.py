"""Platform, operator and app server in one process, each seen from the address that counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

import httpx
import pytest

from phonecheck.redact import Secret
from phonecheck_sandbox import world
from phonecheck_sandbox.carrier.mno import Mno, MnoSettings
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.internet.faults import Faults
from phonecheck_sandbox.internet.platform import PlatformSettings, create_platform
from phonecheck_server.app import create_app
from phonecheck_server.devices import Devices
from phonecheck_server.settings import Settings

PLATFORM, APP = "https://api.platform.example", "https://app.customer.example"
SUBSCRIBER, OTHER, STRANGER = "10.64.0.2", "10.64.0.6", "10.64.0.10"
BEHIND_NAT, HOME = "203.0.113.64", "192.0.2.10"
TOKEN = "device-token-0123456789"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Net:
    """The servers, and browsers and devices to use them with."""

    conditions: Conditions = field(default_factory=Conditions)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        operator = MnoSettings(
            enrich_url="http://he.mno.example",
            identity_url="https://id.mno.example",
            cookie_domain="mno.example",
            platform_url=PLATFORM,
            operator_name="Sandbox Mobile",
            network_id="00101",
            partner_secret="partner-secret",
            subscribers=world.SUBSCRIBERS_BY_ADDRESS,
        )
        self.mno = Mno(operator, self.conditions)
        settings = PlatformSettings(
            url=PLATFORM,
            client_id="project",
            client_secret="project-secret",
            mobile_range=IPv4Network("203.0.113.0/24"),
            carrier_numbers="447700900",
            network_id="00101",
            mno_start="https://start.mno.example/identify",
            partner_url="https://partner.mno.example",
            partner_secret="partner-secret",
            redirect_url=APP + "/v0.2/phone-check/exchange-code",
        )
        self.platform = create_platform(
            settings, self.conditions, transport=httpx.ASGITransport(self.mno.partner), clock=self.clock
        )
        server = Settings(PLATFORM, "project", Secret("project-secret"), Devices({TOKEN: "device"}))
        self.app_server = Faults(
            create_app(server, transport=httpx.ASGITransport(self.platform), clock=self.clock), self.conditions
        )

    def browser(self, session: str = SUBSCRIBER, public: str = BEHIND_NAT, *, follow: bool = True) -> httpx.AsyncClient:
        """Whoever opens check URLs: the operator sees its session's address, the platform the one behind NAT."""
        assert IPv4Address(session)
        return httpx.AsyncClient(
            mounts={
                PLATFORM: httpx.ASGITransport(self.platform, client=(public, 40000)),
                APP: httpx.ASGITransport(self.app_server, client=(public, 40000)),
                "https://start.mno.example": httpx.ASGITransport(self.mno.start, client=(session, 40000)),
                "http://he.mno.example": httpx.ASGITransport(self.mno.enrich, client=(session, 40000)),
                "https://id.mno.example": httpx.ASGITransport(self.mno.identity, client=(session, 40000)),
            },
            follow_redirects=follow,
            max_redirects=30,
        )

    def project(self) -> httpx.AsyncClient:
        """The customer's project at the platform."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.platform), base_url=PLATFORM)

    def device(self) -> httpx.AsyncClient:
        """A device at the app server."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app_server, client=(HOME, 40000)),
            base_url=APP,
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    async def access_token(self, scope: str = "phone_check") -> dict[str, str]:
        """The header that opens the API."""
        form = {"grant_type": "client_credentials", "scope": scope}
        async with self.project() as project:
            answer = await project.post("/oauth2/v1/token", data=form, auth=("project", "project-secret"))
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def create(self, version: str = "v0.2", number: str = "447700900123", **more: str) -> dict[str, object]:
        """A check, as the platform made it."""
        async with self.project() as project:
            answer = await project.post(
                f"/phone_check/{version}/checks",
                json={"phone_number": number, **more},
                headers=await self.access_token(),
            )
        assert answer.status_code == 201, answer.text
        values: dict[str, object] = answer.json()
        return values

    async def check_url(self, version: str = "v0.2", number: str = "447700900123", **more: str) -> str:
        """The check URL of a new check."""
        check = await self.create(version, number, **more)
        return str(check["_links"]["check_url"]["href"])  # type: ignore[index]

    async def read(self, check_url: str) -> dict[str, object]:
        """The check behind a check URL."""
        async with self.project() as project:
            answer = await project.get(check_url.removesuffix("/redirect"), headers=await self.access_token())
        values: dict[str, object] = answer.json()
        return values

    async def patch(self, check_url: str, code: str) -> httpx.Response:
        """Complete a check."""
        headers = {**await self.access_token(), "Content-Type": "application/json-patch+json"}
        async with self.project() as project:
            return await project.patch(
                check_url.removesuffix("/redirect"),
                json=[{"op": "add", "path": "/code", "value": code}],
                headers=headers,
            )


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
