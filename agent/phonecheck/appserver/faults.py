"""Why no answer came: the exceptions of httpx and below in the words of a ServerError.

The causes are found by walking the chain of exceptions, for httpx says no more than "connect error". httpcore's own
exceptions, which a transport that was handed in may raise, are named as httpx's are, and told by name.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from phonecheck.errors import ServerError


class UnsentError(ServerError):
    """No connection came about, so no request has left: it may be made again."""


def explain(error: Exception) -> ServerError | None:
    """The ServerError for an exception of a request, or None for one that is no fault of the network or the server."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if not names & {"TransportError", "TimeoutException", "NetworkError", "ProtocolError", "ProxyError"}:
        return None
    causes = list(_causes(error))
    if "ProxyError" in names:
        hint = "Check HTTPS_PROXY and NO_PROXY in the environment."
        return _unreachable("cannot be reached through the proxy that the environment names", hint)
    if "TimeoutException" in names:
        return _unreachable(
            "did not " + ("take the connection" if "ConnectTimeout" in names else "answer") + " in time"
        )
    return _of_tls(causes) or _of_network(causes, connecting="ConnectError" in names) or _of_protocol(error, names)


def _unreachable(what: str, hint: str | None = None) -> ServerError:
    return ServerError("server-unreachable", f"The app server {what}.", hint=hint)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


# X509_V_ERR_* of openssl/x509_vfy.h
_CERTIFICATE = {
    9: ("has a certificate that is not valid yet", "Check the device's clock."),
    10: (
        "has a certificate that has expired",
        "Check the device's clock; if it is right, the server needs a new certificate.",
    ),
    62: ("has a certificate for another host name", "Check the host in server.url."),
    64: ("has a certificate that does not name its IP address", "Give server.url the host name of the certificate."),
}
_UNKNOWN_CA = frozenset({2, 18, 19, 20, 21})


def _of_tls(causes: list[BaseException]) -> ServerError | None:
    import ssl

    cause = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _unreachable(*_of_certificate(cause.verify_code, cause.verify_message))
    if cause is None or isinstance(cause, ssl.SSLEOFError):
        return None
    reason = cause.reason or ""
    if "CERTIFICATE" in reason or reason in ("TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_HANDSHAKE_FAILURE"):
        hint = "Check server.client_cert and server.client_key."
        return _unreachable(f"ends TLS, as it does for want of the right client certificate: {_words(reason)}", hint)
    if reason in ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return _unreachable("does not speak TLS on that port", "Check the port in server.url.")
    return _unreachable(f"fails TLS: {_words(reason) or type(cause).__name__}")


def _of_certificate(code: int, message: str) -> tuple[str, str | None]:
    if code in _UNKNOWN_CA:
        hint = "Name the server's CA with server.ca_file or SSL_CERT_FILE, or install it on the device."
        return "has a certificate of a CA that this device does not know", hint
    return _CERTIFICATE.get(code, (f"has a certificate that is refused: {message}", None))


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _of_network(causes: list[BaseException], *, connecting: bool) -> ServerError | None:
    import socket

    # An OSError is what the kernel said; SSLEOFError is one too, and says no more than the end of the connection.
    cause = next((cause for cause in causes if isinstance(cause, OSError)), None)
    kind = UnsentError if connecting else ServerError
    if isinstance(cause, socket.gaierror):
        what = "has a name that cannot be looked up: its name server does not answer"
        if cause.errno != socket.EAI_AGAIN:
            what = "has a name that does not exist"
        hint = "Check the host in server.url, and the device's own name servers."
    elif cause is not None and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
        what, hint = "cannot be reached: this device has no route to it", "Check the device's own network."
    elif cause is not None and cause.errno == errno.ECONNREFUSED:
        what, hint = "refuses the connection", "Check that it runs, and the port in server.url."
    elif cause is not None:
        what, hint = "closed the connection without an answer", "Look into its log, and that of a proxy before it."
    else:
        return None
    return kind("server-unreachable", f"The app server {what}.", hint=hint)


def _of_protocol(error: Exception, names: set[str]) -> ServerError:
    # httpcore raises one type for "gone" and "not HTTP"; its own words and h11's tell them apart.
    gone = "disconnected" in str(error) or "closed connection" in str(error)
    if "ProtocolError" in names and not gone:
        return ServerError("protocol-mismatch", "The app server does not speak HTTP/1.1.", hint="Check server.url.")
    return _unreachable("closed the connection without an answer", "Look into its log, and that of a proxy before it.")
