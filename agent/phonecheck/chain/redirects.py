"""What a chain may do with a redirect: how many, no loops, to which destinations, and where it has arrived. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal
from urllib.parse import parse_qsl

from phonecheck.chain.url import Url, parse_redirect_url
from phonecheck.errors import CheckError
from phonecheck.model import IPAddress

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The statuses whose Location is followed, always with GET (RFC 9110 §15.4)."""


class Trail:
    """The URLs of one chain in their order: limits the redirects and finds loops.

    Args:
        max_redirects: how many are followed; the next one is an error.
    """

    def __init__(self, max_redirects: int) -> None:
        self._max = max_redirects
        self._steps = 0
        self._seen: set[tuple[Url, Hashable]] = set()

    def step(self, url: Url, cookies: Hashable) -> None:
        """Take note of a request before it is made; the first is the check URL, the others are redirects.

        Args:
            url: what is about to be asked.
            cookies: the whole jar's state (``Jar.fingerprint``). A URL that comes back after any cookie was set is a
                usual way of servers to find out whether cookies work, and no loop.

        Raises:
            CheckError: redirect-loop, too-many-redirects.
        """
        if (url, cookies) in self._seen:
            raise CheckError("redirect-loop", f"The redirects come back to {url.redacted} with nothing changed.")
        if self._steps > self._max:
            raise CheckError("too-many-redirects", f"The chain has more than {self._max} redirects.")
        self._steps += 1
        self._seen.add((url, cookies))


def refuse_scheme(url: Url, cleartext: Literal["allow", "refuse"], *, first: bool) -> str | None:
    """Why a hop may not be asked for in cleartext, or None.

    Operators that write the number into the request's header need an http hop, so the setting allows it; the first hop,
    which names the check, is https always.
    """
    if url.is_https:
        return None
    if first:
        return "the check URL is not https"
    return "it is in cleartext, which chain.cleartext refuses" if cleartext == "refuse" else None


# RFC 6052 §2.1, RFC 8215, RFC 4291 §2.5.5.2: what stands for IPv4 hosts. Python counts them as reserved.
_NAT64, _NAT64_LOCAL = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")
_OF_IPV4 = (_NAT64, _NAT64_LOCAL, IPv6Network("::ffff:0:0/96"))
_THIS_NETWORK = IPv4Network("0.0.0.0/8")


def refuse_address(
    address: IPAddress,
    other_networks: Iterable[IPv4Network | IPv6Network],
    ipv4_inside: Callable[[IPv6Address], IPv4Address | None] = lambda _: None,
) -> str | None:
    """Why no hop may go to an address, or None. A carrier's private addresses are as good as any.

    Args:
        address: what the hop's name resolved to, or the literal in its URL.
        other_networks: the subnets of the device's other interfaces, which no stranger's redirect may probe.
        ipv4_inside: the IPv4 address that the network's own NAT64 would make of one; it must be allowed as well.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or ipv4_inside(address)
        if inner is None and address in _NAT64:
            inner = IPv4Address(address.packed[-4:])
        refused = refuse_address(inner, other_networks) if inner is not None else None
        if refused:
            return refused
    kind = _kind(address)
    if kind:
        return f"{address} is {kind}"
    if any(address in network for network in other_networks):
        return f"{address} is in a network of the device's other interfaces"
    return None


def _kind(address: IPAddress) -> str | None:
    kinds = {
        "a loopback address": address.is_loopback,
        "a link-local address": address.is_link_local,
        "the broadcast address": address == IPv4Address("255.255.255.255"),
        "a multicast address": address.is_multicast,
        "an unspecified address": address.is_unspecified or address in _THIS_NETWORK,
        "a reserved address": address.is_reserved and not any(address in network for network in _OF_IPV4),
    }
    return next((kind for kind, holds in kinds.items() if holds), None)


def matches_redirect_url(url: Url, redirect_url: str) -> bool:
    """Whether a hop is the app server's own redirect_url: the same origin, and the same path or one below it.

    Raises:
        ConfigError: bad-setting, where redirect_url is no https URL.
    """
    own = parse_redirect_url(redirect_url)
    if url.origin != own.origin:
        return False
    return url.path == own.path or url.path.startswith(own.path.rstrip("/") + "/")


def answer_in_query(url: Url) -> dict[str, str]:
    """The platform's answer in a redirect to redirect_url: those of code, check_id, error and reference_id that are there.

    One that is empty, comes twice (RFC 6749 §3.1 forbids that) or holds a control character is left out.
    """
    pairs = [pair for pair in parse_qsl(url.query) if pair[0] in ("code", "check_id", "error", "reference_id")]
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1 and value.isprintable()}
