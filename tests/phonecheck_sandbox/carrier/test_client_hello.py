from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_sandbox.carrier.client_hello import TLS13, ClientHello, NotTlsError, parse


def hello(name: str = "lab.mno.example", maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What the machine's own OpenSSL sends."""
    context = ssl.create_default_context()
    context.maximum_version = maximum
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    return sent.read()


def test_name_versions_and_size_are_read() -> None:
    data = hello()
    found = parse(data)
    assert found is not None
    assert (found.server_name, found.size) == ("lab.mno.example", len(data))
    assert TLS13 in found.versions


def test_a_client_that_stays_with_tls_12_does_not_offer_13() -> None:
    found = parse(hello(maximum=ssl.TLSVersion.TLSv1_2))
    assert isinstance(found, ClientHello)
    assert TLS13 not in found.versions


def test_every_part_of_a_hello_is_waited_for() -> None:
    data = hello()
    assert all(parse(data[:end]) is None for end in range(len(data)))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x01\x02", b"\x16\x03\x01\x00\x00"])
def test_something_else_is_not_waited_for(data: bytes) -> None:
    with pytest.raises(NotTlsError):
        parse(data)


DATA = hello()


@given(st.integers(5, len(DATA) - 1), st.integers(0, 255), st.binary(max_size=80))
def test_no_bytes_break_it(at: int, value: int, other: bytes) -> None:
    for data in (DATA[:at] + bytes([value]) + DATA[at + 1 :], other, b"\x16\x03\x01" + len(other).to_bytes(2) + other):
        try:
            found = parse(data)
        except NotTlsError:
            found = None
        assert found is None or found.size <= len(data)
