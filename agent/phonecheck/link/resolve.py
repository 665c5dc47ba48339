"""Names to addresses, asked of the link's own DNS servers over the link, and of no one else.

A carrier's servers answer from its own network only and know names that exist nowhere else; the system's resolver asks
whom it likes by the default route (systemd#11935), and c-ares goes on unbound where it cannot bind. So the questions are
sent on sockets from :mod:`phonecheck.link.bind`, and where those fail, nothing is asked.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.errors import ExitStatus, LinkError
from phonecheck.link import bind, nat64, waiting
from phonecheck.link.path import no_servers
from phonecheck.link.question import MAX_ALIASES, absolute
from phonecheck.link.servers import ConnectTcp, Inquiry, Servers, UdpSocket
from phonecheck.link.waiting import Wait
from phonecheck.model import Family, IPAddress

if TYPE_CHECKING:
    import dns.name


@dataclass(frozen=True, slots=True)
class Resolution:
    """The addresses of a host, those of the family first by which its server was reached: that one works.

    ``server`` gave them; ``ms`` is what asking took, in milliseconds. Both are None for a literal, which nobody is asked
    for; ``ms`` also for what was asked for before. The addresses of an IPv4 literal on a link without IPv4 are those that
    the network's NAT64 has for it.
    """

    addresses: tuple[IPAddress, ...]
    server: IPAddress | None
    ms: float | None


class Resolver:
    """A link's names, for one chain: what the servers said is kept as long as this object.

    Args:
        interface: the link's device.
        servers: in the link's order; the one that answered is asked first from then on.
        families: those that the link has an address of, the preferred one first.
        sources: the link's addresses.
        udp_socket: makes the sockets; they are connected, so that the kernel drops datagrams from elsewhere.
        connect_tcp: makes those for answers that do not fit a datagram.
        patience: seconds before the next server is asked as well.
        grace: seconds to wait for the other family's addresses once there are some.
        wait: waits for the servers; closing.py's ends with the link.
    """

    def __init__(
        self,
        interface: str,
        servers: Sequence[IPAddress],
        *,
        families: Sequence[Family],
        sources: Collection[IPAddress] = (),
        udp_socket: UdpSocket = bind.udp_socket,
        connect_tcp: ConnectTcp = bind.connect_tcp,
        patience: float = 1.5,
        grace: float = 0.3,
        wait: Wait = waiting.wait,
    ) -> None:
        # A server of a family that the link has no address of cannot be reached; with only such, the error says so.
        reachable = [s for s in dict.fromkeys(servers) if s.version in families] or list(dict.fromkeys(servers))
        self._servers = Servers(interface, reachable, sources, udp_socket, connect_tcp, patience, grace, wait)
        self._families = tuple(families)
        self._known: dict[dns.name.Name, Resolution] = {}
        self._nat64: tuple[IPv6Network, ...] | None = None

    def resolve(self, host: str, deadline: Deadline) -> Resolution:
        """The addresses of a host name, or of a literal (IPv6 without brackets).

        Raises:
            LinkError: name-not-found; resolver-silent; no-route, also for an IPv4 literal that no NAT64 leads to; what else
                the sockets raise: interface-gone, bind-refused, wrong-path.
            ConfigError: bad-setting; the link has no DNS servers.
            DeadlineExceeded: nothing was left of the deadline.
        """
        deadline.require("a host was looked up", ExitStatus.LINK)
        literal = _literal(host)
        if isinstance(literal, IPv4Address) and 4 not in self._families:
            return self._through_nat64(literal, deadline)
        if literal is not None:
            return Resolution((literal,), None, None)
        name = absolute(host)
        if name in self._known:
            return dataclasses.replace(self._known[name], ms=None)
        if not self._servers.addresses:
            raise no_servers(self._servers.interface)
        started = time.monotonic()
        found = self._look_up(name, redact.text(host), deadline)
        # That server answered just now, so its family works; the other one may be a black hole.
        reached = self._servers.addresses[0].version
        found.sort(key=lambda i: i.family != reached)
        addresses = tuple(a for i in found for a in (i.answer.addresses if i.answer else ()))
        self._known[name] = Resolution(addresses, found[0].server, (time.monotonic() - started) * 1000)
        return self._known[name]

    def ipv4_inside(self, address: IPAddress) -> IPv4Address | None:
        """The IPv4 host to which an address leads through the network's NAT64, as far as its prefix is known by now."""
        return nat64.ipv4_inside(address, self._nat64 or ())

    def _through_nat64(self, host: IPv4Address, deadline: Deadline) -> Resolution:
        server, ms = None, None
        if self._nat64 is None:
            try:
                asked = self.resolve(nat64.NAME, deadline)
            except LinkError as error:
                if error.code != "name-not-found":
                    raise
                self._nat64 = ()
            else:
                server, ms = asked.server, asked.ms
                self._nat64 = nat64.prefixes(asked.addresses)
        if not self._nat64:
            raise LinkError(
                "no-route",
                f"{self._servers.interface} has no IPv4 address to reach {host} from, and its network names no NAT64.",
                hint="Ask for a bearer with IPv4 (APN, ip-type), or report the hop: its host is an address, not a name.",
            )
        return Resolution(tuple(nat64.embed(prefix, host) for prefix in self._nat64), server, ms)

    def _look_up(self, name: dns.name.Name, host: str, deadline: Deadline) -> list[Inquiry]:
        """Ask for every family at once, and again for the names that the answers leave open, until none does."""
        trails = {family: [name] for family in self._families}
        found: list[Inquiry] = []
        ended: list[Inquiry] = []
        while trails:
            inquiries = self._servers.ask({f: trail[-1] for f, trail in trails.items()}, deadline)
            for inquiry in inquiries:
                answer, trail = inquiry.answer, trails.pop(inquiry.family)
                if answer is not None and answer.kind == "alias":
                    trails[inquiry.family] = _extended(trail, answer.aliases, host)
                else:
                    (found if answer is not None and answer.addresses else ended).append(inquiry)
        if not found:
            raise _not_found(host, ended)
        return sorted(found, key=lambda i: self._families.index(i.family))


def _extended(trail: list[dns.name.Name], aliases: Sequence[dns.name.Name], host: str) -> list[dns.name.Name]:
    for alias in aliases:
        if alias in trail:
            raise LinkError("name-not-found", f"{host} has no address: its aliases lead in a circle.")
        trail = [*trail, alias]
        if len(trail) > MAX_ALIASES + 1:
            raise LinkError("name-not-found", f"{host} has no address within {MAX_ALIASES} aliases.")
    return trail


def _not_found(host: str, inquiries: Sequence[Inquiry]) -> LinkError:
    """The error of a name without addresses: what servers said of it weighs more than what others did not say."""
    for inquiry in inquiries:
        if inquiry.answer is not None and inquiry.answer.kind == "no-name":
            return LinkError(
                "name-not-found", f"There is no name {host}: so says the link's DNS server {inquiry.server}."
            )
    unanswered = [i for i in inquiries if i.answer is None]
    if not unanswered:
        servers = _list({i.server for i in inquiries if i.server is not None})
        return LinkError("name-not-found", f"{host} has no address: so says the link's DNS server {servers}.")
    said = {server: "did not answer" for i in unanswered for server in i.asked}
    for failures in (i.failures for i in unanswered):
        refusals = [why for why in failures.values() if isinstance(why, LinkError)]
        if refusals and len(refusals) == len(said):
            return refusals[0]
        said |= {server: "has no route" if isinstance(why, LinkError) else why for server, why in failures.items()}
    words = ", ".join(f"{server} {what}" for server, what in said.items())
    return LinkError("resolver-silent", f"None of the link's DNS servers could be asked for {host}: {words}.")


def _list(servers: Collection[IPAddress]) -> str:
    return " and ".join(str(s) for s in servers)


def _literal(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
