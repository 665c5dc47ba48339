"""The walk over the policy rules: which one ends a packet's way, and that it is written as ip(8) writes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.link.policy import Entry, Flow, Rule, read_entry, read_rule, walk

LAN, WWAN, WG = 2, 3, 4
OWN, PEER = ip_address("10.64.0.2"), ip_address("198.51.100.1")
OUT, BACK = Flow(OWN, PEER, WWAN, "wwan0", uid=1000), Flow(OWN, PEER, None, uid=1000)
ALL, ALL6 = ip_network("0.0.0.0/0"), ip_network("::/0")
MAIN = Rule(4, 32766, 1, 254)
BY_LAN = Entry(254, ALL, 100, (LAN,))
BY_WWAN = Entry(254, ALL, 700, (WWAN,))
# wg-quick(8): all that has not the mark, but for what main knows better than by a default route.
SPECIFIC_FIRST = Rule(4, 32764, 1, 254, suppressed=0)
REST_BY_TUNNEL = Rule(4, 32765, 1, 51820, mark=0xCA6C, mask=0xFFFFFFFF, inverted=True)
BY_TUNNEL, NO_OTHER = Entry(51820, ALL, 0, (WG,)), Entry(51820, ALL, 9999, (), "prohibit")


def ended(flow: Flow, rules: list[Rule], entries: list[Entry]) -> tuple[int, str] | None:
    found = walk(flow, rules, entries)
    return None if found is None else (found.rule.priority, found.refusal)


@pytest.mark.parametrize("flow", [OUT, BACK])
def test_nothing_is_in_the_way_of_an_ordinary_device(flow: Flow) -> None:
    assert ended(flow, [MAIN], [BY_LAN, BY_WWAN]) is None
    assert ended(flow, [MAIN], []) is None


def test_a_vpn_lets_bound_sockets_pass_and_its_kill_switch_does_not() -> None:
    rules = [MAIN, REST_BY_TUNNEL, SPECIFIC_FIRST]
    assert ended(OUT, rules, [BY_WWAN, BY_TUNNEL]) is None
    assert ended(OUT, rules, [BY_WWAN, BY_TUNNEL, NO_OTHER]) == (32765, "prohibit")
    # Answers would be let out by the tunnel, as anything is.
    assert ended(BACK, rules, [BY_WWAN, BY_TUNNEL, NO_OTHER]) is None
    assert ended(BACK, rules, [BY_WWAN, NO_OTHER]) == (32765, "prohibit")


def test_what_a_rule_asks() -> None:
    def refuses(**asked: object) -> bool:
        return ended(OUT, [Rule(4, 1000, 7, 0, **asked), MAIN], [BY_WWAN]) == (1000, "unreachable")  # type: ignore[arg-type]

    assert refuses()
    # mwan3's rules are for what is marked, or comes in by an interface: nothing of ours.
    assert not refuses(mark=0x100, mask=0x3F00)
    assert refuses(mark=0, mask=0x3F00)
    assert refuses(mark=0x100, mask=0x3F00, inverted=True)
    assert not refuses(iif="wwan0")
    assert refuses(iif="lo")
    assert refuses(oif="wwan0")
    assert not refuses(oif="lan0")
    assert refuses(source=ip_network("10.64.0.0/30"))
    assert not refuses(source=ip_network("192.168.8.0/24"))
    assert not refuses(destination=ip_network("10.0.0.0/8"))
    assert refuses(uids=(1000, 1000))
    assert not refuses(uids=(0, 999))
    assert not refuses(protocol=17)
    assert refuses(protocol=6, ports=(443, 443))
    assert not refuses(ports=(1, 442))
    assert not refuses(tos=0x10)
    assert not refuses(other=True)


def test_the_order_of_the_walk() -> None:
    refusing = Rule(4, 2000, 6, 0)
    assert ended(OUT, [refusing, Rule(4, 90, 1, 112003)], [Entry(112003, ALL, 0, (WWAN,))]) is None
    assert ended(OUT, [Rule(4, 10, 2, 0, goto=3000), refusing, MAIN], [BY_WWAN]) is None
    assert ended(OUT, [Rule(4, 10, 3, 0), refusing], []) == (2000, "blackhole")
    assert ended(OUT, [Rule(6, 10, 6, 0)], []) is None
    table = Rule(4, 10, 1, 7)
    throws = [Entry(7, ALL, 0, (), throws=True), NO_OTHER]
    assert ended(OUT, [table, refusing], throws) == (2000, "blackhole")
    # The longest prefix counts, then the metric.
    nearer = Entry(7, ip_network("198.51.100.0/24"), 50, (), "unreachable")
    assert ended(OUT, [table], [Entry(7, ALL, 0, (WWAN,)), nearer]) == (10, "unreachable")
    assert ended(OUT, [table], [Entry(7, ALL, 10, (WWAN,)), Entry(7, ALL, 20, (), "blackhole")]) is None


def test_ipv6_passes_a_tables_refusal_over_and_no_rules() -> None:
    flow = Flow(ip_address("2001:db8:5::2"), ip_address("2001:db8::1"), WWAN, "wwan0")
    assert ended(flow, [Rule(6, 10, 1, 7)], [Entry(7, ALL6, 0, (), "prohibit")]) is None
    assert ended(flow, [Rule(6, 10, 8, 0)], []) == (10, "prohibit")


@given(st.binary(max_size=120))
def test_no_message_is_too_odd(body: bytes) -> None:
    read_rule(body)
    read_entry(body)


@given(st.binary(min_size=0, max_size=100), st.sampled_from([2, 10]))
def test_no_attribute_is_too_odd(rest: bytes, family: int) -> None:
    head = bytes([family, 24, 24, 0, 7, 0, 0, 1, 0, 0, 0, 0])
    rule = read_rule(head + rest)
    assert rule is not None
    assert str(rule)
    rule.matches(OUT if family == 2 else Flow(ip_address("::2"), ip_address("::1"), 3))
    read_entry(head + rest)


INSIDE = """
import json, subprocess, sys
from phonecheck.link import netlink, policy

def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

for line in sys.argv[1:]:
    ip(*line.split())
ours = [rule for body in netlink.raw_rules() if (rule := policy.read_rule(body))]
entries = [entry for body in netlink.raw_routes() if (entry := policy.read_entry(body))]
print(json.dumps({
    "ours": [str(rule) for rule in ours],
    "theirs": [" ".join(line.split()) for family in ("-4", "-6") for line in ip(family, "rule").splitlines()],
    "refusals": [[e.table, str(e.network), e.metric, e.refusal, e.throws] for e in entries if e.refusal or e.throws],
}))
"""
RULES = [
    "rule add priority 10 from 10.64.0.2 lookup 112003",
    "rule add priority 11 not from all fwmark 0xca6c lookup 51820",
    "rule add priority 12 lookup main suppress_prefixlength 0",
    "rule add priority 2001 fwmark 0x100/0x3f00 lookup 1",
    "rule add priority 2002 fwmark 0x100/0x3f00 unreachable",
    "rule add priority 2003 iif lo to 10.0.0.0/8 blackhole",
    "rule add priority 2004 oif lo uidrange 0-0 prohibit",
    "rule add priority 2005 goto 32766",
    "-6 rule add priority 10 from 2001:db8:5::2 lookup 112003",
    "-6 rule add priority 11 from all to 2001:db8::/32 prohibit",
]
ROUTES = [
    "link set lo up",
    "route add prohibit default table 7 metric 9999",
    "route add throw 10.0.0.0/8 table 7",
    "-6 route add unreachable 2001:db8::/32 table 300 metric 5",
]


@pytest.mark.netns
def test_rules_are_read_and_written_as_ip_does() -> None:
    prefix = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    refused = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if refused.returncode:
        pytest.skip(f"no network namespaces here: {refused.stderr.strip()}")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(
        [*prefix, sys.executable, "-c", INSIDE, *RULES, *ROUTES],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    said = json.loads(done.stdout)
    assert said["ours"] == said["theirs"]
    assert [7, "0.0.0.0/0", 9999, "prohibit", False] in said["refusals"]
    assert [7, "10.0.0.0/8", 0, "", True] in said["refusals"]
    assert [300, "2001:db8::/32", 5, "unreachable", False] in said["refusals"]
