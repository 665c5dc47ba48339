from __future__ import annotations

import pytest

from phonecheck_sandbox.conditions import APN_ACCESS, APP_FAULTS, DNS_FAULTS, PLATFORM_CERTS, Conditions


def test_pairs_change_what_they_name_and_nothing_else():
    read = Conditions.parse(["radio-rtt=60", " dns_fault = silent ", "mno_loop=yes"], Conditions(platform_ttl=2))
    assert read == Conditions(radio_rtt=60.0, dns_fault="silent", mno_loop=True, platform_ttl=2)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("colour=red", "unknown condition 'colour'"),
        ("radio_rtt", "unknown condition"),
        ("radio_rtt=fast", "takes a number"),
        ("radio_rtt=nan", "from 0 to 600000"),
        ("radio_wake=inf", "from 0 to 600000"),
        ("radio_jitter=-1", "from 0 to 600000"),
        ("radio_loss=100.1", "from 0 to 100"),
        ("radio_rate=-1", "from 0 to"),
        ("platform_ttl=0", "from 1 to 3600"),
        ("platform_pending=-1", "from 0 to"),
        ("mno_extra_hops=1e3", "takes a number"),
        ("platform_status=200", "HTTP status from 400 to 599, or 0"),
        ("platform_create_status=99999", "HTTP status"),
        ("mno_status=100", "HTTP status from 200"),
        ("dns_fault=sillent", "silent, first-silent"),
        ("app_fault=finish-down", "finish-500"),
        ("radio_mtu=-1", "from 0 to"),
        ("apn_access=open", "portal, portal-tls, filtered"),
        ("platform_cert=bad", "expired, not-yet-valid"),
        ("device_clock=-30000", "from -20000 to 20000"),
        ("device_bind_refused=perhaps", "yes or no"),
        ("mno_loop=maybe", "yes or no"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_with_what_can(pair: str, said: str):
    with pytest.raises(ValueError, match=r"condition|takes") as refusal:
        Conditions.parse([pair])
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "pair",
    [
        *(f"dns_fault={word}" for word in DNS_FAULTS),
        *(f"app_fault={word}" for word in APP_FAULTS),
        *(f"apn_access={word}" for word in APN_ACCESS),
        *(f"platform_cert={word}" for word in PLATFORM_CERTS),
        *(f"platform_status={status}" for status in (0, 400, 404, 409, 412, 429, 500, 501)),
        "mno_status=302",
        "radio_loss=100",
        "dns_fault=",
    ],
)
def test_every_word_that_is_named_is_taken(pair: str):
    Conditions.parse([pair])
