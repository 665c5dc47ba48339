"""Chains over the real link: limits, cookies, schemes, bodies, certificates, names."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from phonecheck_sandbox import world

LAB = f"https://{world.LAB_HOST}"
OWN = {"interface": "wwan0", "family": 4, "source": str(world.WWAN0.ip), "dns": [str(a) for a in world.CARRIER_DNS]}


def test_match_with_evidence_of_every_hop(device: Any) -> None:
    answer = device.verify()
    found = answer.json
    assert (answer.status, found["outcome"], found["match"], found["error"]) == (0, "match", True, None)
    assert found["link"] == OWN
    assert found["modem"]["operator_code"] == world.OPERATOR_CODE
    hosts = [hop["url"].split("/")[2] for hop in found["hops"]]
    assert hosts == [
        world.PLATFORM_HOST,
        world.MNO_START_HOST,
        world.MNO_ENRICH_HOST,
        world.MNO_IDENTITY_HOST,
        world.MNO_IDENTITY_HOST,
        world.PLATFORM_HOST,
    ]
    assert [hop["cleartext"] for hop in found["hops"]] == [False, False, True, False, False, False]
    assert {(hop["bound_to"], hop["source"]) for hop in found["hops"]} == {("wwan0", str(world.WWAN0.ip))}
    assert [hop["reused"] for hop in found["hops"]] == [False, False, False, False, True, True]
    assert {hop["dns_server"] for hop in found["hops"] if not hop["reused"]} <= set(OWN["dns"])
    assert any(hop["trace_ids"] for hop in found["hops"])
    assert found["hops"][0]["tls"] == "TLSv1.3"


def test_no_match_for_another_customers_number(device: Any) -> None:
    answer = device.verify(f"+{world.OTHER_SUBSCRIBER.msisdn}")
    assert (answer.status, answer.json["outcome"], answer.json["match"]) == (1, "no_match", False)


@pytest.mark.parametrize("number", [f"+{world.SUBSCRIBER.msisdn}", f"+{world.OTHER_SUBSCRIBER.msisdn}"])
def test_v01_asks_for_its_result(device: Any, settings: Any, number: str) -> None:
    device.set(platform_pending=2)
    answer = device.verify(number, env=settings("", protocol="v0.1"))
    assert answer.json["match"] is (number.endswith("0123"))
    assert answer.status == (0 if answer.json["match"] else 1)


def test_the_sims_own_number_is_verified_when_none_is_given(device: Any) -> None:
    answer = device.phonecheck("verify")
    assert (answer.status, answer.json["phone_number"]) == (0, "…0123")


def test_a_chain_that_ends_at_the_app_servers_redirect_url_hands_the_code_over_itself(
    device: Any, settings: Any
) -> None:
    device.set(platform_redirect_url=True)
    answer = device.verify(env=settings("", server=f'redirect_url = "{world.APP_REDIRECT_URL}"'))
    assert answer.status == 0, answer.stderr
    assert world.APP_SERVER_HOST not in {hop["url"].split("/")[2] for hop in answer.json["hops"]}


@pytest.mark.parametrize(("redirects", "code"), [(9, None), (10, None), (11, "too-many-redirects")])
def test_the_limit_is_exact(device: Any, redirects: int, code: str | None) -> None:
    answer = device.open(f"{LAB}/redirects/{redirects}")
    assert answer.code == code
    assert len(answer.json["hops"]) == (redirects + 1 if code is None else 11)
    assert answer.status == (0 if code is None else 6)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/loop", "redirect-loop"),
        ("/endless", "too-many-redirects"),
        ("/chunked", None),
        ("/split", None),
        ("/drip?ms=5", None),
        ("/drip?ms=2000", "hop-timeout"),
        ("/oversize", "response-too-large"),
        ("/endless-body", "response-too-large"),
        ("/header-flood", "response-too-large"),
        ("/gzip-bomb", None),
        ("/hang", "hop-timeout"),
        ("/reset", "platform-error"),
        ("/close", "platform-error"),
        ("/keepalive-close", None),
        ("/downgrade", None),
        ("/code-in-cleartext", "hop-refused"),
        ("/status/204", None),
        ("/status/404", "check-expired"),
        ("/status/418", "platform-error"),
        ("/problem/412", "not-mobile-ip"),
        ("/location?to=ftp%3A%2F%2Fx%2F", "hop-refused"),
        ("/location?to=%2Fjson%3Fa%3Db%20c&case=mixed&space=0", None),
        ("/location?to=json", None),
        ("/location?to=http%3A%2F%2F127.0.0.1%2F", "hop-refused"),
        ("/location?to=https%3A%2F%2F%5B%3A%3A1%5D%2F", "hop-refused"),
        ("/location?to=https%3A%2F%2F192.168.8.1%2F", "hop-refused"),
        ("/location?to=https%3A%2F%2Fuser%3Apw%40lab.mno.example%2F", "hop-refused"),
    ],
)
def test_what_a_hop_can_do(device: Any, settings: Any, path: str, code: str | None) -> None:
    answer = device.phonecheck("open", f"{LAB}{path}", env=settings("[chain]\nhop_timeout = 1.5\n"))
    assert answer.code == code, answer.json["error"]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        # /cookies/set sets lab_host, lab_default (path /cookies), lab_scoped (path /cookies/deep), lab_domain, lab_secure,
        # and others that are foreign or expired. Longer paths come first, then the older cookie (RFC 6265, 5.4).
        (f"{LAB}/cookies/expect", "lab_default=1,lab_host=1,lab_domain=1,lab_secure=1"),
        (f"{LAB}/cookies/deep/expect", "lab_scoped=1,lab_default=1,lab_host=1,lab_domain=1,lab_secure=1"),
        (f"{LAB}/cookies/deeper/expect", "lab_default=1,lab_host=1,lab_domain=1,lab_secure=1"),
        (f"{LAB}/elsewhere/expect", "lab_host=1,lab_domain=1,lab_secure=1"),
        (f"http://{world.LAB_HOST}/cookies/expect", "lab_default=1,lab_host=1,lab_domain=1"),
        (f"https://{world.LAB_OTHER_HOST}/expect", "lab_domain=1"),
    ],
)
def test_cookies_go_where_rfc_6265_says(device: Any, place: str, names: str) -> None:
    to = quote(f"{place}?names={quote(names, safe='')}", safe="")
    answer = device.open(f"{LAB}/cookies/set?to={to}")
    assert answer.json["hops"][-1]["status"] == 204, answer.json["error"]


def test_a_cookie_is_replaced_and_expired(device: Any) -> None:
    expect = f"/elsewhere/expect?names={quote('lab_host=2,lab_domain=1,lab_secure=1', safe='')}"
    answer = device.open(f"{LAB}/cookies/set?to={quote(f'/cookies/replace?to={quote(expect, safe=str())}', safe='')}")
    assert answer.json["hops"][-1]["status"] == 204
    expect = f"/elsewhere/expect?names={quote('lab_domain=1,lab_secure=1', safe='')}"
    answer = device.open(f"{LAB}/cookies/set?to={quote(f'/cookies/expire?to={quote(expect, safe=str())}', safe='')}")
    assert answer.json["hops"][-1]["status"] == 204


def test_schemes_may_change_back_and_forth(device: Any) -> None:
    plain = f"http://{world.LAB_HOST}"
    to = f"{plain}/json"
    for base in (LAB, plain, LAB):
        to = f"{base}/location?to={quote(to, safe='')}"
    answer = device.open(to)
    assert [hop["cleartext"] for hop in answer.json["hops"]] == [False, True, False, True]
    assert answer.status == 0


def test_cleartext_is_recorded_and_can_be_refused(device: Any, settings: Any) -> None:
    answer = device.open(f"{LAB}/downgrade")
    assert [hop["cleartext"] for hop in answer.json["hops"]] == [False, True, False]
    answer = device.phonecheck("open", f"{LAB}/downgrade", env=settings('[chain]\ncleartext = "refuse"\n'))
    assert answer.code == "hop-refused"


@pytest.mark.parametrize(
    ("host", "words"),
    [(world.WRONG_HOST, "not valid for"), (world.EXPIRED_HOST, "expired"), (world.UNKNOWN_CA_HOST, "issuer")],
)
def test_a_certificate_that_proves_nothing_is_refused(device: Any, host: str, words: str) -> None:
    answer = device.open(f"https://{host}/json")
    assert (answer.status, answer.code) == (6, "tls-failed")
    assert words in answer.json["error"]["message"]


@pytest.mark.parametrize("host", [world.TLS13_RESET_HOST, world.TLS13_SILENT_HOST])
def test_a_box_that_chokes_on_a_modern_hello_is_served_tls_1_2(device: Any, host: str) -> None:
    answer = device.open(f"https://{host}/json")
    assert answer.status == 0, answer.json["error"]
    assert answer.json["hops"][0]["tls"] == "TLSv1.2"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("", None),
        ("truncated", None),
        ("formerr", None),
        ("spoofed", None),
        ("first-silent", None),
        ("silent", "resolver-silent"),
        ("nxdomain", "name-not-found"),
        ("rebind-loopback", "hop-refused"),
        ("rebind-lan", "hop-refused"),
    ],
)
def test_names_are_the_carriers_dns_or_nothing(device: Any, fault: str, code: str | None) -> None:
    device.set(dns_fault=fault)
    answer = device.open(f"{LAB}/json")
    assert answer.code == code, answer.json["error"]
    if code is None:
        assert answer.json["hops"][0]["peer"] == str(world.LAB)


def test_one_dns_server_that_can_be_asked_is_enough_and_none_is_an_error(device: Any) -> None:
    answer = device.open(f"{LAB}/json", "--dns", "127.0.0.53", "--dns", str(world.CARRIER_DNS[1]))
    assert (answer.status, answer.json["link"]["dns"]) == (0, [str(world.CARRIER_DNS[1])])
    assert device.open(f"{LAB}/json", "--dns", "127.0.0.53").status == 5


def test_a_name_of_the_public_internet_alone_is_not_found(device: Any) -> None:
    answer = device.open("https://nowhere.example/")
    assert (answer.status, answer.code) == (5, "name-not-found")
    assert any(str(server) in answer.json["error"]["message"] for server in world.CARRIER_DNS)


def test_strict_reverse_path_filtering_is_named_before_anything_is_sent(device: Any, settings: Any) -> None:
    device.box.ctl("rp-filter", "1")
    try:
        answer = device.verify(env=settings('[link]\nroutes = "never"'))
        assert (answer.status, answer.code) == (5, "reply-filtered")
        assert not any(device.packets()["wwan0"].values())
        assert "rp_filter" in answer.json["error"]["hint"]
    finally:
        device.box.ctl("rp-filter", "2")


def test_a_link_that_is_down_is_gone(device: Any) -> None:
    device.box.ctl("link-down")
    try:
        answer = device.open(f"{LAB}/json")
        assert (answer.status, answer.code) == (5, "interface-gone")
    finally:
        device.box.ctl("disconnect")
        device.box.ctl("connect")


def test_an_interface_that_modemmanager_does_not_manage(device: Any) -> None:
    answer = device.verify("+" + world.SUBSCRIBER.msisdn, "--interface", "wwan0", "--dns", str(world.CARRIER_DNS[0]))
    assert (answer.status, answer.json["modem"]) == (0, None)
    answer = device.verify("+" + world.SUBSCRIBER.msisdn, "--interface", "wwan0")
    assert (answer.status, answer.code) == (3, "bad-setting")
    answer = device.verify("+" + world.SUBSCRIBER.msisdn, "--interface", "wwan7", "--dns", "10.64.1.53")
    assert (answer.status, answer.code) == (5, "interface-gone")
