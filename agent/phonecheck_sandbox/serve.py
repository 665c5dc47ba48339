"""``python -m phonecheck_sandbox.serve ROLE --run DIR``: all servers of one node, in one process.

The process is started inside its network namespace, where its addresses exist. It prints ``ready`` when every socket
listens, takes over a whole set of conditions from each line of JSON on stdin, and ends with stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from phonecheck.redact import RedactingFormatter, Secret
from phonecheck_sandbox import pki, world
from phonecheck_sandbox.conditions import Conditions

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from phonecheck_sandbox.carrier.dns import NameServer

_LOOPBACK = IPv4Address("127.0.0.1")
PARTNER_SECRET = "sandbox-partner-secret"  # noqa: S105  between two servers of the sandbox


@dataclass(slots=True)
class Node:
    """What runs on a node: web servers, and tasks that serve on sockets of their own.

    Attributes:
        conditions: what every server on it reads.
        certificates: of the run.
        on_conditions: called after each change of the conditions.
        nat64: the descriptor of the NAT64's packets; None where all is IPv4.
        reports: where the app server notes the reports that it has; None for nowhere.
    """

    conditions: Conditions
    certificates: pki.Pki
    nat64: int | None = None
    reports: Path | None = None
    web: list[tuple[uvicorn.Server, list[socket.socket]]] = field(default_factory=list)
    tasks: list[Coroutine[Any, Any, None]] = field(default_factory=list)
    on_conditions: Callable[[], None] = lambda: None

    def add_web(
        self,
        app: ASGIApp,
        address: IPv4Address,
        host: str | None,
        protocol: type[asyncio.Protocol] | str = "h11",
        *,
        address6: IPv6Address | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Serve an application: by TLS as ``host`` on port 443, or plain on port 80 where it is None.

        ``context`` is the TLS context; None for the ordinary one of ``host``.
        """
        config = uvicorn.Config(
            app,
            http=protocol,
            loop="asyncio",
            ws="none",
            # The process ends all at once; there is nothing to be wound up.
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # A chain comes back to its first host after all others; its connection must still be there.
            timeout_keep_alive=20,
        )
        config.load()
        if host is not None:
            config.ssl = context or self.certificates.server_context(host)
        listeners = [_bound(socket.SOCK_STREAM, one, 443 if host else 80) for one in self.served(address, address6)]
        self.web.append((_Quiet(config), listeners))

    def served(self, address: IPv4Address, address6: IPv6Address | None) -> list[IPv4Address | IPv6Address]:
        """Those of a server's addresses that the sandbox has."""
        return [address] if address6 is None or self.nat64 is None else [address, address6]


class _Quiet(uvicorn.Server):
    """A server among others in a process: the signals are the process's own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def internet(node: Node) -> None:
    """The platform, the app server on its bad days, and the public DNS."""
    from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware

    from phonecheck_sandbox.carrier.dns import NameServer, Zone
    from phonecheck_sandbox.internet import faults
    from phonecheck_sandbox.internet.local_names import LocalNames
    from phonecheck_sandbox.internet.platform import PlatformSettings, create_platform
    from phonecheck_sandbox.internet.received import Received
    from phonecheck_server.app import create_app
    from phonecheck_server.devices import Devices
    from phonecheck_server.settings import Settings

    platform_settings = PlatformSettings(
        url=f"https://{world.PLATFORM_HOST}",
        client_id=world.CLIENT_ID,
        client_secret=world.CLIENT_SECRET,
        mobile_range=world.CARRIER_PUBLIC_RANGE,
        carrier_numbers=world.CARRIER_NUMBERS,
        network_id=world.OPERATOR_CODE,
        mno_start=f"https://{world.MNO_START_HOST}/identify",
        partner_url=f"https://{world.MNO_PARTNER_HOST}",
        partner_secret=PARTNER_SECRET,
        redirect_url=world.APP_REDIRECT_URL,
    )
    server_settings = Settings(
        platform_url=f"https://{world.PLATFORM_HOST}",
        client_id=world.CLIENT_ID,
        client_secret=Secret(world.CLIENT_SECRET),
        devices=Devices({world.SERVER_TOKEN: "sandbox-device"}),
    )
    context = node.certificates.client_context()
    platform = create_platform(platform_settings, node.conditions, transport=LocalNames(world.PUBLIC_NAMES, context))
    reports = Received(node.reports) if node.reports else None
    # By a door of its own: what is wrong with the platform's front is between it and the device.
    platform_by_loopback = LocalNames({world.PLATFORM_HOST: _LOOPBACK}, context)
    app = create_app(server_settings, transport=platform_by_loopback, reports=reports)
    app_server = faults.Faults(app, node.conditions)
    node.on_conditions = app_server.rearm
    front = node.certificates.faulty_context(world.PLATFORM_HOST, lambda: node.conditions.platform_cert)
    node.add_web(platform, world.PLATFORM, world.PLATFORM_HOST, context=front)
    node.add_web(platform, _LOOPBACK, world.PLATFORM_HOST)
    node.add_web(HTTPSRedirectMiddleware(platform), world.PLATFORM, None)
    node.add_web(app_server, world.APP_SERVER, world.APP_SERVER_HOST, app_server.protocol())
    # The public DNS is sound always: dns_fault is the carrier's.
    public = NameServer(Zone(world.PUBLIC_NAMES, clients=None), Conditions())
    node.tasks.append(_dns(public, world.PUBLIC_DNS))


def carrier(node: Node) -> None:
    """The operator's hops and partner interface, its portal, the lab, the carrier's two name servers, and its NAT64."""
    from phonecheck_sandbox.carrier import nat64
    from phonecheck_sandbox.carrier.dns import NameServer, Zone
    from phonecheck_sandbox.carrier.lab import Boxes, Lab
    from phonecheck_sandbox.carrier.mno import Mno, MnoSettings
    from phonecheck_sandbox.carrier.portal import create_portal

    settings = MnoSettings(
        enrich_url=f"http://{world.MNO_ENRICH_HOST}",
        identity_url=f"https://{world.MNO_IDENTITY_HOST}",
        cookie_domain="mno.example",
        platform_url=f"https://{world.PLATFORM_HOST}",
        operator_name=world.OPERATOR_NAME,
        network_id=world.OPERATOR_CODE,
        partner_secret=PARTNER_SECRET,
        subscribers=world.SUBSCRIBERS_BY_ADDRESS,
    )
    mno = Mno(settings, node.conditions)
    node.add_web(mno.start, world.MNO_START, world.MNO_START_HOST, address6=world.MNO_START_6)
    node.add_web(mno.enrich, world.MNO_ENRICH, None, address6=world.MNO_ENRICH_6)
    node.add_web(mno.identity, world.MNO_IDENTITY, world.MNO_IDENTITY_HOST, address6=world.MNO_IDENTITY_6)
    node.add_web(mno.partner, world.MNO_PARTNER, world.MNO_PARTNER_HOST)

    portal = create_portal(world.PORTAL_HOST)
    for host in (None, world.PORTAL_HOST):
        node.add_web(portal, world.PORTAL, host, address6=world.PORTAL_6)

    lab_hosts = [name for name, address in world.CARRIER_NAMES.items() if address == world.LAB]
    lab = Lab(
        {host: node.certificates.server_context(host) for host in lab_hosts},
        world.LAB_HOST,
        Boxes(resets=world.TLS13_RESET_HOST, swallows=world.TLS13_SILENT_HOST, slow=world.SLOW_TLS_HOST),
    )
    for address in node.served(world.LAB, world.LAB_6):
        node.tasks.append(lab.serve_plain(_bound(socket.SOCK_STREAM, address, 80)))
        node.tasks.append(lab.serve_tls(_bound(socket.SOCK_STREAM, address, 443)))

    zone = Zone(
        world.CARRIER_NAMES,
        world.CARRIER_ALIASES,
        names6=world.CARRIER_NAMES_6,
        clients=(world.SUBSCRIBERS, world.SUBSCRIBERS_6),
        rebound={
            "rebind-loopback": (world.LAB_HOST, IPv4Address("127.0.0.1")),
            "rebind-lan": (world.LAB_HOST, world.LAN_ROUTER.ip),
        },
    )
    for n, (address, address6) in enumerate(zip(world.CARRIER_DNS, world.CARRIER_DNS_6, strict=True)):
        node.tasks.append(_dns(NameServer(zone, node.conditions, first=n == 0), address))
        if node.nat64 is not None:
            dns64 = NameServer(zone, node.conditions, dns64=world.NAT64, first=n == 0)
            node.tasks.append(_dns(dns64, address6))
    if node.nat64 is not None:
        node.tasks.append(nat64.serve(nat64.Nat64(world.NAT64, _pool()), node.nat64))


def _pool() -> dict[IPv6Address, IPv4Address]:
    subscribers = (world.SUBSCRIBER, world.OTHER_SUBSCRIBER)
    return dict(zip((s.address6 for s in subscribers), world.NAT64_POOL.hosts(), strict=False))


ROLES: dict[str, Callable[[Node], None]] = {"internet": internet, "carrier": carrier}


def main(arguments: list[str] | None = None) -> None:
    """Run one role until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m phonecheck_sandbox.serve", description=main.__doc__)
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--run", type=Path, required=True, help="the run directory, with the certificates")
    parser.add_argument("--nat64", type=int, help="serve IPv6 too; the descriptor of the NAT64's packets")
    parser.add_argument("--reports", type=Path, help="the file for the reports that the app server takes")
    parser.add_argument("--verbose", action="store_true", help="log each request of the app server to stderr")
    options = parser.parse_args(arguments)
    _log(verbose=options.verbose)
    node = Node(Conditions(), pki.in_run_directory(options.run), options.nat64, options.reports)
    asyncio.run(_serve(ROLES[options.role], node))


async def _serve(role: Callable[[Node], None], node: Node) -> None:
    role(node)
    servers = [server for server, _ in node.web]
    running = [asyncio.create_task(server.serve(sockets=listeners)) for server, listeners in node.web]
    running += [asyncio.create_task(task) for task in node.tasks]
    while not all(server.started for server in servers):
        for task in running:
            if task.done():
                task.result()
        await asyncio.sleep(0.002)
    print("ready", flush=True)

    follow = asyncio.create_task(_follow(node.conditions, node.on_conditions))
    done, _ = await asyncio.wait([follow, *running], return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for task in done:
        task.result()


async def _follow(conditions: Conditions, changed: Callable[[], None]) -> None:
    """Take over each line of stdin as the new conditions, until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while line := await reader.readline():
            conditions.update(json.loads(line))
            changed()
    finally:
        transport.close()


def _bound(kind: socket.SocketKind, address: IPv4Address | IPv6Address, port: int) -> socket.socket:
    """A socket on an address; it listens at once, so that nobody is refused between "ready" and the first accept."""
    # The protocol is named because asyncio sets TCP_NODELAY only where a socket says IPPROTO_TCP, and accepted sockets
    # inherit what the listener says; left at 0, answers after a TLS handshake wait 40 ms for the client's delayed ACK.
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    bound = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((str(address), port))
    if kind == socket.SOCK_STREAM:
        bound.listen(128)
    return bound


async def _dns(server: NameServer, address: IPv4Address | IPv6Address) -> None:
    await server.serve(_bound(socket.SOCK_DGRAM, address, 53), _bound(socket.SOCK_STREAM, address, 53))


def _log(*, verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if verbose:
        logging.getLogger("phonecheck_server").setLevel(logging.INFO)


if __name__ == "__main__":
    main()
