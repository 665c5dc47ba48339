"""Puts the real parts together: the one place that knows every adapter. Imports them when they are needed, not before."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from phonecheck import config, credentials
from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import ConfigError, LinkError
from phonecheck.link.closing import Closing
from phonecheck.model import ChainEnd, Hop, IPAddress, Link, Modem, Path, PhoneNumber
from phonecheck.verify import AppServer, Parts

if TYPE_CHECKING:
    import pathlib
    import socket
    import ssl

    from phonecheck.chain.backend import Backend
    from phonecheck.modem.manager import ModemManager
    from phonecheck.redact import Secret


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line says; None and empty leave the setting as it is. ``timeout`` is in seconds."""

    number: PhoneNumber | None = None
    server: str | None = None
    modem: str | None = None
    interface: str | None = None
    dns: tuple[str, ...] = ()
    timeout: float | None = None


def load(file: pathlib.Path | None, choice: Choice) -> Settings:
    """The settings, the command line's choice over the file's.

    Raises:
        ConfigError: bad-setting.
    """
    settings = config.load(file)
    server, phone, modem, link, chain = settings.server, settings.phone, settings.modem, settings.link, settings.chain
    if choice.server is not None:
        server = dataclasses.replace(server, url=config.server_url(choice.server))
    if choice.number is not None:
        phone = dataclasses.replace(phone, number=choice.number.digits)
    if choice.modem is not None:
        modem = dataclasses.replace(modem, id=choice.modem)
    if choice.interface is not None:
        link = dataclasses.replace(link, interface=choice.interface)
    if choice.dns:
        try:
            link = dataclasses.replace(link, dns=tuple(ip_address(text) for text in choice.dns))
        except ValueError:
            raise ConfigError(
                "bad-setting", "A DNS server is not an IP address.", hint="Give --dns 10.0.0.1."
            ) from None
    if choice.timeout is not None:
        chain = dataclasses.replace(chain, timeout=choice.timeout)
    return Settings(server, phone, modem, link, chain)


def modem_manager() -> ModemManager:
    """ModemManager on the system bus."""
    from phonecheck.modem.manager import ModemManager

    return ModemManager()


def wire(settings: Settings, *, with_server: bool) -> Parts:
    """Everything that the flow needs, from the settings.

    Args:
        settings: already checked.
        with_server: whether there is an app server to speak of; ``open`` has none.

    Raises:
        ConfigError: bad-setting, missing-credential, unsafe-file-mode: before anything is sent.
    """
    if with_server and settings.server.url is None:
        raise ConfigError(
            "bad-setting",
            "No app server is configured.",
            hint="Give --server https://HOST, or set server.url in the configuration.",
        )
    token = _token(settings) if with_server else None
    if settings.server.redirect_url is not None:
        # Now, by the rules of the chain: to find it wrong at the chain's end would have spent a check.
        from phonecheck.chain.url import parse_redirect_url

        parse_redirect_url(settings.server.redirect_url)
    # The chain takes leave of its peers while the app server, over the link too, is still to be asked for the result.
    of_chain, of_server = Closing(), Closing()

    def settle() -> None:
        of_chain.finish()
        of_server.finish()

    def linger() -> None:
        of_chain.linger()
        of_server.linger()

    number = None if settings.phone.number == "sim" else PhoneNumber.parse(settings.phone.number)
    return Parts(
        read_modem=lambda deadline: _read_modem(settings, deadline),
        find_link=lambda modem: _find_link(settings, modem),
        number=number,
        sim_number=_sim_number,
        app_server=lambda link: _app_server(settings, token, link, of_server),
        server_needs_link=settings.server.over == "modem",
        check_url=_check_url,
        open_chain=lambda url, link, modem, deadline, on_hop: _open_chain(
            settings, url, link, modem, deadline, on_hop, of_chain
        ),
        code_expected=settings.server.protocol == "v0.2",
        warm_up=_warm_up,
        settle=settle,
        linger=linger,
    )


def _token(settings: Settings) -> Secret | None:
    if settings.server.client_key is not None:
        credentials.require_private(settings.server.client_key, "server.client_key")
    return credentials.read_secret("server-token", settings.server.token_file, "server.token_file")


def _read_modem(settings: Settings, deadline: Deadline) -> Modem | None:
    if settings.link.interface is not None:
        return None
    with modem_manager() as manager:
        return manager.find(settings.modem.id, deadline)


def _find_link(settings: Settings, modem: Modem | None) -> Link:
    from phonecheck.link import path
    from phonecheck.modem.ready import link_of

    choice = settings.link
    link = (
        path.link_from_kernel(choice.interface or "", choice.dns)
        if modem is None
        else link_of(modem, choice.dns, choice.family)
    )
    link = _of_one_family(path.usable(link), choice.family)
    return dataclasses.replace(link, dns=path.reachable(link, link.dns))


def _of_one_family(link: Link, family: str) -> Link:
    """The link with the addresses of the wanted family, and the DNS servers that can be asked from them."""
    addresses = tuple(a for a in link.addresses if family in ("auto", str(a.version)))
    if not addresses:
        hint = "Ask for a bearer of that IP type (APN, ip-type), or correct link.family."
        raise LinkError("no-route", f"{link.interface} has no IPv{family} address.", hint=hint)
    dns = tuple(server for server in link.dns if any(server.version == a.version for a in addresses))
    if not dns:
        versions = " and ".join(sorted({f"IPv{a.version}" for a in addresses}))
        message = f"{link.interface} is to be used with {versions}, and none of its DNS servers is."
        raise LinkError("no-route", message, hint=f"Name {versions} servers with --dns ADDRESS or link.dns.")
    return dataclasses.replace(link, addresses=addresses, dns=dns)


def _check_url(url: str) -> None:
    from phonecheck.chain.url import parse_check_url

    parse_check_url(url)


@cache
def _warm_up() -> ssl.SSLContext:
    """What a chain needs before its first packet: 60 ms of imports, 16 ms of reading Debian's certificates (on a PC)."""
    import phonecheck.chain.run
    import phonecheck.link.resolve  # noqa: F401  imported for the time it takes
    from phonecheck.chain import tls
    from phonecheck.link import question

    question.load_codec()
    return tls.first_context()


def _backend(link: Link, closing: Closing) -> Backend:
    """The network of one exchange over a link."""
    from phonecheck.chain.backend import Backend
    from phonecheck.chain.redirects import refuse_address
    from phonecheck.link import bind, path
    from phonecheck.link.resolve import Resolver

    sources = tuple(address.ip for address in link.addresses)
    elsewhere = path.networks_elsewhere(link.interface)
    resolver = Resolver(
        link.interface,
        link.dns,
        families=link.families,
        sources=sources,
        udp_socket=partial(bind.udp_socket, hold=closing.hold),
        connect_tcp=partial(bind.connect_tcp, hold=closing.hold),
    )

    def connect(address: IPAddress, port: int, seconds: float) -> tuple[socket.socket, Path]:
        # A route that is missing is an error at once, not three seconds of ARP.
        path.check_path(link, [address])
        return bind.connect_tcp(link.interface, address, port, timeout=seconds, sources=sources, hold=closing.hold)

    return Backend(resolver.resolve, connect, lambda address: refuse_address(address, elsewhere))


def _open_chain(
    settings: Settings,
    url: str,
    link: Link,
    modem: Modem | None,
    deadline: Deadline,
    on_hop: Callable[[Hop], None],
    closing: Closing,
) -> ChainEnd:
    context = _warm_up()
    from phonecheck.chain.headers import for_platform
    from phonecheck.chain.run import Chain
    from phonecheck.chain.url import parse_check_url

    start = parse_check_url(url)
    chain = Chain(
        _backend(link, closing),
        context,
        limits=settings.chain,
        platform_headers=for_platform(str(uuid.uuid4()), modem.operator_code if modem else ""),
        deadline=deadline,
        on_hop=on_hop,
        redirect_url=settings.server.redirect_url,
    )
    try:
        return chain.open(start)
    finally:
        # While the app server is asked for the result.
        closing.begin()


def _sim_number(modem: Modem | None) -> PhoneNumber:
    numbers = modem.own_numbers if modem else ()
    if not numbers:
        raise ConfigError("number-unknown", "No number was given or configured, and the SIM does not store its own.")
    return numbers[0]


def _app_server(settings: Settings, token: Secret | None, link: Link | None, closing: Closing) -> AppServer:
    from phonecheck.appserver.client import AppServer as Client

    if link is None:
        return Client(settings.server, token)
    from phonecheck.appserver import tls
    from phonecheck.chain.transport import BoundTransport

    transport = BoundTransport(_backend(link, closing), tls.context(settings.server))
    return Client(settings.server, token, transport=transport)
