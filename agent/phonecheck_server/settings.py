"""The settings: a flat TOML file, each key also as an environment variable, secrets from files of their own."""

from __future__ import annotations

import difflib
import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from phonecheck.credentials import read_secret
from phonecheck.errors import ConfigError
from phonecheck.redact import Secret
from phonecheck_server.devices import Devices

PREFIX = "PHONECHECK_SERVER_"
KEYS = (
    "platform_url",
    "client_id",
    "client_secret_file",
    "device_tokens_file",
    "host",
    "port",
    "tls_cert",
    "tls_key",
    "redirect_url",
    "ca_file",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the server must know.

    Attributes:
        platform_url: the platform's base URL, https, without a trailing slash.
        client_id: of the project at the platform.
        client_secret: of the same.
        devices: who may ask.
        host: address to listen on.
        port: likewise.
        tls_cert: certificate chain (PEM); without one the server speaks plain HTTP, for a proxy in front of it.
        tls_key: its key.
        redirect_url: where v0.2 chains shall end; None for a chain that ends at the platform.
        ca_file: CA certificates (PEM) for the platform, in place of the system's.
    """

    platform_url: str
    client_id: str
    client_secret: Secret
    devices: Devices
    host: str = "127.0.0.1"
    port: int = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None
    redirect_url: str | None = None
    ca_file: Path | None = None


def load(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings: the environment (``PHONECHECK_SERVER_`` and the key in capitals) goes before the file.

    The client secret and the device tokens come from ``$CREDENTIALS_DIRECTORY`` (``client-secret``,
    ``device-tokens``), else from the files that the settings name; the secret also from
    ``PHONECHECK_SERVER_CLIENT_SECRET``, for containers.

    Raises:
        ConfigError: bad-setting, missing-credential, unsafe-file-mode; no message holds a value of a secret.
    """
    values = _read(file) if file else {}
    values |= {key: text for key in KEYS if (text := environ.get(PREFIX + key.upper()))}
    tls_cert, tls_key = _path(values, "tls_cert"), _path(values, "tls_key")
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("bad-setting", "tls_cert and tls_key go together; one of them is missing.", hint=_HINT)
    ca_file = _path(values, "ca_file")
    _try_certificates(tls_cert, tls_key, ca_file)
    return Settings(
        platform_url=_base_url(_require(values, "platform_url"), "platform_url"),
        client_id=_client_id(_require(values, "client_id")),
        client_secret=_client_secret(values, environ),
        devices=_devices(values),
        host=values.get("host", "127.0.0.1"),
        port=_port(values.get("port", "8080")),
        tls_cert=tls_cert,
        tls_key=tls_key,
        redirect_url=_https(values["redirect_url"], "redirect_url") if "redirect_url" in values else None,
        ca_file=ca_file,
    )


_HINT = "docs/app-server.md lists the settings."


def _read(file: Path) -> dict[str, str]:
    try:
        table = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError("bad-setting", f"{file} cannot be read: {error.strerror}.", hint=_HINT) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError("bad-setting", f"{file} is not TOML.", hint=_HINT) from None
    for key, value in table.items():
        if key == "client_secret":
            hint = "Put it into a file of its own, mode 600, and name that with client_secret_file."
            raise ConfigError("bad-setting", "The client secret does not belong into the settings file.", hint=hint)
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            raise ConfigError(
                "bad-setting", f"Unknown setting {key}.", hint=f"Did you mean {close[0]}?" if close else _HINT
            )
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ConfigError("bad-setting", f"{key} must be a text or, for the port, a number.", hint=_HINT)
    return {key: str(value) for key, value in table.items()}


def _require(values: dict[str, str], key: str) -> str:
    if key not in values:
        raise ConfigError("bad-setting", f"{key} is missing.", hint=f"Set it in the file or as {PREFIX}{key.upper()}.")
    return values[key]


def _path(values: dict[str, str], key: str) -> Path | None:
    if key not in values:
        return None
    path = Path(values[key])
    if not path.is_file():
        raise ConfigError("bad-setting", f"{key} names {path}, which is not a file.", hint=_HINT)
    return path


def _https(url: str, key: str) -> str:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # as a connection will; UnicodeError is a ValueError
        sound = parts.scheme == "https" and host and parts.username is None and parts.port != 0
    except ValueError:
        sound = False
    # urlsplit lets blanks and controls pass, and drops some of them from what it returns.
    if not sound or not url.isprintable() or " " in url or "#" in url:
        raise ConfigError(
            "bad-setting", f"{key} must be an https URL without a user name, blanks or a fragment.", hint=_HINT
        )
    return url


def _base_url(url: str, key: str) -> str:
    if "?" in url:  # the paths of the API come behind it
        raise ConfigError("bad-setting", f"{key} must be a base URL, without a query.", hint=_HINT)
    return _https(url, key).rstrip("/")


def _client_id(text: str) -> str:
    # RFC 7617 §2: the first colon ends the user-id.
    if not text.isascii() or not text.isprintable() or ":" in text:
        raise ConfigError("bad-setting", "client_id must be plain characters without a colon.", hint=_HINT)
    return text


def _try_certificates(tls_cert: Path | None, tls_key: Path | None, ca_file: Path | None) -> None:
    """Read them once, so that what is wrong is said now and not by a traceback when the server starts."""

    def no_password() -> str:
        raise ConfigError(
            "bad-setting", f"tls_key {tls_key} is encrypted, and there is nobody to ask.", hint="Store it decrypted."
        )

    try:
        if tls_cert:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls_cert, tls_key, password=no_password)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            "bad-setting",
            f"tls_cert and tls_key are no certificate chain and its key: {_reason(error)}.",
            hint="Both are PEM files; tls_cert begins with the server's own certificate.",
        ) from None
    try:
        if ca_file:
            ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        hint = "It is a PEM file of CA certificates; without it the system's are used."
        raise ConfigError("bad-setting", f"ca_file holds no certificates: {_reason(error)}.", hint=hint) from None


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or type(error).__name__).lower().replace("_", " ")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigError("bad-setting", "port must be a number from 1 to 65535.", hint=_HINT)
    return int(text)


def _client_secret(values: dict[str, str], environ: Mapping[str, str]) -> Secret:
    file = Path(values["client_secret_file"]) if "client_secret_file" in values else None
    found = read_secret("client-secret", file, "client_secret_file")
    if found is None and (text := environ.get(PREFIX + "CLIENT_SECRET")):
        found = Secret(text)
    if found is None:
        hint = "Name a file with client_secret_file, mode 600, or use the unit's LoadCredential=client-secret:FILE."
        raise ConfigError("missing-credential", "The platform's client secret is missing.", hint=hint)
    return found


def _devices(values: dict[str, str]) -> Devices:
    hint = "Name a file of lines NAME TOKEN with device_tokens_file, mode 600; docs/app-server.md shows one."
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(directory, "device-tokens") if directory else None
    if file is None or not file.exists():
        if "device_tokens_file" not in values:
            raise ConfigError("missing-credential", "The list of device tokens is missing.", hint=hint)
        file = Path(values["device_tokens_file"])
        if file.exists() and file.stat().st_mode & 0o077:
            raise ConfigError(
                "unsafe-file-mode",
                f"{file} (device_tokens_file) is open to others.",
                hint=f"Close it: chmod 600 {file}.",
            )
    try:
        return Devices.parse(file.read_text())
    except OSError as error:
        raise ConfigError("missing-credential", f"{file} cannot be read: {error.strerror}.", hint=hint) from None
    except ValueError as error:
        # A UnicodeDecodeError would quote the bytes, and those are tokens.
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)
        raise ConfigError("bad-setting", f"{file} is not a list of device tokens: {reason}.", hint=hint) from None
