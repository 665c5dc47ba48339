"""One measured exchange of each kind on the device of a sandbox: by phonecheck, and by mmcli and curl."""  # noqa: INP001  a script

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phonecheck_sandbox import world

if TYPE_CHECKING:
    from device import Device, Process

_HERE = Path(__file__).parent
_CHECKS = f"https://{world.APP_SERVER_HOST}/v0.2/phone-check"


@dataclass(frozen=True)
class ByPhonecheck:
    """A `phonecheck verify` or `open`, and what its JSON says: of the link, and of the chain and its hosts and ports."""

    process: Process
    interface: str
    dns: list[str]
    chain_ms: float
    round_trips: int
    places: dict[tuple[str, int], None]


def verify(device: Device) -> ByPhonecheck:
    """The whole flow: modem, check, chain, result."""
    return _read(device.run("phonecheck", "verify", "--json"))


def open_url(device: Device) -> ByPhonecheck:
    """Modem and chain, without the app server: all that :func:`mmcli_and_curl` can do."""
    check = _create(device).answer
    return _read(device.run("phonecheck", "open", "-", "--json", stdin=f"{check['check_url']}\n"))


def _read(process: Process) -> ByPhonecheck:
    answer = json.loads(process.stdout)
    hops = answer["hops"]
    urls = [urlsplit(hop["url"]) for hop in hops]
    return ByPhonecheck(
        process,
        answer["link"]["interface"],
        answer["link"]["dns"],
        sum(hop["ms"]["total"] for hop in hops),
        sum(_round_trips(hop) for hop in hops),
        # A dict, for its order: the names are asked for as the chain asks for them.
        dict.fromkeys((url.hostname or "", url.port or {"http": 80, "https": 443}[url.scheme]) for url in urls),
    )


def _round_trips(hop: dict[str, Any]) -> int:
    """What a hop cannot do without: name, TCP, TLS (1.3 one, 1.2 two) and request; on a kept connection the request."""
    if hop["reused"]:
        return 1
    return (hop["dns_server"] is not None) + 1 + {None: 0, "TLSv1.3": 1, "TLSv1.2": 2}[hop["tls"]] + 1


@dataclass(frozen=True)
class ByCurl:
    """The same by `mmcli` and `curl`: their processes, and in milliseconds what each part took of the network."""

    mmcli: Process
    curl: Process
    names_ms: float
    chain_ms: float
    app_server_ms: float


def mmcli_and_curl(device: Device, like: ByPhonecheck) -> ByCurl:
    """Create a check, read the modem, open the check URL over the link, and hand the code over.

    Raises:
        RuntimeError: the number did not match, so it was not the same exchange.
    """
    created = _create(device)
    mmcli = device.run("mmcli", "-m", "any")
    hosts = dict.fromkeys(host for host, _ in like.places)
    lookup = device.run(sys.executable, _HERE / "names.py", like.interface, ",".join(like.dns), *hosts)
    names: dict[str, tuple[str, float]] = json.loads(lookup.stdout)
    addresses = [word for host, port in like.places for word in ("--resolve", f"{host}:{port}:{names[host][0]}")]
    # if! is SO_BINDTODEVICE before connect(), or an error; -b '' is an empty cookie jar.
    bound = ["-L", "-b", "", "--interface", f"if!{like.interface}", *addresses]
    opened = _curl(device, *bound, created.answer["check_url"])
    finished = _post(device, "/exchange-code", opened.answer)
    if finished.answer["match"] is not True:
        raise RuntimeError("curl's own check did not match")
    names_ms = sum(ms for _, ms in names.values())
    return ByCurl(mmcli, opened.process, names_ms, opened.network_ms, created.network_ms + finished.network_ms)


@dataclass(frozen=True)
class _Curled:
    """One curl: its process, the time from its first to its last byte, and the JSON that it got."""

    process: Process
    network_ms: float
    answer: dict[str, Any]


def _create(device: Device) -> _Curled:
    return _post(device, "", {"phone_number": world.SUBSCRIBER.msisdn})


def _post(device: Device, path: str, body: dict[str, str]) -> _Curled:
    json_body = ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return _curl(
        device, "-K", "-", *json_body, _CHECKS + path, stdin=f'header = "Authorization: Bearer {world.SERVER_TOKEN}"'
    )


def _curl(device: Device, *arguments: str, stdin: str = "") -> _Curled:
    process = device.run("curl", "-sS", "--fail-with-body", "-w", "\n%{time_total}", *arguments, stdin=stdin)
    body, _, seconds = process.stdout.rpartition("\n")
    return _Curled(process, float(seconds) * 1000, json.loads(body))
