from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest

from phonecheck_sandbox import pki, world
from phonecheck_sandbox.conditions import PLATFORM_CERTS


def handshake(certificates: pki.Pki, served: str | ssl.SSLContext, asked: str) -> ssl.SSLObject:
    """TLS in memory, from a client that asks for a name to a server that has a certificate; the client's end."""
    context = certificates.server_context(served) if isinstance(served, str) else served
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificates.client_context().wrap_bio(to_client, to_server, server_hostname=asked)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    run = tmp_path_factory.mktemp("run")
    pki.create(run)
    return pki.in_run_directory(run)


def test_every_name_of_the_world_has_a_certificate_for_itself_and_its_address(certificates: pki.Pki) -> None:
    bad = {world.WRONG_HOST, world.EXPIRED_HOST, world.UNKNOWN_CA_HOST}
    for host, address in world.CARRIER_NAMES.items():
        if host not in bad:
            handshake(certificates, host, host)
            handshake(certificates, host, str(address))


@pytest.mark.parametrize("host", [world.WRONG_HOST, world.EXPIRED_HOST, world.UNKNOWN_CA_HOST])
def test_bad_certificates_are_bad(certificates: pki.Pki, host: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates, host, host)


def test_one_context_shows_another_certificate_from_the_moment_that_it_is_told(certificates: pki.Pki) -> None:
    faults = [""]
    context = certificates.faulty_context(world.PLATFORM_HOST, lambda: faults[-1])
    handshake(certificates, context, world.PLATFORM_HOST)
    said = {
        "expired": "expired",
        "not-yet-valid": "not yet valid",
        "other-host": "mismatch",
        "other-ca": "local issuer",
    }
    for word in PLATFORM_CERTS:
        faults.append(word)
        with pytest.raises(ssl.SSLCertVerificationError) as refusal:
            handshake(certificates, context, world.PLATFORM_HOST)
        assert said[word] in refusal.value.verify_message
    faults.append("")
    handshake(certificates, context, world.PLATFORM_HOST)


def test_a_good_certificate_fails_at_a_clock_that_is_wrong_by_years_and_the_platforms_fills_a_packet(
    certificates: pki.Pki,
) -> None:
    for host in (world.PLATFORM_HOST, world.APP_SERVER_HOST):
        shown = handshake(certificates, host, host)
        validity = shown.getpeercert() or {}
        begin, end = (ssl.cert_time_to_seconds(str(validity[word])) for word in ("notBefore", "notAfter"))
        assert end - begin < 6 * 366 * 86_400
        if host == world.PLATFORM_HOST:
            assert len(shown.getpeercert(binary_form=True) or b"") > world.WWAN0_MTU


def test_a_certificate_is_for_no_other_name(certificates: pki.Pki) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates, world.PLATFORM_HOST, world.APP_SERVER_HOST)


def test_keys_are_in_a_directory_of_ones_own(certificates: pki.Pki) -> None:
    assert stat.S_IMODE(certificates.directory.stat().st_mode) == 0o700


def test_made_anew_they_replace_the_old_ones(tmp_path: Path) -> None:
    names = {world.PLATFORM_HOST: world.PLATFORM}
    old = pki.create(tmp_path, names).ca_file.read_bytes()
    made = pki.create(tmp_path, names)
    assert made.ca_file.read_bytes() != old
    handshake(made, world.PLATFORM_HOST, world.PLATFORM_HOST)
