"""The waterfall of a chain: fits every terminal, adds up, and shows nothing that must stay hidden."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.cli.waterfall import waterfall

V6 = "2001:db8:1234:5678:9abc:def0:1234:5678"
TRACE = "4f1234567890abcd4f1234567890abcd"


def hop(n: int, url: str, ms: dict[str, float], **facts: Any) -> dict[str, Any]:
    path = {"peer": "203.0.113.10", "bound_to": "wwan0", "source": "10.64.0.2", "dns_server": "10.64.1.53"}
    return {"n": n, "url": url, "status": 302, **path, "tls": "TLSv1.3", "ms": ms, **facts}


HOPS = [
    hop(
        1,
        "https://api.platform.example/c/redirect?…",
        {"dns": 60, "connect": 61, "tls": 62, "first_byte": 63, "total": 246},
    ),
    hop(
        2,
        "http://he.mno.example/enrich?…",
        {"dns": 60, "connect": 60, "first_byte": 61, "total": 181},
        cleartext=True,
        tls=None,
        trace_ids={"x-orange-trace-id": TRACE},
    ),
    hop(3, "https://api.platform.example/c/return?…", {"first_byte": 60, "total": 60}, status=200, reused=True),
]


@pytest.mark.parametrize("columns", [20, 21, 40, 59, 60, 61, 80, 100, 120, 200, 500])
def test_it_fits(columns: int) -> None:
    lines = [line for line in waterfall(HOPS, columns).splitlines() if TRACE not in line]
    assert max(map(len, lines)) <= min(columns, 160)


@given(
    columns=st.integers(0, 250),
    hops=st.lists(
        st.fixed_dictionaries(
            {
                "n": st.integers(1, 11),
                "url": st.sampled_from(
                    ["https://a.example/", "http://" + "h" * 300 + "/", "https://[2001:db8::1]/", ""]
                ),
                "status": st.none() | st.integers(100, 599),
                "peer": st.sampled_from([None, "203.0.113.10", V6]),
                "ms": st.none()
                | st.dictionaries(st.sampled_from(["dns", "connect", "tls", "first_byte", "total"]), st.floats(0, 1e6)),
            }
        ),
        min_size=1,
        max_size=11,
    ),
)
def test_nothing_that_a_chain_can_be_is_too_wide_or_too_odd(hops: list[dict[str, Any]], columns: int) -> None:
    lines = [line for line in waterfall(hops, columns).splitlines() if V6 not in line]
    assert max(map(len, lines)) <= max(20, min(columns, 160))


def test_it_shows_where_the_time_went() -> None:
    head, first, second, trace, third, legend, common = waterfall(HOPS, 80).splitlines()
    assert [letter for n, letter in enumerate(first.split()[-1]) if letter != first.split()[-1][n - 1 : n]] == list(
        "dctw"
    )
    assert " ! he.mno.example " in second
    assert "t" not in second.split()[-1]
    assert " + api.platform.example " in third
    # A later hop begins where the one before it ended.
    assert third.index("w", 55) == second.rindex("w") + 1
    assert second.index("d", 55) == first.rindex("w") + 1
    assert trace.strip() == f"x-orange-trace-id: {TRACE}"
    assert "! cleartext, http" in legend
    assert common.strip() == "IPv4   all bound to wwan0   DNS server 10.64.1.53"
    assert head.endswith("487 ms")


def test_what_each_hop_did_has_columns_where_there_is_room() -> None:
    head, first, second, *_, proof = waterfall(HOPS, 120).splitlines()
    assert proof.strip() == "all bound to wwan0"
    assert head.split()[:9] == ["hop", "HTTP", "host", "peer", "scheme", "IP", "link", "TLS", "DNS"]
    assert first.split()[:9] == [
        "1",
        "302",
        "api.platform.example",
        "203.0.113.10",
        "https",
        "4",
        "wwan0",
        "1.3",
        "10.64.1.53",
    ]
    assert second.split()[5:8] == ["http", "4", "wwan0"]


def test_what_hops_do_not_have_in_common_is_said_of_each() -> None:
    hops = [HOPS[0], hop(2, "https://b.example/", {"total": 1}, peer=V6, bound_to="wwan1")]
    *_, facts, servers = waterfall(hops, 80).splitlines()
    assert facts.strip() == "IPv4 (hop 1); IPv6 (hop 2)   bound to wwan0 (hop 1); bound to wwan1 (hop 2)"
    assert servers.strip() == "DNS server 10.64.1.53"


@pytest.mark.parametrize("columns", [50, 80, 160])
def test_a_peer_is_shown_whole_wherever_it_fits(columns: int) -> None:
    assert V6 in waterfall([hop(1, "https://a.example/", {"total": 1}, peer=V6)], columns)


@pytest.mark.parametrize("columns", [20, 80])
def test_a_hop_that_failed_is_drawn_without_an_answer(columns: int) -> None:
    text = waterfall([{"n": 1, "url": "https://a.example/c", "status": None, "ms": {"total": 5000.0}}], columns)
    assert "---" in text
    assert "5000" in text
    assert "." in text.splitlines()[1 if columns == 80 else 2]


def test_an_instant_hop_still_has_a_mark() -> None:
    hops = [HOPS[0], hop(2, "https://a.example/", {"total": 0.01})]
    assert waterfall(hops, 80).splitlines()[2][-1] in ".|"


def test_no_path_and_no_query_is_shown() -> None:
    text = waterfall(HOPS, 200)
    for part in ("enrich", "redirect", "?"):
        assert part not in text


def test_it_is_plain_ascii_where_the_stream_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    text = waterfall([hop(1, "https://" + "h" * 90 + ".example/", {"total": 1})], 80)
    assert text.isascii()
    assert "hhh..." in text
    assert max(map(len, text.splitlines())) <= 80
