"""The two TLS contexts of a chain: a small, conservative first hello, and the TLS 1.2 that old carrier boxes understand.

OpenSSL 3.5 offers a post-quantum key share by default; the ClientHello then no longer fits one packet, and some carrier
boxes answer it with a reset (openssl/openssl#27557, golang/go#80573). So the first hello offers a classical group alone.
Where the handshake is reset or never answered all the same, one more connection is tried with TLS 1.2, whose hello has
no key share at all; certificates and host names are verified in both.
"""

from __future__ import annotations

import ssl

from phonecheck import redact

# Python before 3.15 can name one group only. P-256 is the one that every TLS library and appliance has; a server that
# lacks it answers with an alert, and the second context, with OpenSSL's own groups, serves it.
_CLASSICAL_GROUP = "prime256v1"
# X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED (openssl/x509_vfy.h).
_OF_DATES = frozenset({9, 10})
_HAS_POST_QUANTUM_DEFAULT = ssl.OPENSSL_VERSION_INFO >= (3, 5)


def first_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, system roots (``SSL_CERT_FILE`` honoured), host names verified, one classical key share."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if _HAS_POST_QUANTUM_DEFAULT:
        context.set_ecdh_curve(_CLASSICAL_GROUP)
    return context


def second_context() -> ssl.SSLContext:
    """The same trust, TLS 1.2 alone."""
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    # httpcore sets the first context's ALPN; this one is ours alone.
    context.set_alpn_protocols(["http/1.1"])
    return context


def worth_a_second_try(error: OSError) -> bool:
    """Whether a failed first handshake looks like a box that choked on the hello, not like a refused certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, ssl.SSLError):
        # HANDSHAKE_FAILURE: no group in common with the single one offered; the others: a hello that was not understood.
        return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or (error.reason or "") in {
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "TLSV1_ALERT_PROTOCOL_VERSION",
            "TLSV1_ALERT_DECODE_ERROR",
            "TLSV1_ALERT_INTERNAL_ERROR",
            "UNEXPECTED_EOF_WHILE_READING",
        }
    return isinstance(error, TimeoutError | ConnectionResetError | BrokenPipeError | ConnectionAbortedError)


def unverified_context() -> ssl.SSLContext:
    """Trusts whoever answers: to see how a path carries a handshake, or what the date is. For nothing that matters."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if _HAS_POST_QUANTUM_DEFAULT:
        context.set_ecdh_curve(_CLASSICAL_GROUP)
    return context


def large_context() -> ssl.SSLContext:
    """The same with a first hello of more than 1800 octets: a full segment of an MTU of 1500, and the rest of another.

    The names of protocols that fill it mean nothing to anybody, and a server passes over those (RFC 7301, 3.2).
    """
    context = unverified_context()
    context.set_alpn_protocols(["http/1.1", *(f"phonecheck-{n}-".ljust(220, "x") for n in range(7))])
    return context


def hinges_on_date(error: BaseException | None) -> bool:
    """Whether a handshake failed because a certificate is not valid yet or any more: a wrong clock makes one of a good one.

    Args:
        error: OpenSSL's, or one that was raised in place of it.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code in _OF_DATES
        error = error.__context__
    return False


def reason(error: ssl.SSLError) -> str:
    """Why a handshake failed, in words: OpenSSL's own, which may name the host."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return redact.text(error.verify_message).rstrip(".")
    return (error.reason or "the connection ended in the handshake").lower().replace("_", " ")
