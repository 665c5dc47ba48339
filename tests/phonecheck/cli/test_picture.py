"""The picture of an outcome: fits, adds up, and shows nothing that must stay hidden."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

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


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_it_is_as_wide_as_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = [line for line in picture.of_outcome(OUTCOME).splitlines()[1:] if "c69bc0e6" not in line]
    assert max(map(len, lines)) <= columns
    assert any(line.endswith("487 ms") for line in lines) == (columns >= 60)


@pytest.mark.parametrize(
    ("word", "start"), [("no_match", "NO MATCH"), ("opened", "OPENED"), ("inconclusive", "INCONCLUSIVE")]
)
def test_each_outcome_has_its_verdict(word: str, start: str) -> None:
    error = CheckError("not-mobile-ip", "No.") if word == "inconclusive" else None
    text = picture.of_outcome(Outcome(word, PhoneNumber("447700900123"), error=error))  # type: ignore[arg-type]
    assert text.startswith(start)
