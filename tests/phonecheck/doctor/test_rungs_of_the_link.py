"""Address, rules, route and reverse path filter: an obstacle of the link belongs to one of them, and is mended by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any, cast

import pytest

from phonecheck.config import LinkChoice, Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung
from phonecheck.doctor.ports.link import Barrier, Survey
from phonecheck.doctor.rungs import address, route, rp_filter, rules
from phonecheck.errors import AgentError, BearerError, ConfigError, LinkError
from phonecheck.model import Link

RUNGS = (address.RUNG, rules.RUNG, route.RUNG, rp_filter.RUNG)
OWN, OWN6 = ip_interface("10.64.0.2/30"), ip_interface("2001:db8:5::2/64")
LINK = Link("wwan0", (OWN,), (ip_address("10.64.0.1"),), (ip_address("10.64.1.53"),))
GOOD = Survey(LINK, mtu=1430, routed=(4,), filter=2)
COMMANDS = ("ip -4 route add default dev wwan0 table 112003", "ip -4 rule add from 10.64.0.2 lookup 112003 priority 90")
KILL_SWITCH = Barrier("out", 4, "32765: not from all fwmark 0xca6c lookup 51820", "prohibit")
WAY_BACK = dataclasses.replace(KILL_SWITCH, way="back")


@dataclass
class Links:
    surveyed: Survey | AgentError | None
    error: AgentError | None = None

    def survey(self, _: Deadline) -> Survey | None:
        if isinstance(self.surveyed, AgentError):
            raise self.surveyed
        return self.surveyed

    def obstacle(self, _: Deadline) -> AgentError | None:
        return self.error or (self.surveyed.obstacle if isinstance(self.surveyed, Survey) else None)


def found(rung: Rung, links: Links, *, routes: str = "auto") -> Finding:
    settings = Settings(link=LinkChoice(routes=cast(Any, routes)))
    no = cast(Any, None)
    return rung.look(Device(settings, True, no, no, cast(Any, links), no, no, no), Deadline(5))


def failing(links: Links) -> list[str]:
    return [rung.slug for rung in RUNGS if found(rung, links).state == "failed"]


def no_route(hint: str | None = None) -> LinkError:
    return LinkError("no-route", "No way.", hint=hint)


def filtered() -> LinkError:
    return LinkError("reply-filtered", "Dropped.")


BARE = dataclasses.replace(GOOD, missing=(OWN.ip,), routed=(), lacks=COMMANDS)


@pytest.mark.parametrize(
    ("survey", "error", "slugs"),
    [
        (GOOD, None, []),
        (GOOD, LinkError("interface-gone", "It is down."), ["address"]),
        (GOOD, BearerError("no-ip-config", "No lease."), ["address"]),
        (GOOD, LinkError("bind-refused", "No netlink."), ["address"]),
        (GOOD, LinkError("wrong-path", "A twin."), ["rules"]),
        (GOOD, no_route(), ["route"]),
        (BARE, no_route(), ["address"]),
        (dataclasses.replace(GOOD, up=False), no_route(), ["address"]),
        (dataclasses.replace(GOOD, link=Link("wwan0")), no_route(), ["address"]),
        (dataclasses.replace(GOOD, barriers=(KILL_SWITCH,)), no_route(), ["rules"]),
        (dataclasses.replace(GOOD, barriers=(WAY_BACK,)), no_route(), ["route"]),
        (GOOD, filtered(), ["rp-filter"]),
        (dataclasses.replace(GOOD, barriers=(KILL_SWITCH,)), filtered(), ["rp-filter"]),
        (dataclasses.replace(GOOD, barriers=(WAY_BACK,)), filtered(), ["rules"]),
        # That no name servers are known is what dns meets.
        (GOOD, ConfigError("bad-setting", "No DNS servers."), []),
    ],
)
def test_an_obstacle_belongs_to_one_rung(survey: Survey, error: AgentError | None, slugs: list[str]) -> None:
    assert failing(Links(survey, error)) == slugs
    assert failing(Links(dataclasses.replace(survey, obstacle=error))) == slugs


def test_without_a_connection_there_is_nothing_to_see_yet() -> None:
    assert {found(rung, Links(None)).state for rung in RUNGS} == {"unseen"}


def test_a_link_that_cannot_be_looked_at_fails_at_its_address() -> None:
    gone = LinkError("interface-gone", "The network interface usb0 does not exist.")
    finding = found(address.RUNG, Links(gone))
    assert (finding.state, finding.error) == ("failed", gone)


class TestAddress:
    def test_what_is_there(self) -> None:
        finding = found(address.RUNG, Links(GOOD))
        assert finding.words == "wwan0 has 10.64.0.2, MTU 1430"
        assert finding.facts["interface"] == "wwan0"
        assert finding.facts["addresses"] == ["10.64.0.2/30"]

    def test_what_will_be_set_up(self) -> None:
        finding = found(address.RUNG, Links(BARE))
        assert (finding.state, finding.facts["set_up"]) == ("well", list(COMMANDS))
        assert "10.64.0.2 for the exchange" in finding.words

    def test_a_lease(self) -> None:
        survey = Survey(Link("wwan0"), lacks=("a DHCP lease on wwan0",))
        assert "by DHCP" in found(address.RUNG, Links(survey)).words

    def test_one_of_two_addresses(self) -> None:
        link = dataclasses.replace(LINK, addresses=(OWN, OWN6))
        survey = dataclasses.replace(GOOD, link=link, missing=(OWN6.ip,))
        assert found(address.RUNG, Links(survey)).words.startswith(
            "wwan0 has 10.64.0.2, MTU 1430; 2001:db8:5::2 is not"
        )

    def test_by_hand(self) -> None:
        assert found(address.RUNG, Links(BARE, no_route())).command == " && ".join(COMMANDS)


class TestRules:
    def test_none(self) -> None:
        assert found(rules.RUNG, Links(GOOD)).words == "none is in the way"

    def test_one_that_ours_goes_before(self) -> None:
        survey = dataclasses.replace(GOOD, barriers=(KILL_SWITCH,), lacks=COMMANDS)
        finding = found(rules.RUNG, Links(survey))
        assert finding.state == "well"
        assert "own goes before `32765: not from all fwmark 0xca6c lookup 51820`" in finding.words

    def test_one_that_does_not_hold_for_bound_sockets(self) -> None:
        finding = found(rules.RUNG, Links(dataclasses.replace(GOOD, barriers=(KILL_SWITCH,))))
        assert (finding.state, "does not hold" in finding.words) == ("well", True)
        assert finding.facts["rules"] == ["32765: not from all fwmark 0xca6c lookup 51820 (prohibit)"]

    @pytest.mark.parametrize("routes", ["auto", "never"])
    def test_the_very_rule_is_named_with_what_goes_before_it(self, routes: str) -> None:
        survey = dataclasses.replace(GOOD, barriers=(KILL_SWITCH,), lacks=COMMANDS)
        finding = found(rules.RUNG, Links(survey, no_route("Run it as root.")), routes=routes)
        assert finding.error is not None
        assert "`32765: not from all fwmark 0xca6c lookup 51820`" in finding.error.message
        assert finding.error.code == "no-route"
        assert finding.command == " && ".join(COMMANDS)
        # A cure that is forbidden by the settings is none.
        assert ("link.routes" in finding.error.hint) == (routes == "never")

    def test_the_way_of_the_answers(self) -> None:
        error = found(rules.RUNG, Links(dataclasses.replace(GOOD, barriers=(WAY_BACK,)), filtered())).error
        assert error is not None
        assert (error.code, "answers that come in by wwan0" in error.message) == ("reply-filtered", True)


class TestRoute:
    def test_one_family_of_two(self) -> None:
        link = dataclasses.replace(LINK, addresses=(OWN, OWN6))
        finding = found(route.RUNG, Links(dataclasses.replace(GOOD, link=link)))
        assert (finding.state, finding.words) == ("well", "for IPv4; IPv6 has none and is left out")

    def test_our_own(self) -> None:
        finding = found(route.RUNG, Links(dataclasses.replace(GOOD, routed=(), lacks=COMMANDS)))
        assert finding.words == "phonecheck sets up its own for the exchange, as IPv4 has none"

    def test_none(self) -> None:
        finding = found(route.RUNG, Links(dataclasses.replace(GOOD, routed=()), no_route()))
        assert finding.command == "ip route get 198.51.100.1 oif wwan0"


class TestFilter:
    @pytest.mark.parametrize(("mode", "words"), [(0, "off"), (1, "strict"), (2, "loose")])
    def test_its_mode(self, mode: int, words: str) -> None:
        finding = found(rp_filter.RUNG, Links(dataclasses.replace(GOOD, filter=mode)))
        assert finding.state == "well"
        assert finding.words.startswith(words)
        assert finding.facts["mode"] == words

    def test_ipv6_has_none(self) -> None:
        survey = dataclasses.replace(GOOD, link=dataclasses.replace(LINK, addresses=(OWN6,)))
        assert found(rp_filter.RUNG, Links(survey)).state == "idle"

    def test_a_name_with_a_dot_is_written_as_sysctl_reads_it(self) -> None:
        link = dataclasses.replace(LINK, interface="usb0.7")
        finding = found(rp_filter.RUNG, Links(dataclasses.replace(GOOD, link=link, filter=1), filtered()))
        assert finding.command == "sysctl -w net.ipv4.conf.usb0/7.rp_filter=2"
