from __future__ import annotations

import json

from phonecheck_sandbox import world
from phonecheck_sandbox.counters import DESTINATIONS, REST, parse, ruleset


def test_every_interface_counts_every_destination():
    rules = ruleset(["lan0", "wwan0"])
    for interface in ("lan0", "wwan0"):
        assert f'oifname "{interface}" jump out_{interface}' in rules
        for destination in (*DESTINATIONS, *REST):
            assert f"counter {interface}/{destination} {{" in rules
            assert f'counter name "{interface}/{destination}"' in rules


def test_every_address_of_the_map_has_a_destination():
    known = {address for addresses in DESTINATIONS.values() for address in addresses}
    names = {*world.PUBLIC_NAMES.values(), *world.CARRIER_NAMES.values()}
    assert known >= {*names, *world.CARRIER_DNS, world.PUBLIC_DNS}
    assert known >= {*world.CARRIER_NAMES_6.values(), *world.CARRIER_DNS_6, *map(world.through_nat64, names)}


def test_a_listing_is_read_by_interface_and_destination():
    counter = {"family": "inet", "table": "t", "handle": 1, "bytes": 0}
    listing = {
        "nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"counter": {**counter, "name": "lan0/platform", "packets": 2}},
            {"counter": {**counter, "name": "wwan0/carrier-dns", "packets": 5}},
        ]
    }
    assert parse(json.dumps(listing)) == {"lan0": {"platform": 2}, "wwan0": {"carrier-dns": 5}}
