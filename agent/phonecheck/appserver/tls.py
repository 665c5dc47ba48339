"""The TLS of the app server's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phonecheck.config import Server
from phonecheck.errors import ConfigError

if TYPE_CHECKING:
    import ssl


def context(settings: Server) -> ssl.SSLContext:
    """A context that trusts ``ca_file``, else the system's CAs or SSL_CERT_FILE, and shows the client certificate.

    Raises:
        ConfigError: bad-setting, for a file that is missing or holds something else.
    """
    import ssl

    try:
        made = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise _unusable("server.ca_file", error, "It must hold CA certificates in PEM form.") from None
    if settings.client_cert is not None:
        try:
            # Without a password of ours, OpenSSL would ask the terminal for that of an encrypted key, and wait.
            made.load_cert_chain(settings.client_cert, settings.client_key, password="")
        except OSError as error:
            hint = "They must be a certificate in PEM form and its own key, not encrypted and readable by this user."
            raise _unusable("server.client_cert or server.client_key", error, hint) from None
    return made


def _unusable(setting: str, error: OSError, hint: str) -> ConfigError:
    import ssl

    # Of a file that is there but wrong, OpenSSL says "PEM lib" at best; the hint says more.
    reason = "its content is wrong" if isinstance(error, ssl.SSLError) else error.strerror or type(error).__name__
    return ConfigError("bad-setting", f"{setting} cannot be used: {reason}.", hint=hint)


def nobody() -> ssl.SSLContext:
    """A context that trusts nobody, for a client that needs one and makes no TLS connection of its own."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
