"""A name server, authoritative for a handful of names and able to misbehave; the carrier's, and the public one.

It answers A and AAAA, follows its own aliases, and knows that everything else does not exist. With a NAT64's prefix it is a
DNS64 too (RFC 6147): where a name has no AAAA, it makes them of its A.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from phonecheck_sandbox.conditions import Conditions

_TTL = 60
_SPOOFED = {dns.rdatatype.A: "192.0.2.66", dns.rdatatype.AAAA: "2001:db8:66::66"}
"""What the liar answers: nobody has it."""
_WELL_KNOWN = {"ipv4only.arpa": (IPv4Address("192.0.0.170"), IPv4Address("192.0.0.171"))}
"""Has A, and AAAA only of a DNS64's making: so a client finds out the prefix (RFC 7050, 2.2)."""


@dataclass(frozen=True, slots=True)
class Zone:
    """What a name server knows.

    Attributes:
        names: the address of each name, in lower case.
        aliases: the name that each of these stands for.
        names6: likewise.
        clients: networks that may ask; others are REFUSED. None for everybody.
        rebound: with a ``rebind-…`` fault, the name that gets a bad address instead, and that address, by fault.
    """

    names: Mapping[str, IPv4Address]
    aliases: Mapping[str, str] = field(default_factory=dict)
    names6: Mapping[str, IPv6Address] = field(default_factory=dict)
    clients: tuple[IPv4Network | IPv6Network, ...] | None = None
    rebound: Mapping[str, tuple[str, IPv4Address]] = field(default_factory=dict)


class NameServer:
    """One server address, over UDP and TCP.

    Args:
        zone: what it knows.
        conditions: ``dns_fault`` is read at each query.
        dns64: the /96 of the NAT64 that this server makes AAAA for, if any.
        first: whether it is the first of the servers that clients are given: the one that ``first-silent`` is about.
    """

    def __init__(
        self, zone: Zone, conditions: Conditions, *, dns64: IPv6Network | None = None, first: bool = True
    ) -> None:
        self._zone = zone
        self._dns64 = dns64
        self._conditions = conditions
        self._first = first

    async def serve(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Answer on a bound UDP socket and a listening TCP socket, for ever."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
        server = await asyncio.start_server(self._tcp, sock=tcp)
        try:
            await asyncio.Event().wait()
        finally:
            transport.close()
            server.close()

    def answers(self, wire: bytes, client: str, *, tcp: bool) -> list[bytes]:
        """The messages to send back, in order; none for what cannot be read, or when silent."""
        fault = self._conditions.dns_fault
        if fault == "silent" or (fault == "first-silent" and self._first):
            return []
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return []
        if query.flags & dns.flags.QR:
            return []
        refused = self._refusal(query, client, fault)
        if refused is not None:
            return [_coded(query, refused)]
        if fault == "truncated" and not tcp:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            return [short.to_wire()]
        true = self._resolve(query, fault)
        lies = _lies(query) if fault == "spoofed" and not tcp else []
        return [*lies, true.to_wire()]

    def _refusal(self, query: dns.message.Message, client: str, fault: str) -> dns.rcode.Rcode | None:
        if self._zone.clients is not None and not any(ip_address(client) in n for n in self._zone.clients):
            return dns.rcode.REFUSED
        if query.opcode() != dns.opcode.QUERY:
            return dns.rcode.NOTIMP
        if len(query.question) != 1 or (fault == "formerr" and query.edns >= 0):
            return dns.rcode.FORMERR
        return dns.rcode.SERVFAIL if fault == "servfail" else None

    def _resolve(self, query: dns.message.Message, fault: str) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        question = query.question[0]
        owner, name = question.name, question.name.to_text(omit_final_dot=True).lower()
        while name in self._zone.aliases:
            target = dns.name.from_text(self._zone.aliases[name])
            response.answer.append(dns.rrset.from_text(owner, _TTL, "IN", "CNAME", target.to_text()))
            owner, name = target, target.to_text(omit_final_dot=True)
        addresses = self._addresses(name, fault)
        if fault == "nxdomain" or not any(addresses.values()):
            response.answer.clear()
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdclass == dns.rdataclass.IN and (found := addresses.get(question.rdtype)):
            response.answer.append(dns.rrset.from_text(owner, _TTL, "IN", question.rdtype, *map(str, found)))
            return response
        # RFC 2308 §2: both kinds of "no" carry the zone's SOA.
        zone = dns.name.Name(owner.labels[-3:])
        soa = f"{dns.name.from_text('ns', zone)} {dns.name.from_text('hostmaster', zone)} 1 3600 600 86400 60"
        response.authority.append(dns.rrset.from_text(zone, _TTL, "IN", "SOA", soa))
        return response

    def _addresses(self, name: str, fault: str) -> dict[dns.rdatatype.RdataType, tuple[IPv4Address | IPv6Address, ...]]:
        """What is known of a name, by type."""
        rebound_name, rebound = self._zone.rebound.get(fault, ("", None))
        names, names6 = self._zone.names, self._zone.names6
        v4: tuple[IPv4Address, ...] = _WELL_KNOWN.get(name) or ((names[name],) if name in names else ())
        v6: tuple[IPv6Address, ...] = (names6[name],) if name in names6 else ()
        if rebound and name == rebound_name:
            v4, v6 = (rebound,), ()
        if self._dns64 and not v6:
            v6 = tuple(self._dns64[int(address)] for address in v4)
        return {dns.rdatatype.A: v4, dns.rdatatype.AAAA: v6}

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[0]
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(10):
                    while True:
                        wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                        for message in self.answers(wire, client, tcp=True):
                            writer.write(len(message).to_bytes(2) + message)
                        await writer.drain()
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance: the selector loop's own transport does not derive from DatagramTransport.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for message in self._server.answers(data, addr[0], tcp=False):
            if self._transport is not None:
                self._transport.sendto(message, addr)


def _coded(query: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
    response = dns.message.make_response(query)
    if rcode == dns.rcode.FORMERR:
        # A server that does not know EDNS answers without it (RFC 6891 §7).
        response.use_edns(False)
    response.set_rcode(rcode)
    return response.to_wire()


def _lies(query: dns.message.Message) -> list[bytes]:
    """What somebody off the path would send: a guessed id, and an answer to another question."""
    question = query.question[0]
    kind = question.rdtype if question.rdtype in _SPOOFED else dns.rdatatype.A
    lie = _SPOOFED[kind]
    wrong_id = dns.message.make_response(query)
    wrong_id.id = query.id ^ 0x5555
    wrong_id.answer.append(dns.rrset.from_text(question.name, _TTL, "IN", kind, lie))
    other = dns.name.from_text("spoofed.example.")
    wrong_question = dns.message.make_response(query)
    wrong_question.question = [dns.rrset.RRset(other, question.rdclass, question.rdtype)]
    wrong_question.answer.append(dns.rrset.from_text(other, _TTL, "IN", kind, lie))
    return [wrong_id.to_wire(), wrong_question.to_wire()]
