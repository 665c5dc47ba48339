"""Puts the real parts together: the one place that knows every adapter. Imports them when they are needed, not before."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from phonecheck import config
from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ConfigError
from phonecheck.exchange import app_server, backend, token_of
from phonecheck.model import ChainEnd, Hop, Link, Modem, ModemState, PhoneNumber
from phonecheck.session import Session, pin_of
from phonecheck.verify import Parts

if TYPE_CHECKING:
    import pathlib
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

    from phonecheck.appserver.client import AppServer as Client
    from phonecheck.appserver.outbox import Report, Verdict
    from phonecheck.modem.manager import ModemManager

    Deliver = Callable[[Iterable[Report], Deadline], Iterator[tuple[str, Verdict]]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line says; None and empty leave the setting as it is. ``wait`` and ``timeout`` are in seconds."""

    number: PhoneNumber | None = None
    server: str | None = None
    modem: str | None = None
    interface: str | None = None
    dns: tuple[str, ...] = ()
    connect: bool | None = None
    apn: str | None = None
    wait: float | None = None
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
    if choice.connect is not None:
        modem = dataclasses.replace(modem, connect="auto" if choice.connect else "never")
    if choice.apn is not None:
        modem = dataclasses.replace(modem, apn=config.apn(choice.apn))
    if choice.wait is not None:
        modem = dataclasses.replace(modem, wait=choice.wait)
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
    return dataclasses.replace(settings, server=server, phone=phone, modem=modem, link=link, chain=chain)


def modem_manager() -> ModemManager:
    """ModemManager on the system bus."""
    from phonecheck.modem.manager import ModemManager

    return ModemManager()


def unlock_sim(settings: Settings, typed: str, deadline: Deadline, *, last_try: bool) -> Modem:
    """Send a PIN to the SIM of the chosen modem, once, and read the modem again.

    Args:
        settings: which modem.
        typed: the PIN as somebody typed it.
        deadline: for all of it.
        last_try: send it also where a wrong one may block the SIM.

    Raises:
        ConfigError: bad-setting, it can be no PIN.
        SimError: pin-refused, puk-required, sim-locked. ModemError: of the modem or the right to use it.
    """
    from phonecheck.modem import locks

    pin = locks.parse_pin(typed)
    with modem_manager() as manager:
        modem = manager.find(settings.modem.id, deadline)
        refusal = locks.refusal_to_send(modem) if modem.state is ModemState.LOCKED else None
        if refusal is not None and not last_try:
            raise refusal
        manager.unlock(modem, pin, deadline)
        return manager.find(settings.modem.id, deadline)


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
    token = token_of(settings) if with_server else None
    session = Session(settings, pin_of(settings))
    if settings.server.redirect_url is not None:
        # Now, by the rules of the chain: to find it wrong at the chain's end would have spent a check.
        from phonecheck.chain.url import parse_redirect_url

        parse_redirect_url(settings.server.redirect_url)
    number = None if settings.phone.number == "sim" else PhoneNumber.parse(settings.phone.number)
    return Parts(
        read_modem=session.read_modem,
        find_link=session.find_link,
        number=number,
        sim_number=_sim_number,
        app_server=lambda link: app_server(settings, token, link, session),
        server_needs_link=settings.server.over == "modem",
        check_url=_check_url,
        open_chain=lambda url, link, modem, deadline, on_hop: _open_chain(
            settings, url, link, modem, deadline, on_hop, session
        ),
        code_expected=settings.server.protocol == "v0.2",
        warm_up=_warm_up,
        on_loss=session.loss.on,
        lost=lambda: session.loss.error,
        settle=session.settle,
        linger=session.linger,
    )


@dataclass(frozen=True, slots=True)
class Reporting:
    """How reports get to the app server.

    Attributes:
        reach: comes first: makes modem and link ready where the server is reached over them, and gives what delivers
            reports within a deadline (appserver/outbox.py).
        settle: comes last: closes the connections, and takes down what was set up.
        linger: the same in a process that was forked off from one that a signal ends at once; does not return.
    """

    reach: Callable[[Deadline], Deliver]
    settle: Callable[[], None]
    linger: Callable[[], None]


def wire_reports(settings: Settings) -> Reporting:
    """Everything that posting reports needs, from the settings.

    Raises:
        ConfigError: bad-setting, missing-credential, unsafe-file-mode: before anything is sent.
    """
    if settings.server.url is None or settings.server.report is None:
        raise ConfigError(
            "bad-setting",
            "No app server that takes reports is configured.",
            hint="Set server.url and server.report in the configuration.",
        )
    over_modem = settings.server.over == "modem"
    token = token_of(settings)
    session = Session(settings, pin_of(settings) if over_modem else None)
    clients: list[Client] = []

    def reach(deadline: Deadline) -> Deliver:
        from phonecheck.appserver.outbox import deliver

        link = None
        if over_modem:
            modem = session.read_modem(deadline, lambda: None, lambda _: None, lambda _: None)
            link = session.find_link(modem, deadline)
        client = app_server(settings, token, link, session)
        clients.append(client)

        def post(key: str, body: Mapping[str, object], until: Deadline) -> Verdict:
            try:
                return client.report(key, body, until)
            except AgentError as error:
                raise session.loss.error or error from None

        return lambda reports, until: deliver(reports, post, until)

    def settle() -> None:
        for client in clients:
            client.close()
        session.settle()

    return Reporting(reach, settle, session.linger)


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link as it is: what it would be given for an exchange, what of it is ours, what an exchange would end with."""

    link: Link
    lacks: tuple[str, ...]
    ours: tuple[str, ...]
    error: AgentError | None


def look_at_link(settings: Settings, deadline: Deadline) -> LinkView:
    """The link of the chosen modem or interface; nothing is changed for it.

    Raises:
        ModemError, SimError, BearerError, LinkError, ConfigError: there is no link to look at.
    """
    from phonecheck.link import prepare, routes

    modem = dataclasses.replace(settings.modem, connect="never", wait=0.0)
    session = Session(dataclasses.replace(settings, modem=modem), None)
    try:
        seen = session.read_modem(deadline, lambda: None, lambda _: None, lambda _: None)
        link = session.look(seen, deadline)
        try:
            link, lacks = prepare.examine(
                link, family=settings.link.family, change=settings.link.routes == "auto", dhcp=seen is not None
            )
        except AgentError as obstacle:
            return LinkView(link, (), routes.ours(), obstacle)
        return LinkView(link, lacks, routes.ours(), None)
    finally:
        session.settle()


def clean_links() -> tuple[str, ...]:
    """Remove what killed runs left on their links; a line of words for each thing.

    Raises:
        LinkError: bind-refused; this process may not.
    """
    from phonecheck.link import routes

    return routes.cleanup()


def _check_url(url: str) -> None:
    from phonecheck.chain.url import parse_check_url

    parse_check_url(url)


@cache
def _warm_up() -> ssl.SSLContext:
    """What a chain needs before its first packet: 60 ms of imports, 16 ms of reading Debian's certificates (on a PC)."""
    import phonecheck.chain.run
    import phonecheck.link.dial
    import phonecheck.link.resolve  # noqa: F401  imported for the time it takes
    from phonecheck.chain import tls
    from phonecheck.link import question

    question.load_codec()
    return tls.first_context()


def _open_chain(
    settings: Settings,
    url: str,
    link: Link,
    modem: Modem | None,
    deadline: Deadline,
    on_hop: Callable[[Hop], None],
    session: Session,
) -> ChainEnd:
    context = _warm_up()
    from phonecheck.chain.headers import for_platform
    from phonecheck.chain.run import Chain
    from phonecheck.chain.url import parse_check_url

    start = parse_check_url(url)
    chain = Chain(
        backend(link, session.of_chain),
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
        # While the app server is asked for the result. With the link lost there is the answer to be given first: whose
        # socket still has its link is the kernel's to say, and it is slow while it takes a device away (12 ms seen).
        if session.loss.error is None:
            session.of_chain.begin()


def _sim_number(modem: Modem | None) -> PhoneNumber:
    numbers = modem.own_numbers if modem else ()
    if not numbers:
        raise ConfigError("number-unknown", "No number was given or configured, and the SIM does not store its own.")
    return numbers[0]
