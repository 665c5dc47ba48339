"""Addresses by DHCP: the P-GW's server, and what a device's own client, having asked it, leaves for others to read."""

from __future__ import annotations

import shutil
from pathlib import Path

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.mobile_link import Session
from phonecheck_sandbox.netlink import speak

_SECONDS = 7200
_NETWORKD = Path("/run/systemd/netif/links")


def server(session: Session, directory: Path) -> list[str]:
    """Write the configuration of a P-GW's DHCP server, and return its command line; it stays in the foreground.

    Raises:
        SandboxError: busybox is missing.
    """
    if not shutil.which("busybox"):
        raise SandboxError(
            "The sandbox gives leases with busybox, which this machine does not have.",
            hint="Install it: sudo apt install busybox",
        )
    place = directory / f"udhcpd-{session.modem}"
    configuration = place.with_suffix(".conf")
    configuration.write_text(_configuration(session, place))
    # A P-GW knows whom it gave an address; busybox would look for two seconds whether somebody has it.
    return ["busybox", "udhcpd", "-f", "-a", "1", str(configuration)]


def _configuration(session: Session, place: Path) -> str:
    own, other = (end.addresses[0] for end in (session.gateway, session.device))
    dns = " ".join(map(str, world.CARRIER_DNS))
    return (
        f"interface {session.gateway.interface}\nstart {other.ip}\nend {other.ip}\nmax_leases 1\nmin_lease 60\n"
        f"lease_file {place.with_suffix('.leases')}\npidfile {place.with_suffix('.pid')}\n"
        f"opt subnet {other.netmask}\nopt router {own.ip}\nopt dns {dns}\nopt mtu {world.WWAN0_MTU}\nopt lease {_SECONDS}\n"
    )


def note(session: Session) -> None:
    """Leave the DNS servers that came with the address where systemd-networkd leaves them (private, networkd-link.c)."""
    versions = [address.version for address in session.device.addresses]
    servers = [*(world.CARRIER_DNS if 4 in versions else ()), *(world.CARRIER_DNS_6 if 6 in versions else ())]
    for place in _places(session):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(
            "# This is private data. Do not parse.\nADMIN_STATE=configured\nOPER_STATE=routable\n"
            f"DNS={' '.join(map(str, servers))}\n"
        )


def forget(session: Session) -> None:
    """Take that away again, as networkd does when the lease is gone."""
    for place in _places(session):
        place.unlink(missing_ok=True)


def _places(session: Session) -> list[Path]:
    with speak("device") as ip:
        return [_NETWORKD / str(index) for index in ip.link_lookup(ifname=session.interface)]
