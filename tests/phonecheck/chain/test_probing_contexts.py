"""The contexts that see how a path carries a handshake, and what a refused certificate was refused for."""

from __future__ import annotations

import ssl

import pytest

from phonecheck.chain import tls
from phonecheck.errors import CheckError


def hello_of(context: ssl.SSLContext) -> int:
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="eu.api.tru.id").do_handshake()
    return len(sent.read())


def test_a_large_hello_fills_more_than_a_segment_and_a_chains_own_none() -> None:
    assert hello_of(tls.large_context()) > 1800
    assert hello_of(tls.unverified_context()) < 700


def refused(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    return error


@pytest.mark.parametrize(("code", "of_dates"), [(9, True), (10, True), (18, False), (20, False), (62, False)])
def test_what_hinges_on_a_date(code: int, of_dates: bool) -> None:
    assert tls.hinges_on_date(refused(code)) is of_dates
    # As the backend raises it: in OpenSSL's place.
    try:
        try:
            raise refused(code)
        except ssl.SSLError:
            raise CheckError("tls-failed", "No.") from None
    except CheckError as error:
        seen = tls.hinges_on_date(error)
    assert seen is of_dates


def test_other_errors_hinge_on_none() -> None:
    assert not tls.hinges_on_date(TimeoutError())
    assert not tls.hinges_on_date(None)
