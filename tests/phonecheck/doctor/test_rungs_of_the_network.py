"""Name servers, portal, platform, large packets and certificate: what each says of what the network does."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from typing import Any, cast

import pytest

from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung
from phonecheck.doctor.ports.network import Connected, Hello, Plain, Said, Secure
from phonecheck.doctor.rungs import captive, dns, mtu, platform, tls
from phonecheck.errors import AgentError, CheckError, LinkError
from phonecheck.model import Link, Path

HOST = "eu.api.tru.id"
A, B = ip_address("10.64.1.53"), ip_address("10.64.2.53")
PEER = ip_address("198.51.100.10")
LINK = Link("wwan0", (ip_interface("10.64.0.2/30"),), (), (A, B))
WORKS = Secure("TLSv1.3", 120.0)
NOBODY = LinkError("name-not-found", "No such name.")
NOON = 1_800_000_000.0


def refused(code: str = "tls-failed") -> CheckError:
    return CheckError(code, "certificate has expired.")


@dataclass
class World:
    """A network, and the clock and the link before it."""

    said: tuple[Said, ...] = (Said(A, "addresses", (PEER,), 61.2), Said(B, "addresses", (PEER,), 75.0))
    answer: Plain | None = None
    connected: Connected | AgentError = field(
        default_factory=lambda: Connected(Path("wwan0", LINK.addresses[0].ip, PEER, 443), 61.0)
    )
    most: int = 1460
    """The largest segment that gets through."""
    slow: float = 120.0
    lost: int = 0
    """So many handshakes are lost by chance."""
    secured: Secure = WORKS
    told: float | None = None
    clock: float = NOON
    host: str = HOST
    tried: list[int | None] = field(default_factory=list)
    lets: bool | None = None

    def ask_servers(self, _: Deadline) -> tuple[Said, ...]:
        return self.said

    def plain(self, _: Deadline) -> Plain | None:
        return self.answer

    def connect(self, _: Deadline) -> Connected:
        if isinstance(self.connected, AgentError):
            raise self.connected
        return self.connected

    def lets_others(self, _: Deadline) -> bool | None:
        return self.lets

    def full_size(self, _: Deadline, segment: int | None = None) -> Hello:
        self.tried.append(segment)
        size, self.lost = segment or 1448, self.lost - 1
        return (
            Hello(True, "", size, self.slow)
            if size <= self.most and self.lost < 0
            else Hello(False, "sent", size, 1500.0)
        )

    def secure(self, _: Deadline) -> Secure:
        return self.secured

    def date(self, _: Deadline) -> float | None:
        return self.told

    def prepared(self, _: Deadline) -> Link:
        return LINK

    def now(self) -> float:
        return self.clock

    def found(self, rung: Rung) -> Finding:
        me, no = cast(Any, self), cast(Any, None)
        return rung.look(Device(Settings(), True, me, no, me, me, no, no), Deadline(10))


def code(finding: Finding) -> str | None:
    return finding.error.code if finding.error else None


class TestDns:
    def test_each_that_answers(self) -> None:
        finding = World().found(dns.RUNG)
        assert (finding.state, finding.words) == ("well", "10.64.1.53 in 61 ms, 10.64.2.53 in 75 ms")
        assert finding.facts["fastest_ms"] == 61.2

    def test_one_silent_of_two_is_said(self) -> None:
        finding = World(said=(Said(A, "silent"), Said(B, "addresses", (PEER,), 75.0))).found(dns.RUNG)
        assert finding.state == "well"
        assert finding.words == "10.64.2.53 in 75 ms; 10.64.1.53 is silent, which costs a check 1.5 s"
        assert finding.facts["silent"] == ["10.64.1.53"]

    def test_a_silent_one_is_hardly_waited_for_where_another_family_speaks(self) -> None:
        said = (Said(A, "silent"), Said(ip_address("2001:db8:65::53"), "addresses", (PEER,), 75.0))
        assert World(said=said).found(dns.RUNG).words == "2001:db8:65::53 in 75 ms; 10.64.1.53 is silent"

    def test_nobody_speaks(self) -> None:
        error = LinkError("resolver-silent", "It said SERVFAIL.")
        finding = World(said=(Said(A, "silent"), Said(B, "failed", error=error))).found(dns.RUNG)
        assert code(finding) == "resolver-silent"
        assert finding.error is not None
        assert "10.64.1.53 is silent, 10.64.2.53 answers with an error" in finding.error.message
        assert finding.command == f"dig @10.64.1.53 -b 10.64.0.2 {HOST}"

    def test_a_check_believes_the_first_that_speaks(self) -> None:
        finding = World(said=(Said(A, "unknown", error=NOBODY), Said(B, "addresses", (PEER,), 75.0))).found(dns.RUNG)
        assert code(finding) == "name-not-found"
        assert finding.error is not None
        assert "--dns 10.64.2.53" in finding.error.hint

    def test_an_address_needs_no_server(self) -> None:
        assert World(said=(), host="198.51.100.10").found(dns.RUNG).state == "idle"


FOREIGN = Plain(302, "login.hotel.example")
BROKEN = Secure(fault=refused())


class TestCaptive:
    @pytest.mark.parametrize(
        ("answer", "secured"),
        [
            (None, BROKEN),
            (Plain(301, HOST), BROKEN),
            (Plain(308, "www.tru.id"), BROKEN),
            (Plain(404), BROKEN),
            (Plain(503), BROKEN),
            # Its certificate tells the platform from a portal,
            (Plain(200), WORKS),
            (FOREIGN, WORKS),
            # be its date as it may: that is the clock's fault, or the platform's.
            (FOREIGN, Secure(fault=refused(), of_dates=True)),
        ],
    )
    def test_the_platform_may_answer_so(self, answer: Plain | None, secured: Secure) -> None:
        assert World(answer=answer, secured=secured).found(captive.RUNG).state == "well"

    @pytest.mark.parametrize(
        ("answer", "secured"),
        [
            (Plain(511), WORKS),
            (Plain(200), BROKEN),
            (FOREIGN, BROKEN),
            (Plain(302, "eu.api.tru.id.evil.example"), BROKEN),
            (FOREIGN, Secure(fault=refused("operator-error"))),
        ],
    )
    def test_somebody_else(self, answer: Plain, secured: Secure) -> None:
        finding = World(answer=answer, secured=secured).found(captive.RUNG)
        assert code(finding) == "captive-network"
        assert finding.error is not None
        assert (answer.elsewhere or str(answer.status)) in finding.error.message
        assert finding.command == f"curl --interface wwan0 -v http://{HOST}/"

    @pytest.mark.parametrize(
        ("connected", "lets", "expected"),
        [
            (refused("hop-timeout"), False, "captive-network"),
            # Nothing tells the APN from the platform's own silence.
            (refused("hop-timeout"), None, None),
            (refused("hop-timeout"), True, None),
            (refused("operator-error"), False, None),
        ],
    )
    def test_names_and_nothing_else(self, connected: CheckError, lets: bool | None, expected: str | None) -> None:
        assert code(World(connected=connected, lets=lets).found(captive.RUNG)) == expected


class TestPlatform:
    def test_its_path(self) -> None:
        finding = World().found(platform.RUNG)
        assert finding.words == "198.51.100.10 in 61 ms, from 10.64.0.2 by wwan0"
        assert finding.facts["bound_to"] == "wwan0"

    @pytest.mark.parametrize("what", ["hop-timeout", "operator-error", "hop-refused"])
    def test_it_cannot_be_reached(self, what: str) -> None:
        finding = World(connected=CheckError(what, "Of a hop.")).found(platform.RUNG)
        assert code(finding) == what
        assert finding.command == f"curl --interface wwan0 -v https://{HOST}/"
        assert finding.error is not None
        assert ("APN" in finding.error.hint) == (what != "hop-refused")

    def test_the_links_own_error_stays(self) -> None:
        gone = LinkError("interface-gone", "It went.")
        with pytest.raises(LinkError) as raised:
            World(connected=gone).found(platform.RUNG)
        assert raised.value is gone


class TestMtu:
    def test_they_get_through(self) -> None:
        world = World()
        assert world.found(mtu.RUNG).facts["segment"] == 1448
        assert world.tried == [None]

    @pytest.mark.parametrize(("most", "works"), [(1300, 1280), (1240, 1280), (1239, 576), (536, 576)])
    def test_lost_and_an_mtu_that_was_tried(self, most: int, works: int) -> None:
        finding = World(most=most).found(mtu.RUNG)
        assert code(finding) == "large-packets-lost"
        assert finding.facts["working_mtu"] == works
        assert finding.command == f"ip link set wwan0 mtu {works}"
        assert finding.error is not None
        assert f"packets to {HOST}" in finding.error.message

    def test_ipv6_has_no_smaller_mtu_than_1280(self) -> None:
        path = Path("wwan0", ip_address("2001:db8::2"), ip_address("2001:db8::1"), 443)
        finding = World(most=600, connected=Connected(path, 61.0)).found(mtu.RUNG)
        assert (code(finding), finding.command) == ("large-packets-lost", "")

    def test_silence_to_all_sizes_is_no_matter_of_size(self) -> None:
        world = World(most=0)
        assert world.found(mtu.RUNG).state == "unseen"
        assert world.tried == [None, 536]

    def test_one_that_is_lost_by_chance_is_sent_again(self) -> None:
        world = World(lost=1)
        assert world.found(mtu.RUNG).words == "segments of 1448 octets get through, though one was lost"
        assert world.tried == [None, 536, None]

    def test_a_slow_path_is_not_a_lossy_one(self) -> None:
        assert World(most=600, slow=1400.0).found(mtu.RUNG).state == "unseen"


class TestTls:
    def test_verified(self) -> None:
        finding = World().found(tls.RUNG)
        assert (finding.state, finding.words) == ("well", "TLSv1.3, verified, in 120 ms")

    def test_a_fault_that_is_not_of_dates_stays(self) -> None:
        error = refused()
        finding = World(secured=Secure(fault=error), told=0.0).found(tls.RUNG)
        assert finding.error is error

    @pytest.mark.parametrize("off", [-86400 * 400, 86400 * 400, 7200])
    def test_a_clock_that_the_network_contradicts(self, off: float) -> None:
        world = World(secured=Secure(fault=refused(), of_dates=True), told=NOON, clock=NOON + off)
        finding = world.found(tls.RUNG)
        assert code(finding) == "clock-wrong"
        assert finding.facts["clock_off_seconds"] == off
        assert finding.command == "date -u -s '2027-01-15 08:00:00'"

    def test_a_clock_that_the_network_confirms(self) -> None:
        world = World(secured=Secure(fault=refused(), of_dates=True), told=NOON - 60)
        finding = world.found(tls.RUNG)
        assert code(finding) == "tls-failed"
        assert finding.error is not None
        assert "report it to the platform" in finding.error.hint

    def test_a_clock_that_nobody_can_judge(self) -> None:
        error = refused()
        assert World(secured=Secure(fault=error, of_dates=True)).found(tls.RUNG).error is error
