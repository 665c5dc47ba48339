"""DNS messages, without sockets: the question that is asked, and what an answer to it means (RFC 1035, RFC 6891).

dnspython's codec does the reading. Its import takes 10 to 60 ms: it is left until a name is asked for, or done ahead by
:func:`load_codec`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Literal

from phonecheck.errors import LinkError
from phonecheck.model import Family, IPAddress

if TYPE_CHECKING:
    import dns.message
    import dns.name
    import dns.rdatatype

EDNS_PAYLOAD = 1232  # what passes every link unfragmented (DNS flag day 2020)
MAX_ALIASES = 8

_HOST = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        kind: ``addresses``; ``alias``, if the answer stops at a name that must be asked for next; ``none``, if the name
            has no address of this family; ``no-name`` (NXDOMAIN); ``truncated``; ``no-edns``, if the server does not
            understand EDNS; ``failed``, if it cannot or will not answer, with its words for it in ``rcode``.
        aliases: the names that the answer led through.
    """

    kind: Literal["addresses", "alias", "none", "no-name", "truncated", "no-edns", "failed"]
    addresses: tuple[IPAddress, ...] = ()
    aliases: tuple[dns.name.Name, ...] = ()
    rcode: str = ""


def load_codec() -> None:
    """Import the codec now, and the records that answers hold, which it would import with the first answer."""
    import dns.message
    import dns.rdtypes.ANY.CNAME
    import dns.rdtypes.IN.A
    import dns.rdtypes.IN.AAAA  # noqa: F401  all for the time they take


def absolute(host: str) -> dns.name.Name:
    """The host as an absolute name, so that no search domain is ever tried; IDNA where it is not ASCII.

    Raises:
        LinkError: name-not-found; no DNS name can be so.
    """
    import dns.exception
    import dns.name

    try:
        # A backslash would be read as an escape, and anything else beyond these letters is no host name (RFC 1123 §2.1).
        if host.isascii() and not _HOST.fullmatch(host):
            raise dns.exception.SyntaxError
        name = dns.name.from_text(host, dns.name.root)
    except (dns.exception.DNSException, UnicodeError):
        pass
    else:
        if len(name) > 1:
            return name
    raise LinkError(
        "name-not-found", "The hop's host is not a DNS name.", hint="Report the hop: no server can know it."
    )


class Question:
    """One question with its random id, and the reading of what comes back for it.

    Args:
        name: absolute.
        family: 4 asks for A records, 6 for AAAA.
        edns: whether to ask with EDNS.
    """

    def __init__(self, name: dns.name.Name, family: Family, *, edns: bool) -> None:
        import dns.message
        import dns.rdatatype

        self.name = name
        self.family = family
        self.edns = edns
        self._type = dns.rdatatype.A if family == 4 else dns.rdatatype.AAAA
        self._message = dns.message.make_query(
            name, self._type, use_edns=0 if edns else False, payload=EDNS_PAYLOAD if edns else None
        )
        self.wire = self._message.to_wire()

    def read(self, wire: bytes) -> Answer | None:
        """What a datagram or TCP message says, or None if it is no answer to this question: noise, or a forgery."""
        import dns.exception
        import dns.flags
        import dns.message
        import dns.rcode

        try:
            # A truncated message may be cut in the middle of a record; its head still says that it is truncated.
            message = dns.message.from_wire(wire, ignore_trailing=True, continue_on_error=True)
            truncated, whole = bool(message.flags & dns.flags.TC), not message.errors
            if not self._message.is_response(message) or not (truncated or whole):
                return None
            rcode = message.rcode()
        except (dns.exception.DNSException, ValueError):
            return None
        if truncated:
            return Answer("truncated")
        if self.edns and rcode in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS):
            return Answer("no-edns")
        if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Answer("failed", rcode=dns.rcode.to_text(rcode))
        return self._follow(message, exists=rcode == dns.rcode.NOERROR)

    def _follow(self, message: dns.message.Message, *, exists: bool) -> Answer:
        """Walk the aliases inside the answer (RFC 1034 §3.6.2); NXDOMAIN is about the last of them (RFC 6604)."""
        import dns.rdataclass
        import dns.rdatatype

        name = self.name
        aliases: list[dns.name.Name] = []
        while len(aliases) <= MAX_ALIASES:
            records = message.get_rrset(message.answer, name, dns.rdataclass.IN, self._type)
            if records:
                return Answer("addresses", _addresses(r.address for r in records), tuple(aliases))
            alias = message.get_rrset(message.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
            if not alias:
                break
            name = alias[0].target
            aliases.append(name)
        if not exists:
            return Answer("no-name", aliases=tuple(aliases))
        return Answer("alias" if aliases else "none", aliases=tuple(aliases))


def _addresses(texts: Iterable[str]) -> tuple[IPAddress, ...]:
    """Without IPv4 addresses in IPv6 clothes: no server has a reason to send such, other than to get past a check."""
    found = [ip_address(text) for text in texts]
    return tuple(a for a in found if not (isinstance(a, IPv6Address) and a.ipv4_mapped))
