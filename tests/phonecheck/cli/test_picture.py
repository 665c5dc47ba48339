"""The picture of an outcome: fits, adds up, and shows nothing that must stay hidden."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Interface, IPv6Address

import pytest

from phonecheck.cli import picture
from phonecheck.errors import CheckError
from phonecheck.model import Hop, Link, Modem, Outcome, Path, PhoneNumber, Registration, Sim, Timings
from phonecheck.redact import Identity

PATH = Path("wwan0", IPv4Address("10.64.0.2"), IPv4Address("203.0.113.10"), 443)
HOPS = (
    Hop(1, "https://api.platform.example/c/redirect", 302, PATH, timings=Timings(60, 61, 62, 63, 246)),
    Hop(
        2,
        "http://he.mno.example/enrich?msisdn=447700900123",
        303,
        PATH,
        cleartext=True,
        timings=Timings(60, 60, None, 61, 181),
    ),
    Hop(
        3,
        "https://api.platform.example/c/return?token=t",
        200,
        PATH,
        reused=True,
        timings=Timings(first_byte=60, total=60),
    ),
)
MODEM = Modem(
    "/m",
    operator_name="Sandbox Mobile",
    operator_code="00101",
    registration=Registration.HOME,
    technologies=("lte",),
    signal=67,
    sim=Sim("/s", Identity("8944001012345678909")),
)
OUTCOME = Outcome(
    "match",
    PhoneNumber("447700900123"),
    "c69bc0e6-a429-11ea-bb37-0242ac130002",
    MODEM,
    Link("wwan0", (IPv4Interface("10.64.0.2/30"),), dns=(IPv4Address("10.64.1.53"),)),
    HOPS,
    200,
    600.0,
)


def test_the_answer_is_a_verdict_the_facts_and_the_hops() -> None:
    text = picture.of_outcome(OUTCOME)
    assert text.startswith("MATCH  The SIM in this device has the number …0123.")
    for fact in (
        "iccid:…8909",
        "Sandbox Mobile (00101)",
        "67 %",
        "wwan0",
        "10.64.0.2",
        "DNS 10.64.1.53",
        "api.platform.example",
    ):
        assert fact in text
    for secret in ("447700900123", "8944001012345678909", "token", "msisdn"):
        assert secret not in text


@pytest.mark.parametrize("columns", [60, 80, 100, 120])
def test_the_waterfall_fits(columns: int) -> None:
    lines = picture.waterfall(HOPS, columns).splitlines()
    assert len(lines) == len(HOPS) + 3
    assert max(map(len, lines[:-2])) <= columns
    assert max(map(len, lines)) <= 80 or columns > 80


@pytest.mark.parametrize("columns", [50, 60, 80, 100])
def test_ipv6_peers_give_way_where_they_do_not_fit(columns: int) -> None:
    peer = IPv6Address("2001:db8:1234:5678:9abc:def0:1234:5678")
    path = Path("wwan0", IPv6Address("2001:db8::2"), peer, 443)
    hops = tuple(dataclasses.replace(hop, path=path) for hop in HOPS)
    text = picture.waterfall(hops, columns)
    assert max(map(len, text.splitlines()[:-2])) <= columns
    assert (str(peer) in text) == (columns >= 100)


def test_the_waterfall_shows_where_the_time_went() -> None:
    head, first, second, third, legend, bound = picture.waterfall(HOPS, 100).splitlines()
    bar = first.split()[-1]
    assert bar.startswith("d")
    assert [letter for n, letter in enumerate(bar) if letter != bar[n - 1 : n]] == list("dctw")
    assert " ! " in second
    assert "t" not in second.split()[-1]
    assert " + " in third
    # A later hop begins where the one before it ended.
    assert third.index("w", 60) > second.rindex("w") - 2
    assert "cleartext" in legend
    assert bound.strip() == "all bound to wwan0"
    assert head.rstrip().endswith("487 ms")


def test_a_hop_that_failed_is_drawn_without_an_answer() -> None:
    text = picture.waterfall((Hop(1, "https://api.platform.example/c", timings=Timings(total=5000.0)),), 80)
    assert "---" in text
    assert "5000" in text


def test_an_instant_hop_still_has_a_mark() -> None:
    hops = (HOPS[0], Hop(2, "https://a.example/", 200, PATH, timings=Timings(total=0.01)))
    assert "|" in picture.waterfall(hops, 80).splitlines()[2]


@pytest.mark.parametrize(
    ("word", "start"), [("no_match", "NO MATCH"), ("opened", "OPENED"), ("inconclusive", "INCONCLUSIVE")]
)
def test_each_outcome_has_its_verdict(word: str, start: str) -> None:
    error = CheckError("not-mobile-ip", "No.") if word == "inconclusive" else None
    text = picture.of_outcome(Outcome(word, PhoneNumber("447700900123"), error=error))  # type: ignore[arg-type]
    assert text.startswith(start)
