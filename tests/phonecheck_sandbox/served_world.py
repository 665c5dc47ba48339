"""Both serving processes in one network namespace; run by test_serve.py inside it, prints one JSON object."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import httpx

from phonecheck_sandbox import pki, world

DEVICE, NAT, HOME = str(world.WWAN0.ip), str(world.CARRIER_PUBLIC.ip), str(world.LAN_PUBLIC.ip)


class From(httpx.BaseTransport):
    """Requests that leave from one address and know where the world's names are."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self._inner = httpx.HTTPTransport(local_address=address, verify=context, trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        url = request.url.copy_with(host=str(world.CARRIER_NAMES[host]))
        extensions = {**request.extensions, "sni_hostname": host}
        assert isinstance(request.stream, httpx.SyncByteStream)
        return self._inner.handle_request(
            httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
        )

    def close(self) -> None:
        self._inner.close()


def start(role: str, run: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "phonecheck_sandbox.serve", role, "--run", str(run)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def tell(process: subprocess.Popen[str], **conditions: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(conditions) + "\n")
    process.stdin.flush()


def browse(context: ssl.SSLContext, url: str, public: str = NAT) -> httpx.Response:
    """Open a check URL as a device does: the operator sees its session's address, the platform the one behind NAT."""
    mounts = {f"https://{world.PLATFORM_HOST}": From(public, context)}
    with httpx.Client(transport=From(DEVICE, context), mounts=mounts, follow_redirects=True) as browser:
        return browser.get(url)


def resolve(source: str, server: IPv4Address) -> tuple[int, list[str]]:
    answer = dns.query.udp(dns.message.make_query(world.PLATFORM_HOST, "A"), str(server), timeout=5, source=source)
    return int(answer.rcode()), [str(item) for rrset in answer.answer for item in rrset]


def until_status(context: ssl.SSLContext, url: str, status: int) -> int:
    """The conditions arrive by a pipe, so a moment may pass."""
    for _ in range(50):
        seen = browse(context, url).status_code
        if seen == status:
            break
        time.sleep(0.01)
    return seen


def tell_the_story() -> dict[str, object]:
    addresses = {*world.CARRIER_NAMES.values(), *world.CARRIER_DNS, world.PUBLIC_DNS, DEVICE, NAT, HOME}
    for address in addresses:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        certificates = pki.create(Path(directory))
        context = certificates.client_context()
        internet, carrier = start("internet", Path(directory)), start("carrier", Path(directory))
        story: dict[str, object] = {"ready": [ready(internet), ready(carrier)]}
        with httpx.Client(
            transport=From(HOME, context),
            base_url=f"https://{world.APP_SERVER_HOST}",
            headers={"Authorization": f"Bearer {world.SERVER_TOKEN}"},
        ) as device:
            create = {"phone_number": world.SUBSCRIBER.msisdn}
            check = device.post("/v0.2/phone-check", json=create).json()
            story["from home"] = browse(context, check["check_url"], HOME).status_code
            end = browse(context, check["check_url"])
            story["hops"] = [hop.status_code for hop in [*end.history, end]]
            story["match"] = device.post("/v0.2/phone-check/exchange-code", json=end.json()).json()
            check = device.post("/v0.1/phone-check", json=create).json()
            story["v0.1 end"] = browse(context, check["check_url"]).text
            story["v0.1 match"] = device.get("/v0.1/phone-check", params={"check_id": check["check_id"]}).json()
            tell(internet, platform_status=501)
            check = device.post("/v0.2/phone-check", json=create).json()
            story["told"] = until_status(context, check["check_url"], 501)
        story["dns"] = resolve(DEVICE, world.CARRIER_DNS[1])
        story["dns for strangers"] = resolve(HOME, world.CARRIER_DNS[0])
        story["public dns"] = resolve(HOME, world.PUBLIC_DNS)
        lab = browse(context, f"https://{world.LAB_HOST}/downgrade")
        story["lab"] = [hop.url.scheme for hop in [*lab.history, lab]]
        for process in (internet, carrier):
            assert process.stdin is not None
            process.stdin.close()
        story["exits"] = [process.wait(5) for process in (internet, carrier)]
        return story


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tell_the_story()))
