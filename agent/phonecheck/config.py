"""The settings file: TOML in, frozen dataclasses out; anything odd is an error that names the key and the nearest right one.

Order of precedence: command line, then the file named by ``--config`` or ``PHONECHECK_CONFIG``, then
``/etc/phonecheck/agent.toml`` where it exists, then the defaults below. A file that was named must exist.
"""

from __future__ import annotations

import re
import tomllib
import types
import typing
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from phonecheck.errors import ConfigError
from phonecheck.model import IPAddress, PhoneNumber

DEFAULT_FILE = Path("/etc/phonecheck/agent.toml")
_LARGEST = 256 * 1024
_MAY_BE_ZERO = frozenset({"modem.wait", "service.every", "service.jitter", "service.start_jitter"})
_LONGEST = 3600.0
_LONGEST_OF_SERVICE = 366 * 86400.0
_MOST = {"service.history": 100_000, "service.outbox_size": 10_000}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(s|min|h|d)")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# 3GPP TS 23.003, 9.1: at most 100 octets, labels of letters, digits and hyphens; operators are seen to use more signs.
_APN = re.compile(r"[!-~]{1,100}")


@dataclass(frozen=True, slots=True)
class Server:
    """The app server: where it is, which protocol it speaks, how the device proves itself to it.

    Paths that are None are those of the protocol (docs/app-server.md), but for ``report``: where it is None, the service
    reports nothing. ``coverage`` is where ``doctor`` gets the token for its question about the mobile address.
    ``over = "modem"`` sends even these requests over the link; ``"auto"`` takes the device's normal routes.
    """

    url: str | None = None
    protocol: Literal["v0.1", "v0.2"] = "v0.2"
    create: str | None = None
    finish: str | None = None
    report: str | None = None
    coverage: str = "/coverage-access-token"
    redirect_url: str | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token_file: Path | None = None
    over: Literal["auto", "modem"] = "auto"


@dataclass(frozen=True, slots=True)
class Phone:
    """The number to verify: E.164, or ``"sim"`` for the number that the SIM itself stores."""

    number: str = "sim"


@dataclass(frozen=True, slots=True)
class ModemChoice:
    """Which modem, and what may be done to make it ready.

    ``id`` is ``iccid:…``, ``imei:…`` or a device path; None where there is only one. ``connect = "auto"`` unlocks, enables
    and connects it as far as it is needed, and takes down afterwards what it brought up unless ``keep``. ``apn`` and
    ``ip_type`` are the bearer's; ``roaming`` allows one abroad. ``wait`` is how many seconds a modem, a registration or a
    bearer that is not there yet may take beyond the command's own time.
    """

    id: str | None = None
    connect: Literal["never", "auto"] = "never"
    apn: str | None = None
    ip_type: Literal["4", "6", "4v6"] | None = None
    roaming: bool = False
    keep: bool = False
    pin_file: Path | None = None
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class LinkChoice:
    """The link: ``interface`` for one that ModemManager does not manage, ``dns`` in place of the bearer's servers.

    ``routes = "auto"`` gives a link what it lacks in the kernel (address, route, rule) for the time of the exchange.
    ``strict`` refuses an ``interface`` that carries the device's default route and is not known to be a modem's.
    """

    interface: str | None = None
    dns: tuple[IPAddress, ...] = ()
    family: Literal["auto", "4", "6"] = "auto"
    routes: Literal["auto", "never"] = "auto"
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain's limits, times in seconds; and ``platform``, whose host ``doctor`` tries over the link.

    A check never looks at ``platform``: its URL comes from the app server.
    """

    cleartext: Literal["allow", "refuse"] = "allow"
    max_redirects: int = 10
    hop_timeout: float = 5.0
    timeout: float = 30.0
    platform: str = "https://eu.api.tru.id"


@dataclass(frozen=True, slots=True)
class Service:
    """When the service verifies unasked, and how much it remembers; times in seconds.

    ``every`` 0 is never. To the time between two scheduled checks comes a random part of ``jitter`` (a tenth of ``every``
    where it is None), to the one at start of ``start_jitter``, so that a fleet does not come all at once. ``hooks`` is the
    directory of executables that are run after each outcome. ``metrics`` is a file for Prometheus' node_exporter, rewritten
    after each outcome; none where it is None. ``history`` is a number of checks, ``outbox_size`` of reports,
    ``outbox_age`` their greatest age.
    """

    on_start: bool = True
    on_sim_change: bool = True
    every: float = 0.0
    jitter: float | None = None
    start_jitter: float = 0.0
    hooks: Path = Path("/etc/phonecheck/hooks.d")
    metrics: Path | None = None
    history: int = 1000
    outbox_size: int = 500
    outbox_age: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file."""

    server: Server = field(default_factory=Server)
    phone: Phone = field(default_factory=Phone)
    modem: ModemChoice = field(default_factory=ModemChoice)
    link: LinkChoice = field(default_factory=LinkChoice)
    chain: Chain = field(default_factory=Chain)
    service: Service = field(default_factory=Service)


def load(named: Path | None) -> Settings:
    """Read the settings.

    Args:
        named: the file that ``--config`` or ``PHONECHECK_CONFIG`` names, or None for the default place.

    Raises:
        ConfigError: bad-setting, for a file that is missing, unreadable or not TOML, and for each wrong key or value.
    """
    return read(contents(named), named or DEFAULT_FILE)


def contents(named: Path | None) -> bytes:
    """The settings file's bytes; none where nobody named a file and there is none in the default place.

    Raises:
        ConfigError: bad-setting, for a file that is missing or unreadable.
    """
    file = named or DEFAULT_FILE
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST + 1)
    except FileNotFoundError:
        if named is None:
            return b""
        raise ConfigError("bad-setting", f"The configuration file {file} does not exist.", hint=_NAMED) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            "bad-setting", f"The configuration file {file} cannot be read: {reason}.", hint=_NAMED
        ) from None


def read(raw: bytes, file: Path) -> Settings:
    """The settings of a file's bytes; ``file`` is its name, for the error.

    Raises:
        ConfigError: bad-setting, as :func:`load`.
    """
    if len(raw) > _LARGEST:
        raise ConfigError("bad-setting", f"{file} is larger than {_LARGEST // 1024} KiB.", hint=_NAMED)
    try:
        table = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        # Beside its own error, tomllib lets those of int() (4300 digits) and of too deep a nesting through.
        kinds = {tomllib.TOMLDecodeError: str(error), UnicodeDecodeError: "not UTF-8"}
        where = kinds.get(type(error), "a value is too large, or nested too deep")
        raise ConfigError("bad-setting", f"{file} is not TOML: {where}.", hint="Mend the line that is named.") from None
    return parse(table)


_NAMED = "Name another one with --config or PHONECHECK_CONFIG, or make it readable."


def parse(table: dict[str, Any]) -> Settings:
    """Check a decoded TOML document.

    Raises:
        ConfigError: bad-setting; the message names the key, never the value of a secret one.
    """
    sections: dict[str, Any] = {}
    known = {f.name: f.type for f in fields(Settings)}
    hints = typing.get_type_hints(Settings)
    for name, content in table.items():
        if name not in known:
            raise ConfigError("bad-setting", f"Unknown section [{name}].", hint=_nearest(name, known))
        if not isinstance(content, dict):
            raise ConfigError("bad-setting", f"{name} must be a section: [{name}].")
        sections[name] = _section(hints[name], name, content)
    settings = Settings(**sections)
    _check(settings)
    return settings


def _section(kind: type[Any], section: str, content: dict[str, Any]) -> object:
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in content.items():
        name = f"{section}.{key}"
        if key not in hints:
            raise ConfigError("bad-setting", f"Unknown setting {name}.", hint=_nearest(key, hints, section + "."))
        values[key] = _value(hints[key], name, value)
    return kind(**values)


def _nearest(word: str, known: typing.Iterable[str], prefix: str = "") -> str:
    import difflib  # only a mistake needs it

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    if close:
        return f"Did you mean {prefix}{close[0]}?"
    return "Known here: " + ", ".join(prefix + name for name in known) + "."


def _value(hint: Any, name: str, value: object) -> object:
    if typing.get_origin(hint) is types.UnionType:
        hint = next(a for a in typing.get_args(hint) if a is not type(None)) if hint != IPAddress else hint
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError("bad-setting", f"{name} must be one of: {', '.join(choices)}.")
        return value
    if typing.get_origin(hint) is tuple:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list):
            raise ConfigError("bad-setting", f"{name} must be a list of IP addresses.")
        return tuple(_address(name, item) for item in values)
    if hint is bool:
        if not isinstance(value, bool):
            raise ConfigError("bad-setting", f"{name} must be true or false.")
        return value
    if hint is float:
        return _seconds(name, value)
    if hint is int:
        least, most = (1, _MOST[name]) if name in _MOST else (0, 50)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError("bad-setting", f"{name} must be a whole number from {least} to {most}.")
        return value
    if not isinstance(value, str) or not value:
        raise ConfigError("bad-setting", f"{name} must be a text that is not empty.")
    return Path(value) if hint is Path else value


def _seconds(name: str, value: object) -> float:
    """Seconds as a number, or of the service's long times also as "90 s", "15 min", "24 h", "7 d"."""
    zero, of_service = name in _MAY_BE_ZERO, name.startswith("service.")
    longest = _LONGEST_OF_SERVICE if of_service else _LONGEST
    if of_service and isinstance(value, str) and (written := _DURATION.fullmatch(value.strip())):
        value = float(written[1]) * _UNITS[written[2]]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= longest
        or (not value and not zero)
    ):
        least, most = "from 0" if zero else "above 0", "366 days" if of_service else "3600"
        also = ', or a text such as "24 h"' if of_service else ""
        raise ConfigError("bad-setting", f"{name} must be a number of seconds {least}, at most {most}{also}.")
    return float(value)


def _address(name: str, value: object) -> IPAddress:
    try:
        return ip_address(str(value))
    except ValueError:
        raise ConfigError("bad-setting", f"{name} holds something that is not an IP address.") from None


def _check(settings: Settings) -> None:
    server = settings.server
    if server.url is not None:
        server_url(server.url)
    if server.redirect_url is not None and not _https(server.redirect_url):
        raise ConfigError("bad-setting", "server.redirect_url must be an https URL.")
    if not _https(settings.chain.platform):
        raise ConfigError("bad-setting", "chain.platform must be an https URL.")
    for path_name in ("create", "finish", "report", "coverage"):
        path = getattr(server, path_name)
        if path is not None and not path.startswith("/"):
            raise ConfigError("bad-setting", f"server.{path_name} must be a path that starts with '/'.")
    if (server.client_cert is None) != (server.client_key is None):
        raise ConfigError(
            "bad-setting", "server.client_cert and server.client_key go together; one of them is missing."
        )
    if settings.modem.apn is not None:
        apn(settings.modem.apn)
    if settings.phone.number != "sim":
        try:
            PhoneNumber.parse(settings.phone.number)
        except ValueError as error:
            raise ConfigError("bad-setting", f'phone.number must be "sim" or a number, and it is {error}.') from None


def apn(text: str) -> str:
    """An APN that can be one.

    Raises:
        ConfigError: bad-setting.
    """
    if not _APN.fullmatch(text):
        raise ConfigError(
            "bad-setting",
            "The APN is empty, too long, or holds a character that no APN does.",
            hint="Ask the operator for it; it looks like internet, or iot.example.com.",
        )
    return text


def server_url(url: str) -> str:
    """The app server's base URL without a trailing slash.

    Raises:
        ConfigError: bad-setting, unless it is https, or http to a loopback host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("bad-setting", "The app server's URL is not a URL.", hint=_SERVER_URL) from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("bad-setting", "The app server's URL has no scheme or no host.", hint=_SERVER_URL)
    # urlsplit drops line breaks and tabs, and does not tell an empty query from none; the text itself is what is used.
    if not url.isprintable() or " " in url or "\\" in url:
        raise ConfigError("bad-setting", "The app server's URL holds a character that no URL does.", hint=_SERVER_URL)
    if parts.username is not None or "?" in url or "#" in url:
        raise ConfigError(
            "bad-setting", "The app server's URL holds a user name, a query or a fragment.", hint=_SERVER_URL
        )
    if parts.scheme == "http" and not _loopback(host):
        raise ConfigError(
            "bad-setting", "The app server's URL is http, and its host is not loopback.", hint=_SERVER_URL
        )
    return url.rstrip("/")


def _https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False


_SERVER_URL = "Give it as https://HOST[/PATH]; http is for loopback alone."


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
