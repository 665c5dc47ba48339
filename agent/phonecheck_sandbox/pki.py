"""The sandbox's certificates, good and bad ones, below its run directory."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from phonecheck_sandbox import world
from phonecheck_sandbox.conditions import PLATFORM_CERTS

_PAST, _FUTURE = timedelta(days=-30), timedelta(days=1826)
"""Five years, so that a clock that is wrong by ten has something to fail at, and one that is set ahead by three has not."""
_NEIGHBOURS = tuple(f"{n:02}.customers.edge.platform.example" for n in range(64))
"""The platform shares its certificate with others, as behind a content network; so it fills more than one packet."""
_LONG_AGO = datetime(2020, 1, 1), datetime(2020, 2, 1)  # noqa: DTZ001  trustme takes naive times for UTC

_STRANGER = "somebody-else.example"
_Validity = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Pki:
    """The certificates in a directory.

    Attributes:
        directory: holds ``ca.pem`` and, for each server name, ``NAME.pem`` with key and chain.
    """

    directory: Path

    @property
    def ca_file(self) -> Path:
        """The CA that everything in the sandbox trusts."""
        return self.directory / "ca.pem"

    def certificate(self, host: str) -> Path:
        """Key and chain of a server name."""
        return self.directory / f"{host}.pem"

    def server_context(self, host: str) -> ssl.SSLContext:
        """A TLS context that serves as ``host``. TLS 1.2 and 1.3."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(host))
        return context

    def faulty_context(self, host: str, fault: Callable[[], str]) -> ssl.SSLContext:
        """The same, whose certificate is one of PLATFORM_CERTS as long as ``fault`` names it; asked at each handshake."""
        context = self.server_context(host)
        bad = {word: self.server_context(f"{host}.{word}") for word in PLATFORM_CERTS}

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            if word := fault():
                connection.context = bad[word]

        context.sni_callback = choose
        return context

    def client_context(self) -> ssl.SSLContext:
        """A TLS context that trusts the sandbox's CA and no other."""
        return ssl.create_default_context(cafile=self.ca_file)


def in_run_directory(run: Path) -> Pki:
    """Where a run keeps its certificates."""
    return Pki(run / "pki")


def ready(run: Path) -> Pki:
    """The certificates below ``run/pki``, made where there are none."""
    pki = in_run_directory(run)
    return pki if pki.ca_file.exists() else create(run)


def create(run: Path, names: Mapping[str, IPv4Address] | None = None) -> Pki:
    """Make the CA and all certificates below ``run/pki``; about 60 ms.

    Args:
        run: the run directory. The keys in it are worth nothing outside, but nobody else gets to read them.
        names: the names to certify, with the address that each certificate covers too; the world's by default.
    """
    # Here, because it loads cryptography: the servers read certificates and never make them.
    import trustme

    pki = in_run_directory(run)
    pki.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, stranger = trustme.CA(), trustme.CA()
    now = datetime.now(UTC).replace(tzinfo=None)  # trustme takes naive times for UTC
    good = now + _PAST, now + _FUTURE

    def issue(file: str, *identities: str, issuer: trustme.CA = authority, validity: _Validity = good) -> None:
        begin, end = validity
        leaf = issuer.issue_cert(*identities, not_before=begin, not_after=end)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(pki.certificate(file)))

    for host, address in (names or {**world.PUBLIC_NAMES, **world.CARRIER_NAMES}).items():
        own = (host, str(address), *(_NEIGHBOURS if host == world.PLATFORM_HOST else ()))
        if host == world.UNKNOWN_CA_HOST:
            issue(host, *own, issuer=stranger)
        elif host == world.WRONG_HOST:
            issue(host, _STRANGER)
        else:
            issue(host, *own, validity=_LONG_AGO if host == world.EXPIRED_HOST else good)
        if host == world.PLATFORM_HOST:
            issue(f"{host}.expired", *own, validity=_LONG_AGO)
            issue(f"{host}.not-yet-valid", *own, validity=(now - _PAST, now + _FUTURE))
            issue(f"{host}.other-host", _STRANGER, *_NEIGHBOURS)
            issue(f"{host}.other-ca", *own, issuer=stranger)
    authority.cert_pem.write_to_path(str(pki.ca_file))  # last: where it is, all are
    return pki
