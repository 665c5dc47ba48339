"""``phonecheck-server``: read the settings, then serve."""

from __future__ import annotations

import logging
import os
import sys
from ipaddress import ip_address
from pathlib import Path

import click

from phonecheck.errors import ConfigError
from phonecheck.redact import RedactingFormatter


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PHONECHECK_SERVER_CONFIG",
    help="Settings file (TOML); docs/app-server.md lists the settings.",
)
@click.option("--check", is_flag=True, help="Read the settings, say whether they are sound, and exit.")
@click.version_option(package_name="phonecheck", prog_name="phonecheck-server")
def run(config: Path | None, check: bool) -> None:
    """Serve devices that verify their SIM: the app server's half of PhoneCheck.

    Every setting may also come from the environment: PHONECHECK_SERVER_ and its name in capitals.
    """
    try:
        # Not at the top: the device's package installs this command without the libraries that it needs.
        from phonecheck_server import settings  # noqa: PLC0415
        from phonecheck_server.app import create_app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        _fail(f"The library {error.name} is missing.", "Install the server's part: pip install 'phonecheck[server]'.")
    try:
        loaded = settings.load(config, os.environ)
    except ConfigError as error:
        _fail(error.message, error.hint)
    if check:
        click.echo("The settings are sound.")
        return

    # Half of the start-up time, and of no use to --help and --check.
    import uvicorn  # noqa: PLC0415

    from phonecheck_server.listener import ImpatientProtocol  # noqa: PLC0415

    _log_to_stderr()
    if loaded.tls_cert is None and not _is_loopback(loaded.host):
        logging.getLogger("phonecheck_server").warning(
            "Plain HTTP beyond loopback: without a TLS proxy in front, tokens and results can be read on the way."
        )
    uvicorn.run(
        create_app(loaded),
        host=loaded.host,
        port=loaded.port,
        ssl_certfile=loaded.tls_cert,
        ssl_keyfile=loaded.tls_key,
        http=ImpatientProtocol,
        ws="none",
        # uvicorn's own access log holds the query, and its configuration would replace ours.
        access_log=False,
        log_config=None,
        server_header=False,
        # Nothing here depends on the client's address, so no header of a proxy is believed either.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=16 * 1024,
    )


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("httpx", "httpcore"):
        # They log whole URLs at INFO, and headers at DEBUG.
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fail(message: str, hint: str) -> None:
    click.echo(f"error: {message}\nhint: {hint}", err=True)
    sys.exit(3)
