"""What an exchange over a link is made of: its names, its network, the app server's client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from phonecheck import credentials
from phonecheck.config import Settings
from phonecheck.link.closing import Closing
from phonecheck.model import IPAddress, Link
from phonecheck.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phonecheck.appserver.client import AppServer
    from phonecheck.chain.backend import Backend
    from phonecheck.link.bind import Connecting
    from phonecheck.link.resolve import Resolver
    from phonecheck.redact import Secret


def token_of(settings: Settings) -> Secret | None:
    """The app server's token, None where there is none; of a client certificate the key's file mode is checked.

    Raises:
        ConfigError: missing-credential, unsafe-file-mode.
    """
    if settings.server.client_key is not None:
        credentials.require_private(settings.server.client_key, "server.client_key")
    return credentials.read_secret("server-token", settings.server.token_file, "server.token_file")


def resolver(link: Link, closing: Closing, servers: Sequence[IPAddress] | None = None) -> Resolver:
    """The names of one exchange over a link: asked of the link's servers, or of those alone that are given."""
    from phonecheck.link import bind
    from phonecheck.link.resolve import Resolver

    return Resolver(
        link.interface,
        link.dns if servers is None else servers,
        families=link.families,
        sources=tuple(address.ip for address in link.addresses),
        udp_socket=partial(bind.udp_socket, hold=closing.hold),
        connect_tcp=partial(bind.connect_tcp, hold=closing.hold, wait=closing.wait),
        wait=closing.wait,
    )


def backend(link: Link, closing: Closing, names: Resolver | None = None) -> Backend:
    """The network of one exchange over a link; every wait in it ends with the link.

    Args:
        link: prepared.
        closing: holds the sockets.
        names: a resolver of the link's that knows some names already.
    """
    from phonecheck.chain.backend import Backend
    from phonecheck.chain.redirects import refuse_address
    from phonecheck.link import bind, path
    from phonecheck.link.dial import Dialer

    sources = tuple(address.ip for address in link.addresses)
    elsewhere = path.networks_elsewhere(link.interface)
    known = resolver(link, closing) if names is None else names

    def start(address: IPAddress, port: int) -> Connecting:
        # A route that is missing is an error at once, not three seconds of ARP.
        path.check_path(link, [address])
        return bind.start_tcp(link.interface, address, port, sources=sources, hold=closing.hold)

    return Backend(
        known.resolve,
        Dialer(start, closing.wait).connect,
        lambda address: refuse_address(address, elsewhere, known.ipv4_inside),
        closing.wait,
    )


def app_server(settings: Settings, token: Secret | None, link: Link | None, session: Session) -> AppServer:
    """The app server's client: by the device's own routes where ``link`` is None, else over that link."""
    from phonecheck.appserver.client import AppServer

    if link is None:
        return AppServer(settings.server, token)
    from phonecheck.appserver import tls
    from phonecheck.chain.transport import BoundTransport

    transport = BoundTransport(backend(link, session.of_server), tls.context(settings.server))
    # Between two questions for a result, too, nobody waits longer than there is a link.
    return AppServer(settings.server, token, transport=transport, sleep=session.of_server.sleep)
