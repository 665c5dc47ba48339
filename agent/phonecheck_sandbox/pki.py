"""The sandbox's certificates, good and bad ones, below its run directory."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

from phonecheck_sandbox import world

_LONG_AGO = datetime(2020, 1, 1), datetime(2020, 2, 1)  # noqa: DTZ001  trustme takes naive times for UTC


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
    for host, address in (names or {**world.PUBLIC_NAMES, **world.CARRIER_NAMES}).items():
        issuer = stranger if host == world.UNKNOWN_CA_HOST else authority
        identities = ("somebody-else.example",) if host == world.WRONG_HOST else (host, str(address))
        begin, end = _LONG_AGO if host == world.EXPIRED_HOST else (None, None)
        leaf = issuer.issue_cert(*identities, not_before=begin, not_after=end)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(pki.certificate(host)))
    authority.cert_pem.write_to_path(str(pki.ca_file))  # last: where it is, all are
    return pki
