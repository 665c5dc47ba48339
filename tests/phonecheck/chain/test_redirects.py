"""The limit, loops, destinations, and where a chain has arrived."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest

from phonecheck.chain.cookies import Jar
from phonecheck.chain.redirects import (
    Trail,
    answer_in_query,
    matches_redirect_url,
    refuse_address,
    refuse_scheme,
)
from phonecheck.chain.url import next_hop, parse_check_url
from phonecheck.errors import CheckError, ConfigError

START = parse_check_url("https://platform.example/check?id=1")


@pytest.mark.parametrize("most", [0, 1, 10])
def test_exactly_so_many_redirects(most: int) -> None:
    trail = Trail(most)
    trail.step(START, None)
    for n in range(most):
        trail.step(next_hop(START, b"/%d" % n), None)
    with pytest.raises(CheckError, match=f"more than {most} redirects") as caught:
        trail.step(next_hop(START, b"/more"), None)
    assert caught.value.code == "too-many-redirects"


def test_a_loop_is_found_at_its_first_return() -> None:
    trail = Trail(10)
    trail.step(START, None)
    trail.step(next_hop(START, b"/x"), None)
    with pytest.raises(CheckError) as caught:
        trail.step(START, None)
    assert caught.value.code == "redirect-loop"
    assert "id=1" not in caught.value.message


def test_a_return_with_a_new_cookie_is_no_loop() -> None:
    trail, jar = Trail(10), Jar()
    trail.step(START, jar.fingerprint())
    jar.store(START, ["probe=1"])
    trail.step(START, jar.fingerprint())
    with pytest.raises(CheckError, match="nothing changed"):
        trail.step(START, jar.fingerprint())


def test_cleartext_is_a_policy_and_never_the_first_hop() -> None:
    http = next_hop(START, b"http://he.example/")
    assert refuse_scheme(START, "refuse", first=True) is None
    assert refuse_scheme(http, "allow", first=False) is None
    assert "cleartext" in (refuse_scheme(http, "refuse", first=False) or "")
    assert "not https" in (refuse_scheme(http, "allow", first=True) or "")


OTHERS = (IPv4Network("192.168.8.0/24"), IPv6Network("2001:db8:8::/64"))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.0.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("::ffff:0.0.0.0", "unspecified"),
        ("255.255.255.255", "broadcast"),
        ("240.0.0.1", "reserved"),
        ("4000::1", "reserved"),
        ("::8.8.8.8", "reserved"),
        ("192.168.8.1", "other interfaces"),
        ("192.168.8.255", "other interfaces"),
        ("::ffff:192.168.8.1", "other interfaces"),
        ("2001:db8:8::1", "other interfaces"),
    ],
)
def test_refused_addresses(address: str, reason: str) -> None:
    assert reason in (refuse_address(ip_address(address), OTHERS) or "")


@pytest.mark.parametrize(
    "address",
    [
        "10.64.1.53",
        "100.64.0.1",
        "172.16.0.1",
        "192.168.9.1",
        "203.0.113.10",
        "192.0.0.4",
        "2001:db8:9::1",
        "fd00::1",
        "64:ff9b::cb00:710a",
        "64:ff9b:1::a41:b",
        "2606:4700::1111",
    ],
)
def test_a_carriers_addresses_are_fine(address: str) -> None:
    assert refuse_address(ip_address(address), OTHERS) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("2001:db8:46::7f00:1", "127.0.0.1 is a loopback"),
        ("2001:db8:46::a9fe:a9fe", "link-local"),
        ("2001:db8:46::c0a8:801", "192.168.8.1 is in a network of the device's other interfaces"),
        ("2001:db8:46::cb00:710a", None),
        ("2001:db8:8::cb00:710a", "2001:db8:8::cb00:710a is in a network of the device's other interfaces"),
    ],
)
def test_an_address_is_judged_by_the_ipv4_address_inside_too(address: str, reason: str | None) -> None:
    def inside(address: IPv6Address) -> IPv4Address:
        return IPv4Address(address.packed[12:])

    refused = refuse_address(ip_address(address), OTHERS, inside)
    assert refused is None if reason is None else reason in (refused or "")


@pytest.mark.parametrize(
    ("url", "own", "matches"),
    [
        ("https://app.example/done?code=1", "https://app.example/done", True),
        ("https://APP.example:443/done", "https://app.example/done", True),
        ("https://app.example/done/x", "https://app.example/done", True),
        ("https://app.example/done/", "https://app.example/done/", True),
        ("https://app.example/any", "https://app.example", True),
        ("https://app.example/done", "https://app.example/done?state=1", True),
        ("https://app.example/done", "https://app.example/done/", False),
        ("https://app.example/donext", "https://app.example/done", False),
        ("https://app.example/x/../other", "https://app.example/x", False),
        ("https://app.example:8443/done", "https://app.example/done", False),
        ("http://app.example/done", "https://app.example/done", False),
        ("https://app.example.evil.example/done", "https://app.example/done", False),
        ("https://x.app.example/done", "https://app.example/done", False),
    ],
)
def test_redirect_url(url: str, own: str, matches: bool) -> None:
    assert matches_redirect_url(next_hop(START, url.encode()), own) is matches


def test_a_redirect_url_that_is_none_is_a_setting_to_mend() -> None:
    with pytest.raises(ConfigError, match=r"server\.redirect_url has no host"):
        matches_redirect_url(START, "https:///x")


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("", {}),
        (
            "?code=94dae426fg&check_id=c1&reference_id=r%201&x=y",
            {"code": "94dae426fg", "check_id": "c1", "reference_id": "r 1"},
        ),
        ("?error=mno_redirect_unsupported&check_id=c1", {"error": "mno_redirect_unsupported", "check_id": "c1"}),
        ("?code=&check_id", {}),
        ("?code=a&code=b&check_id=c1", {"check_id": "c1"}),
        ("?code=a%0d%0ab&error=%00", {}),
        ("?CODE=a", {}),
    ],
)
def test_answer_in_query(query: str, answer: dict[str, str]) -> None:
    assert answer_in_query(next_hop(START, b"/done" + query.encode())) == answer
