"""What passes the report's door: nobody's identity, whatever the sources let through, and all that a vendor looks up."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.report.scrub import Surroundings, close

AROUND = Surroundings(
    frozenset({"annas-van", "anna", "pi", "raspberrypi", "device", "signal"}),
    {"eth0": (ip_network("10.11.12.0/24"), ip_network("2001:db8:7::/64")), "wwan0": (ip_network("10.64.0.0/30"),)},
)


def through(text: Any, **more: Any) -> Any:
    return close({"text": text, **more}, AROUND)["text"]


identities = st.text("0123456789", min_size=15, max_size=20)
around = st.text(min_size=0, max_size=12)
planted = st.one_of(
    st.tuples(
        identities,
        st.sampled_from(["{}", "imsi {}", "…{}!", "https://h.example/{}/x", "tel:+{}", "a{}b", "dead{}beef", "{}é"]),
    ),
    st.tuples(identities, st.sampled_from(["Bearer ey{}", "authorization: Token x{}", "cookie: sid=q{}", "token={}"])),
    st.tuples(identities, st.sampled_from(["https://h.example/p?x=a{}", "/p?code={}&b=1", "https://u{}:p@h.example/"])),
    st.tuples(st.text("0123456789", min_size=4, max_size=8), st.sampled_from(["pin={}", "PIN: {}", "puk = '{}'"])),
)


def nested(leaf: Any, keys: list[str]) -> Any:
    for n, key in enumerate(keys):
        leaf = [leaf, 1, None] if n % 3 == 2 else {key: leaf, f"k{n}": True}
    return leaf


@given(planted, around, around, st.lists(st.text(max_size=6), max_size=4), st.booleans())
def test_no_planted_identity_survives(
    plant: tuple[str, str], before: str, after: str, keys: list[str], in_key: bool
) -> None:
    secret, form = plant
    text = f"{before} {form.format(secret)} {after}"
    document = {"log": nested({text: 1} if in_key else text, keys)}
    shown = json.dumps(close(document, Surroundings()), ensure_ascii=False)
    # A PIN of four digits may stand there by chance, as somebody's …1234; not behind its name.
    hidden = secret if len(secret) >= 15 else rf"(?i)(?:pin|puk)\s*[:=]\s*'?{secret}"
    assert not re.search(hidden, shown), shown


@given(st.one_of(st.integers(min_value=10**9), st.integers(max_value=-(10**9)), st.floats(min_value=1e9)))
def test_a_number_that_may_be_somebodys_is_cut(number: float) -> None:
    shown = through(number)
    assert shown is None or re.fullmatch(r"….{0,4}", shown)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_whatever_comes_is_json_that_any_file_can_hold(value: Any) -> None:
    shown = json.dumps(close({"x": value}, AROUND), ensure_ascii=False, allow_nan=False)
    shown.encode()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize(
    "kept",
    [
        "c69bc0e6-a429-11ea-bb37-0242ac130002",
        "check 12345678-1234-4234-8234-00000000000a was begun",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "traceparent 00-4bf92f3577b1234567ce929d0e0e4736-00f0671234567b7a-01",
        "00f067aa0ba902b7",
        "2026-11-24T03:33:46Z",
        "10.64.0.2",
        "10.64.0.2/30 via 100.64.0.1",
        "203.0.113.10:443",
        "2a01:4f8::1",
        "127.0.0.1 and ::1",
        "Linux 6.12.47, ModemManager 1.24.0.1",
        "/sys/devices/platform/scb/usb1/1-1",
        "raspberrypi pi",
        "the app server takes this device",
        "sysctl -w net.ipv4.conf.wwan0.rp_filter=2",
        'the APN is "iot.example"',
    ],
)
def test_what_a_vendor_looks_up_stays(kept: str) -> None:
    assert through(kept) == kept


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("annas-van systemd[1]: Started", "… systemd[1]: Started"),
        ("owner Anna, /home/anna/agent.toml", "owner …, /home/…/agent.toml"),
        ("/home/jo/x", "/home/…/x"),
        ("on annas-van.example", "on ….example"),
        ("wlan0 b8:27:eb:01:02:0a up", "wlan0 … up"),
        ("b8-27-eb-01-02-0a", "…"),
        ("wwx0c5b8f279a64", "wwx…9a64"),
        ("default via 192.168.178.1 dev eth0", "default via … dev eth0"),
        ("from 10.11.12.13:8080.", "from …:8080."),
        ("2001:db8:7::99", "…"),
        ("fe80::1%eth0 and fd00::5", "… and …"),
        ("mail anna.b@home.example now", "mail …@… now"),
        ("447700900123", "…0123"),
        ("00000000000000000000447700900123", "…0123"),
        ("dead447700900123beef", "dead…0123beef"),
        ("a\x1b[31mb\u202ec", "a\ufffd[31mb\ufffdc"),
        (float("nan"), None),
        (3.14159, 3.142),
        (604800.0, 604800.0),
        (True, True),
    ],
)
def test_what_is_nobodys_business_goes(written: object, shown: object) -> None:
    assert through(written) == shown


@pytest.mark.parametrize("key", ["pin", "sim-puk", "server.token", "access_token", "PASSWORD", "Set-Cookie"])
def test_a_secret_is_known_by_its_key(key: str) -> None:
    document = {"facts": {key: "hush", "in": [{key: ["hush", 12345]}]}}
    assert close(document, AROUND) == {"facts": {key: "…", "in": [{key: ["…", "…"]}]}}


def test_what_is_told_of_a_secret_stays() -> None:
    told = {
        "retries": {"sim-pin": 3, "sim-puk": 10},
        "coverage_token": True,
        "server.token_file": "set",
        "code": "hop-timeout",
    }
    assert close(told, AROUND) == told


def test_an_address_that_is_the_links_stays_wherever_it_is_from() -> None:
    link = {"link": {"interface": "usb0", "addresses": ["192.168.8.100/24"], "gateways": ["192.168.8.1"]}}
    assert through("192.168.8.100 by 192.168.8.1, not 192.168.9.1", link=link) == "192.168.8.100 by 192.168.8.1, not …"


def test_a_network_of_the_link_is_not_elsewhere() -> None:
    around = Surroundings(networks={"usb0": (ip_network("10.5.0.0/16"),), "eth0": (ip_network("10.6.0.0/16"),)})
    document = {"log": ["10.5.1.1", "10.6.1.1"], "link": {"link": {"interface": "usb0"}}}
    assert close(document, around)["log"] == ["10.5.1.1", "…"]


def test_a_device_that_is_called_like_a_rung_leaves_the_ladder_readable() -> None:
    document = {"cause": "signal", "rungs": [{"slug": "signal", "words": "seen by signal"}]}
    assert close(document, AROUND) == {"cause": "signal", "rungs": [{"slug": "signal", "words": "seen by …"}]}


def test_a_text_without_end_is_cut() -> None:
    assert len(through("x" * 100_000)) < 9000
