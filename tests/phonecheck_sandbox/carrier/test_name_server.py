from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import dns.asyncquery
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from name_server_sockets import udp_and_tcp
from phonecheck_sandbox.carrier.dns import NameServer, Zone
from phonecheck_sandbox.conditions import Conditions

ADDRESS = IPv4Address("198.51.100.10")
ZONE = Zone(
    names={"node.platform.example": ADDRESS, "lab.mno.example": IPv4Address("10.65.0.20")},
    aliases={"api.platform.example": "edge.platform.example", "edge.platform.example": "node.platform.example"},
    names6={"lab.mno.example": IPv6Address("2001:db8:65::20")},
    clients=(IPv4Network("10.64.0.0/24"), IPv6Network("2001:db8:64::/48")),
    rebound={"rebind-loopback": ("lab.mno.example", IPv4Address("127.0.0.1"))},
)
CLIENT = "10.64.0.2"
NAT64 = IPv6Network("2001:db8:46::/96")


def query(name: str, kind: str = "A", *, edns: bool = True) -> dns.message.Message:
    return dns.message.make_query(name, kind, use_edns=0 if edns else -1)


def ask(
    name: str,
    kind: str = "A",
    fault: str = "",
    *,
    client: str = CLIENT,
    tcp: bool = False,
    edns: bool = True,
    first: bool = True,
    dns64: IPv6Network | None = None,
) -> list[dns.message.Message]:
    """The answers, those to other questions included."""
    server = NameServer(ZONE, Conditions(dns_fault=fault), first=first, dns64=dns64)
    return [dns.message.from_wire(w) for w in server.answers(query(name, kind, edns=edns).to_wire(), client, tcp=tcp)]


def addresses(message: dns.message.Message) -> list[str]:
    return [str(item) for rrset in message.answer for item in rrset]


def test_a_name_has_its_address_in_any_case() -> None:
    (answer,) = ask("LAB.mno.EXAMPLE")
    assert addresses(answer) == ["10.65.0.20"]
    assert answer.flags & dns.flags.AA


def test_aliases_are_followed_to_the_address() -> None:
    (answer,) = ask("api.platform.example")
    assert addresses(answer) == ["edge.platform.example.", "node.platform.example.", str(ADDRESS)]
    assert str(answer.resolve_chaining().canonical_name) == "node.platform.example."


@pytest.mark.parametrize(
    ("name", "kind"),
    [("node.platform.example", "AAAA"), ("lab.mno.example", "HTTPS"), ("api.platform.example", "AAAA")],
)
def test_what_a_name_does_not_have_is_an_empty_answer_with_soa(name: str, kind: str) -> None:
    (answer,) = ask(name, kind)
    assert answer.rcode() == dns.rcode.NOERROR
    assert not any(rrset.rdtype == 28 for rrset in answer.answer)
    assert [rrset.rdtype for rrset in answer.authority] == [6]


def test_what_does_not_exist_says_so_with_soa() -> None:
    for name in ("nowhere.example", "example", "."):
        (answer,) = ask(name)
        assert (answer.rcode(), answer.answer, [r.rdtype for r in answer.authority]) == (dns.rcode.NXDOMAIN, [], [6])


def test_strangers_are_refused() -> None:
    (answer,) = ask("lab.mno.example", client="192.168.8.20")
    assert (answer.rcode(), answer.answer) == (dns.rcode.REFUSED, [])


def test_other_opcodes_and_answers_are_not_answered_as_queries() -> None:
    server = NameServer(ZONE, Conditions())
    notify = query("lab.mno.example")
    notify.set_opcode(dns.opcode.NOTIFY)
    (answer,) = server.answers(notify.to_wire(), CLIENT, tcp=False)
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP
    response = dns.message.make_response(query("lab.mno.example"))
    assert server.answers(response.to_wire(), CLIENT, tcp=False) == []


def test_silence_is_silent_and_first_silent_only_the_first() -> None:
    assert ask("lab.mno.example", fault="silent") == []
    assert ask("lab.mno.example", fault="silent", tcp=True) == []
    assert ask("lab.mno.example", fault="first-silent") == []
    assert len(ask("lab.mno.example", fault="first-silent", first=False)) == 1


@pytest.mark.parametrize(("fault", "rcode"), [("nxdomain", dns.rcode.NXDOMAIN), ("servfail", dns.rcode.SERVFAIL)])
def test_errors(fault: str, rcode: dns.rcode.Rcode) -> None:
    (answer,) = ask("api.platform.example", fault=fault)
    assert (answer.rcode(), answer.answer) == (rcode, [])


def test_formerr_is_for_edns_and_without_it() -> None:
    (answer,) = ask("lab.mno.example", fault="formerr")
    assert (answer.rcode(), answer.edns) == (dns.rcode.FORMERR, -1)
    (answer,) = ask("lab.mno.example", fault="formerr", edns=False)
    assert addresses(answer) == ["10.65.0.20"]


def test_truncated_is_whole_over_tcp() -> None:
    (answer,) = ask("lab.mno.example", fault="truncated")
    assert answer.flags & dns.flags.TC
    assert answer.answer == []
    (answer,) = ask("lab.mno.example", fault="truncated", tcp=True)
    assert addresses(answer) == ["10.65.0.20"]


def test_lies_come_first_and_the_truth_last() -> None:
    asked = query("lab.mno.example")
    wires = NameServer(ZONE, Conditions(dns_fault="spoofed")).answers(asked.to_wire(), CLIENT, tcp=False)
    wrong_id, wrong_question, true = (dns.message.from_wire(wire) for wire in wires)
    assert wrong_id.id != asked.id
    assert wrong_question.id == asked.id
    assert wrong_question.question != asked.question
    assert addresses(wrong_id) == addresses(wrong_question) == ["192.0.2.66"]
    assert asked.is_response(true)
    assert addresses(true) == ["10.65.0.20"]


def test_rebinding_changes_the_one_name() -> None:
    assert addresses(ask("lab.mno.example", fault="rebind-loopback")[0]) == ["127.0.0.1"]
    assert addresses(ask("node.platform.example", fault="rebind-loopback")[0]) == [str(ADDRESS)]


@given(st.binary(max_size=80))
def test_no_datagram_breaks_it(data: bytes) -> None:
    for wire in (data, query("lab.mno.example").to_wire()[:2] + data):
        for answer in NameServer(ZONE, Conditions()).answers(wire, CLIENT, tcp=False):
            assert answer[:2] == wire[:2]


def test_it_answers_over_udp_and_tcp() -> None:
    async def story() -> None:
        udp, tcp = udp_and_tcp()
        udp.setblocking(False)
        port = udp.getsockname()[1]
        server = NameServer(Zone(ZONE.names), Conditions())
        serving = asyncio.create_task(server.serve(udp, tcp))
        try:
            asked = query("lab.mno.example")
            for ask_by in (dns.asyncquery.udp, dns.asyncquery.tcp):
                answer = await ask_by(asked, "127.0.0.1", port=port, timeout=5)
                assert addresses(answer) == ["10.65.0.20"]
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            # The server's side of the TCP connection ends by itself when it reads the client's end.
            await asyncio.sleep(0.01)

    asyncio.run(story())


def test_a_name_has_its_ipv6_address_for_clients_of_either_family() -> None:
    for client in (CLIENT, "2001:db8:64:1::2"):
        (answer,) = ask("lab.mno.example", "AAAA", client=client)
        assert addresses(answer) == ["2001:db8:65::20"]
    (refused,) = ask("lab.mno.example", "AAAA", client="2001:db8:8::20")
    assert refused.rcode() == dns.rcode.REFUSED


def test_a_dns64_makes_up_what_is_missing_and_only_that() -> None:
    (made,) = ask("api.platform.example", "AAAA", dns64=NAT64)
    assert addresses(made)[-1] == "2001:db8:46::c633:640a"
    (known,) = ask("lab.mno.example", "AAAA", dns64=NAT64)
    assert addresses(known) == ["2001:db8:65::20"]
    (without,) = ask("api.platform.example", "AAAA")
    assert (without.rcode(), addresses(without)[-1]) == (dns.rcode.NOERROR, "node.platform.example.")
    (nowhere,) = ask("nowhere.example", "AAAA", dns64=NAT64)
    assert nowhere.rcode() == dns.rcode.NXDOMAIN


def test_the_prefix_of_a_dns64_can_be_found_out() -> None:
    (v4,) = ask("ipv4only.arpa")
    assert sorted(addresses(v4)) == ["192.0.0.170", "192.0.0.171"]
    (v6,) = ask("ipv4only.arpa", "AAAA", dns64=NAT64)
    assert sorted(addresses(v6)) == ["2001:db8:46::c000:aa", "2001:db8:46::c000:ab"]
    (plain,) = ask("ipv4only.arpa", "AAAA")
    assert (plain.rcode(), addresses(plain)) == (dns.rcode.NOERROR, [])


def test_a_rebound_name_is_rebound_in_both_families() -> None:
    (plain,) = ask("lab.mno.example", "AAAA", "rebind-loopback")
    assert addresses(plain) == []
    (hidden,) = ask("lab.mno.example", "AAAA", "rebind-loopback", dns64=NAT64)
    assert addresses(hidden) == ["2001:db8:46::7f00:1"]


def test_lies_are_of_the_family_that_was_asked_for() -> None:
    wrong_id, _, true = ask("lab.mno.example", "AAAA", "spoofed")
    assert addresses(wrong_id) == ["2001:db8:66::66"]
    assert addresses(true) == ["2001:db8:65::20"]
