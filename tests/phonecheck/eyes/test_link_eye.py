"""What the eye on the link sees of a kernel that is set in many ways, in network namespaces of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.netns

INSIDE = Path(__file__).with_name("inside_link_eye.py")
CONFIGURED = ("ip addr add 10.64.0.2/30 dev wwan0", "ip link set wwan0 up")
RAW_IP = "ip link set wwan0 arp off"
ROUTED = "ip route add default dev wwan0 metric 700"
STRICT, LOOSE = (f"echo {mode} > /proc/sys/net/ipv4/conf/wwan0/rp_filter" for mode in (1, 2))
REFUSAL = "ip rule add priority 2000 unreachable"
KILL_SWITCH = (
    "ip link add wg0 type veth peer name wg1",
    "ip link set wg1 up",
    "ip link set wg0 up",
    "ip route add default dev wg0 table 51820",
    "ip route add prohibit default metric 9999 table 51820",
    "ip rule add priority 32765 not from all fwmark 0xca6c lookup 51820",
)


@pytest.fixture(scope="module")
def prefix() -> list[str]:
    prefix = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    refused = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if refused.returncode:
        pytest.skip(f"no network namespaces here: {refused.stderr.strip()}")
    return prefix


@pytest.fixture
def seen(prefix: list[str]) -> Any:
    def see(
        *commands: str,
        addresses: list[str] | None = ["10.64.0.2/30"],  # noqa: B006  only read
        routes: str = "never",
        traffic: bool = True,
    ) -> dict[str, Any]:
        asked = {"commands": commands, "addresses": addresses, "routes": routes, "traffic": traffic}
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        done = subprocess.run(
            [*prefix, sys.executable, str(INSIDE), json.dumps(asked)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return see


def rules(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(barrier["way"], barrier["rule"]) for barrier in found["survey"]["barriers"]]


def test_an_ordinary_link(seen: Any) -> None:
    found = seen(*CONFIGURED, ROUTED, LOOSE)
    survey = found["survey"]
    assert (found["error"], survey["missing"], survey["routed"], survey["filter"]) == (None, [], [4], 2)
    assert (survey["up"], survey["carrier"], survey["mtu"], survey["barriers"]) == (True, True, 1500, [])
    assert found["looked"] == 1


@pytest.mark.parametrize("routes", ["auto", "never"])
def test_one_that_nobody_configured(seen: Any, routes: str) -> None:
    found = seen(routes=routes)
    survey = found["survey"]
    assert (survey["up"], survey["missing"], survey["routed"]) == (False, ["10.64.0.2"], [])
    assert any("ip addr add 10.64.0.2/30 dev wwan0" in command for command in survey["lacks"])
    assert (found["error"], found["owner"]) == ((None, None) if routes == "auto" else ("no-route", "address"))


def test_one_without_a_route(seen: Any) -> None:
    found = seen(*CONFIGURED)
    assert (found["error"], found["owner"], found["survey"]["routed"]) == ("no-route", "route", [])


def test_one_family_of_two(seen: Any) -> None:
    six = "ip -6 addr add 2001:db8:5::2/64 dev wwan0 nodad"
    found = seen(*CONFIGURED, ROUTED, six, addresses=["10.64.0.2/30", "2001:db8:5::2/64"])
    assert (found["error"], found["survey"]["routed"]) == (None, [4])


def test_a_strict_filter(seen: Any) -> None:
    found = seen(*CONFIGURED, ROUTED, STRICT)
    assert (found["error"], found["owner"], rules(found)) == ("reply-filtered", "rp-filter", [])


def test_a_rule_that_refuses(seen: Any) -> None:
    found = seen(*CONFIGURED, ROUTED, REFUSAL)
    assert (found["error"], found["owner"]) == ("no-route", "rules")
    assert rules(found) == [("out", "2000: from all unreachable")]


def test_a_rule_that_refuses_where_ours_may_go_before_it(seen: Any) -> None:
    found = seen(*CONFIGURED, ROUTED, REFUSAL, routes="auto")
    assert found["error"] is None
    assert any("ip -4 rule add from 10.64.0.2" in command for command in found["survey"]["lacks"])


def test_a_rule_for_the_way_back_alone(seen: Any) -> None:
    # Where there are no neighbours to look for, IPv4 sends without a route as well; but the filter asks for one.
    found = seen(RAW_IP, *CONFIGURED, ROUTED, REFUSAL, LOOSE)
    assert (found["error"], found["owner"]) == ("reply-filtered", "rules")
    assert [way for way, _ in rules(found)] == ["out", "back"]
    assert seen(RAW_IP, *CONFIGURED, ROUTED, REFUSAL)["error"] is None


def test_a_kill_switch(seen: Any) -> None:
    found = seen(*CONFIGURED, ROUTED, *KILL_SWITCH)
    assert (found["error"], found["owner"]) == ("no-route", "rules")
    assert rules(found) == [("out", "32765: not from all fwmark 0xca6c lookup 51820")]


def test_rules_that_are_for_others(seen: Any) -> None:
    others = ("fwmark 0x100/0x3f00 unreachable", "iif wwan0 lookup 7", "from 192.168.8.20 unreachable")
    found = seen(*CONFIGURED, ROUTED, LOOSE, *(f"ip rule add priority 100{n} {r}" for n, r in enumerate(others)))
    assert (found["error"], found["survey"]["barriers"]) == (None, [])


def test_an_interface_that_went(seen: Any) -> None:
    assert seen("ip link del wwan0")["error"] == "interface-gone"


@pytest.mark.parametrize("traffic", [True, False])
def test_a_modem_that_is_not_connected(seen: Any, traffic: bool) -> None:
    found = seen(addresses=None, traffic=traffic)
    assert (found["survey"], found["error"]) == (None, "not-connected" if traffic else None)
