"""The resolver against servers on loopback that lie, stammer and keep silent."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, ip_address
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from name_server_sockets import udp_and_tcp
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ConfigError, DeadlineExceeded, LinkError
from phonecheck.link import waiting
from phonecheck.link.closing import Closing
from phonecheck.link.resolve import Resolver
from phonecheck.model import Path

ONE, TWO = ip_address("10.64.1.53"), ip_address("10.64.2.53")
SIX, SEVEN = ip_address("2001:db8:1::53"), ip_address("2001:db8:2::53")
HOST = "he.mno.example"
V4, V6 = ip_address("10.65.0.11"), ip_address("2001:db8:65::11")
Message = dns.message.Message
Behaviour = Callable[[Message, str], list[bytes]]


def answer(query: Message, *records: str, rcode: int = 0, flags: int = 0) -> bytes:
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.Rcode(rcode))
    reply.flags |= flags
    reply.answer = [dns.rrset.from_text(*record.split(maxsplit=4)) for record in records]
    return reply.to_wire(max_size=65535)


def asked_type(query: Message) -> str:
    return dns.rdatatype.to_text(query.question[0].rdtype)


def both(query: Message, protocol: str) -> list[bytes]:
    name = query.question[0].name
    return [answer(query, f"{name} 60 IN A {V4}" if asked_type(query) == "A" else f"{name} 60 IN AAAA {V6}")]


def silent(query: Message, protocol: str) -> list[bytes]:
    return []


def failing(rcode: int) -> Behaviour:
    return lambda query, protocol: [answer(query, rcode=rcode)]


class Server:
    """A DNS server on loopback, UDP and TCP, that does what its behaviour says and keeps what it was asked."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.asked: list[tuple[str, str, str, int]] = []
        self._behaviour = behaviour
        self._udp, self._tcp = udp_and_tcp()
        self.address = self._tcp.getsockname()
        self._threads = [threading.Thread(target=serve) for serve in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def _replies(self, wire: bytes, protocol: str) -> list[bytes]:
        query = dns.message.from_wire(wire)
        self.asked.append((query.question[0].name.to_text(), asked_type(query), protocol, query.edns))
        return self._behaviour(query, protocol)

    def _serve_udp(self) -> None:
        while True:
            wire, client = self._udp.recvfrom(2000)
            if not wire:
                return
            for reply in self._replies(wire, "udp"):
                self._udp.sendto(reply, client)

    def _serve_tcp(self) -> None:
        while True:
            client, _ = self._tcp.accept()
            with client, suppress(ConnectionError):  # a resolver whose time is up has left
                head = client.recv(2)
                if not head:
                    return
                for reply in self._replies(client.recv(struct.unpack("!H", head)[0]), "tcp"):
                    client.sendall(struct.pack("!H", len(reply)) + reply)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.address)
        socket.create_connection(self.address).close()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()


class Loopback:
    """Stands in for :mod:`phonecheck.link.bind`: takes each server's address to one on loopback."""

    def __init__(self) -> None:
        self.at: dict[Any, tuple[str, int]] = {}
        self.fail: dict[Any, Exception] = {}
        self.sockets: list[socket.socket] = []

    def udp_socket(self, interface, peer, port, *, sources):
        return self._made(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), peer, port, blocking=False)

    def connect_tcp(self, interface, peer, port, *, timeout, sources):
        return self._made(socket.socket(socket.AF_INET, socket.SOCK_STREAM), peer, port, blocking=True)

    def _made(self, sock, peer, port, *, blocking):
        self.sockets.append(sock)
        if peer in self.fail:
            sock.close()
            raise self.fail[peer]
        assert port == 53
        sock.connect(self.at[peer])
        sock.setblocking(blocking)
        return sock, Path("wwan0", IPv4Address("127.0.0.1"), peer, port)


class Bench:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.net = Loopback()

    def server(self, behaviour: Behaviour, address=ONE) -> Server:
        server = Server(behaviour)
        self._stack.callback(server.close)
        self.net.at[address] = server.address
        return server

    def resolver(self, *addresses, families=(4,), patience=0.1, wait=waiting.wait) -> Resolver:
        return Resolver(
            "wwan0",
            addresses or (ONE,),
            families=families,
            udp_socket=self.net.udp_socket,
            connect_tcp=self.net.connect_tcp,
            patience=patience,
            grace=0.05,
            wait=wait,
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        bench = Bench(stack)
        yield bench
        assert all(sock.fileno() == -1 for sock in bench.net.sockets), "a socket was left open"


def code(resolver: Resolver, host: str = HOST, seconds: float = 2.0) -> tuple[str, str]:
    with pytest.raises(AgentError) as caught:
        resolver.resolve(host, Deadline(seconds))
    return caught.value.code, caught.value.message


def test_both_families_at_once_the_servers_own_first(bench):
    for at, families, addresses in (
        (ONE, (4,), (V4,)),
        (ONE, (4, 6), (V4, V6)),
        (ONE, (6, 4), (V4, V6)),
        (SIX, (4, 6), (V6, V4)),
    ):
        server = bench.server(both, at)
        found = bench.resolver(at, families=families).resolve(HOST, Deadline(2))
        assert (found.addresses, found.server) == (addresses, at)
        assert found.ms is not None
        assert found.ms > 0
        assert sorted(kind for _, kind, _, _ in server.asked) == sorted({4: "A", 6: "AAAA"}[f] for f in families)
        assert {name for name, *_ in server.asked} == {HOST + "."}


def test_both_questions_are_out_before_either_is_answered(bench):
    held: list[bytes] = []

    def only_together(query, protocol):
        held.extend(both(query, protocol))
        return []

    server = bench.server(only_together)
    assert code(bench.resolver(families=(4, 6)), seconds=0.05)[0] == "resolver-silent"
    assert {kind for _, kind, _, _ in server.asked} == {"A", "AAAA"}


def test_a_name_is_asked_for_once(bench):
    server = bench.server(both)
    resolver = bench.resolver()
    first = resolver.resolve(HOST, Deadline(2))
    again = resolver.resolve(HOST.upper() + ".", Deadline(2))
    assert (again.addresses, again.server, again.ms) == (first.addresses, first.server, None)
    assert len(server.asked) == 1


@pytest.mark.parametrize("literal", ["203.0.113.10", "2001:db8::10", "fe80::1%wwan0"])
def test_a_literal_needs_no_server(bench, literal):
    found = bench.resolver().resolve(literal, Deadline(2))
    assert (found.addresses, found.server, found.ms) == ((ip_address(literal),), None, None)


def test_the_next_server_after_silence_and_it_is_first_from_then_on(bench):
    one, two = bench.server(silent), bench.server(both, TWO)
    resolver = bench.resolver(ONE, TWO)
    assert resolver.resolve(HOST, Deadline(2)).server == TWO
    assert resolver.resolve("id.mno.example", Deadline(2)).server == TWO
    assert (len(one.asked), len(two.asked)) == (1, 2)


def test_a_late_answer_is_taken_while_the_next_server_is_silent(bench):
    waiting = threading.Event()

    def late(query, protocol):
        waiting.wait(2)
        return both(query, protocol)

    def second(query, protocol):
        waiting.set()
        return []

    bench.server(late)
    bench.server(second, TWO)
    assert bench.resolver(ONE, TWO).resolve(HOST, Deadline(2)).server == ONE


def test_a_single_server_is_asked_again_as_datagrams_get_lost(bench):
    server = bench.server(lambda query, protocol: both(query, protocol) if len(server.asked) > 2 else [])
    assert bench.resolver().resolve(HOST, Deadline(2)).addresses == (V4,)


@pytest.mark.parametrize("behaviour", [failing(dns.rcode.SERVFAIL), failing(dns.rcode.REFUSED)])
def test_the_next_server_after_a_refusal(bench, behaviour):
    bench.server(behaviour)
    bench.server(both, TWO)
    assert bench.resolver(ONE, TWO).resolve(HOST, Deadline(2)).server == TWO


def test_the_next_server_after_a_closed_port(bench):
    bench.net.at[ONE] = ("127.0.0.1", 1)
    bench.server(both, TWO)
    assert bench.resolver(ONE, TWO).resolve(HOST, Deadline(2)).server == TWO


def test_everything_refused_ends_at_once_and_says_by_whom(bench):
    bench.server(failing(dns.rcode.SERVFAIL))
    bench.net.at[TWO] = ("127.0.0.1", 1)
    what, message = code(bench.resolver(ONE, TWO), seconds=60)
    assert what == "resolver-silent"
    assert f"{ONE} said SERVFAIL" in message
    assert f"{TWO} refused" in message


def test_silence_ends_with_the_deadline(bench):
    bench.server(silent)
    bench.server(silent, TWO)
    what, message = code(bench.resolver(ONE, TWO), seconds=0.3)
    assert what == "resolver-silent"
    assert f"{ONE} did not answer, {TWO} did not answer" in message


def test_a_deadline_that_has_passed_asks_nobody(bench):
    server = bench.server(both)
    with pytest.raises(DeadlineExceeded) as caught:
        bench.resolver().resolve(HOST, Deadline(0))
    assert (caught.value.exit_status, server.asked) == (5, [])


def test_no_such_name(bench):
    bench.server(failing(dns.rcode.NXDOMAIN))
    what, message = code(bench.resolver(families=(4, 6)), seconds=60)
    assert (what, str(ONE) in message) == ("name-not-found", True)


def test_a_name_without_addresses(bench):
    bench.server(failing(dns.rcode.NOERROR))
    what, message = code(bench.resolver(families=(4, 6)), seconds=60)
    assert (what, str(ONE) in message) == ("name-not-found", True)


@pytest.mark.parametrize("quiet", ["A", "AAAA"])
def test_one_family_does_not_wait_for_the_other_for_long(bench, quiet):
    bench.server(lambda query, protocol: [] if asked_type(query) == quiet else both(query, protocol))
    found = bench.resolver(families=(4, 6)).resolve(HOST, Deadline(60))
    assert found.addresses == ((V6,) if quiet == "A" else (V4,))


def test_truncated_answers_are_fetched_by_tcp(bench):
    def large(query, protocol):
        if protocol == "udp":
            return [answer(query, flags=dns.flags.TC)]
        records = " ".join(f"10.65.{i // 200}.{i % 200 + 1}" for i in range(400))
        name = query.question[0].name
        return [answer(query, *(f"{name} 60 IN A {address}" for address in records.split()))]

    server = bench.server(large)
    assert len(bench.resolver().resolve(HOST, Deadline(2)).addresses) == 400
    assert [protocol for _, _, protocol, _ in server.asked] == ["udp", "tcp"]


@pytest.mark.parametrize(
    "by_tcp",
    [
        lambda query, protocol: [],
        lambda query, protocol: [b"noise"],
        lambda query, protocol: [answer(query, flags=dns.flags.TC)],
        failing(dns.rcode.SERVFAIL),
    ],
)
def test_the_next_server_after_tcp_failed(bench, by_tcp):
    bench.server(lambda query, p: [answer(query, flags=dns.flags.TC)] if p == "udp" else by_tcp(query, p))
    bench.server(both, TWO)
    assert bench.resolver(ONE, TWO).resolve(HOST, Deadline(2)).server == TWO


def test_a_server_without_edns_is_asked_without_and_that_is_remembered(bench):
    server = bench.server(lambda q, p: both(q, p) if q.edns < 0 else [answer(q, rcode=dns.rcode.FORMERR)])
    resolver = bench.resolver()
    assert resolver.resolve(HOST, Deadline(2)).addresses == (V4,)
    assert resolver.resolve("id.mno.example", Deadline(2)).addresses == (V4,)
    assert [edns for *_, edns in server.asked] == [0, -1, -1]


def test_form_errors_without_edns_end(bench):
    server = bench.server(failing(dns.rcode.FORMERR))
    assert code(bench.resolver(), seconds=60)[0] == "resolver-silent"
    assert len(server.asked) == 2


def test_forgeries_are_passed_over(bench):
    def forged(query, protocol):
        wire = answer(query, f"{HOST}. 60 IN A 192.0.2.66")
        other = dns.message.make_query("other.example.", "A", id=query.id)
        return [
            bytes([wire[0] ^ 0xFF]) + wire[1:],
            answer(other, "other.example. 60 IN A 192.0.2.66"),
            query.to_wire(),
            b"\0" * 12,
            wire[:-3],
            *both(query, protocol),
        ]

    bench.server(forged)
    assert bench.resolver().resolve(HOST, Deadline(2)).addresses == (V4,)


def test_datagrams_from_elsewhere_never_arrive(bench):
    """The kernel's part, for which the sockets are connected."""
    server = bench.server(silent)
    made = bench.net.udp_socket("wwan0", ONE, 53, sources=())[0]
    with made, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"forged", made.getsockname())
        with pytest.raises(BlockingIOError):
            made.recv(100)
    assert server.asked == []


def test_an_alias_alone_is_asked_for_again(bench):
    def step(query, protocol):
        name = query.question[0].name.to_text()
        following = {"he.mno.example.": "b.mno.example.", "b.mno.example.": "c.mno.example."}.get(name)
        return [answer(query, f"{name} 60 IN CNAME {following}")] if following else both(query, protocol)

    server = bench.server(step)
    assert bench.resolver(families=(4, 6)).resolve(HOST, Deadline(2)).addresses == (V4, V6)
    assert len(server.asked) == 6


def test_aliases_in_a_circle(bench):
    bench.server(
        lambda query, protocol: [
            answer(
                query, f"{HOST}. 60 IN CNAME b.example." if HOST in str(query) else f"b.example. 60 IN CNAME {HOST}."
            )
        ]
    )
    what, message = code(bench.resolver())
    assert (what, "circle" in message) == ("name-not-found", True)


@pytest.mark.parametrize(("aliases", "found"), [(8, True), (9, False)])
def test_eight_aliases_at_most(bench, aliases, found):
    def step(query, protocol):
        n = int(query.question[0].name.labels[0][1:])
        return [answer(query, f"n{n}. 60 IN CNAME n{n + 1}.")] if n < aliases else both(query, protocol)

    bench.server(step)
    if found:
        assert bench.resolver().resolve("n0", Deadline(2)).addresses == (V4,)
    else:
        assert code(bench.resolver(), "n0")[0] == "name-not-found"


def test_a_socket_that_is_refused_ends_the_search(bench):
    bench.server(both, TWO)
    bench.net.fail[ONE] = LinkError("bind-refused", "no")
    assert code(bench.resolver(ONE, TWO))[0] == "bind-refused"


def test_a_server_without_a_route_gives_way_to_the_next(bench):
    bench.server(both, TWO)
    bench.net.fail[ONE] = LinkError("no-route", "no")
    assert bench.resolver(ONE, TWO).resolve(HOST, Deadline(2)).server == TWO
    bench.net.fail[TWO] = LinkError("no-route", "no")
    assert code(bench.resolver(ONE, TWO), seconds=60)[0] == "no-route"


def test_a_device_that_goes_away_ends_the_search(bench):
    bench.net.fail[ONE] = OSError(errno.ENETDOWN, "down")
    assert code(bench.resolver(), seconds=60)[0] == "interface-gone"


def test_whoever_sees_the_link_go_ends_the_search(bench):
    closing = Closing()
    loss = LinkError("interface-gone", "the modem was pulled")

    def unplug(query, protocol):
        closing.abort(loss)
        return []

    bench.server(unplug)
    assert code(bench.resolver(wait=closing.wait), seconds=60) == ("interface-gone", loss.message)


def test_whoever_sees_the_link_go_ends_the_wait_for_an_answer_by_tcp(bench):
    closing = Closing()
    loss = LinkError("interface-gone", "the modem was pulled")
    over = threading.Event()

    def unplug(query, protocol):
        if protocol == "udp":
            return [answer(query, flags=dns.flags.TC)]
        closing.abort(loss)
        over.wait(5)
        return []

    bench.server(unplug)
    try:
        assert code(bench.resolver(patience=60, wait=closing.wait), seconds=1) == ("interface-gone", loss.message)
    finally:
        over.set()


def test_a_server_of_the_other_family_is_asked_soon_and_first_from_then_on(bench):
    """A network that carries one family only makes the servers of the other silent, all of them."""
    silent_ones = [bench.server(silent, address) for address in (SIX, SEVEN)]
    answering = bench.server(both)
    resolver = bench.resolver(SIX, SEVEN, ONE, families=(4, 6), patience=60)
    found = resolver.resolve(HOST, Deadline(2))
    assert (found.server, found.addresses) == (ONE, (V4, V6))
    assert found.ms is not None
    assert found.ms < 1000
    assert [len(server.asked) for server in silent_ones] == [2, 0]
    resolver.resolve("id.mno.example", Deadline(2))
    assert [len(server.asked) for server in (*silent_ones, answering)] == [2, 0, 4]


def test_servers_of_one_family_have_all_their_time(bench):
    first, second = bench.server(silent), bench.server(both, TWO)
    assert code(bench.resolver(ONE, TWO, patience=60), seconds=0.4)[0] == "resolver-silent"
    assert (len(first.asked), len(second.asked)) == (1, 0)


def synthesized(*addresses: str) -> Behaviour:
    """A DNS64, in so far as it answers for the well-known name."""

    def behaviour(query, protocol):
        name = query.question[0].name
        assert asked_type(query) == "AAAA"
        return [answer(query, *(f"{name} 60 IN AAAA {address}" for address in addresses))]

    return behaviour


def test_an_ipv4_literal_is_reached_through_the_networks_nat64(bench):
    server = bench.server(synthesized("2001:db8:46::c000:aa", "2001:db8:46::c000:ab"), SIX)
    resolver = bench.resolver(SIX, families=(6,))
    first = resolver.resolve("203.0.113.10", Deadline(2))
    assert (first.addresses, first.server) == ((ip_address("2001:db8:46::cb00:710a"),), SIX)
    assert first.ms is not None
    # Found once for the chain, and good for judging addresses from then on.
    again = resolver.resolve("127.0.0.1", Deadline(2))
    assert (again.addresses, again.server, again.ms) == ((ip_address("2001:db8:46::7f00:1"),), None, None)
    assert resolver.ipv4_inside(again.addresses[0]) == IPv4Address("127.0.0.1")
    assert [name for name, *_ in server.asked] == ["ipv4only.arpa."]


def test_every_prefix_that_the_network_names_is_tried(bench):
    bench.server(synthesized("2001:db8:46::c000:aa", "2001:db8:47:0:c0::aa00:0"), SIX)
    found = bench.resolver(SIX, families=(6,)).resolve("203.0.113.10", Deadline(2))
    assert found.addresses == (ip_address("2001:db8:46::cb00:710a"), ip_address("2001:db8:47:0:cb:71:a00:0"))


@pytest.mark.parametrize("behaviour", [synthesized("2001:db8::1"), synthesized(), failing(dns.rcode.NXDOMAIN)])
def test_an_ipv4_literal_where_no_nat64_is(bench, behaviour):
    server = bench.server(behaviour, SIX)
    resolver = bench.resolver(SIX, families=(6,))
    for _ in range(2):
        what, message = code(resolver, "203.0.113.10")
        assert (what, "NAT64" in message) == ("no-route", True)
    assert len(server.asked) == 1


def test_silence_about_nat64_is_not_taken_for_a_no(bench):
    bench.server(silent, SIX)
    resolver = bench.resolver(SIX, families=(6,))
    for _ in range(2):
        assert code(resolver, "203.0.113.10", seconds=0.1)[0] == "resolver-silent"


def test_servers_of_a_family_that_the_link_lacks_are_left_alone(bench):
    bench.server(both, TWO)
    assert bench.resolver(ip_address("2001:db8::53"), TWO).resolve(HOST, Deadline(2)).server == TWO


def test_no_servers_is_a_setting(bench):
    resolver = Resolver("usb0", (), families=(4,), udp_socket=bench.net.udp_socket)
    with pytest.raises(ConfigError, match="usb0"):
        resolver.resolve(HOST, Deadline(2))
    assert resolver.resolve("203.0.113.10", Deadline(2)).server is None


def test_a_number_in_a_host_is_not_repeated(bench):
    bench.server(failing(dns.rcode.NXDOMAIN))
    assert "447700900123" not in code(bench.resolver(), "447700900123.mno.example")[1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), min_size=1, max_size=5))
def test_nothing_that_a_server_sends_raises_anything_else(bench, replies):
    def hostile(query, protocol):
        own = query.to_wire()
        return [own[:2] + data if with_id else data for with_id, data in replies]

    bench.server(hostile)
    try:
        bench.resolver(families=(4, 6)).resolve(HOST, Deadline(0.02))
    except LinkError as error:
        assert error.code in ("resolver-silent", "name-not-found")  # noqa: PT017  either outcome is right
