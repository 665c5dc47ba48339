"""Puts the real parts together: the one place that knows every adapter. Imports them when they are needed, not before."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from phonecheck import config
from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import ConfigError
from phonecheck.model import ChainEnd, Hop, Link, Modem, PhoneNumber
from phonecheck.verify import AppServer, Parts

if TYPE_CHECKING:
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


def load(file: Path | None, choice: Choice) -> Settings:
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
            raise ConfigError("bad-setting", "A DNS server is not an IP address.", hint="Give --dns 10.0.0.1.") from None
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
    token = config.read_secret("server-token", settings.server.token_file, "server.token_file") if with_server else None
    number = None if settings.phone.number == "sim" else PhoneNumber.parse(settings.phone.number)
    return Parts(
        read_link=lambda deadline: _read_link(settings, deadline),
        number=number,
        sim_number=_sim_number,
        app_server=lambda link: _app_server(settings, token, link),
        server_needs_link=settings.server.over == "modem",
        open_chain=lambda url, link, modem, deadline, on_hop: _open_chain(settings, url, link, modem, deadline, on_hop),
        code_expected=settings.server.protocol == "v0.2",
    )
