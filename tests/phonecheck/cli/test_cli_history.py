"""The table of `history` and the line below it, at any width and in any alphabet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.cli import table
from phonecheck.cli.record import table as table_of
from phonecheck.cli.trend import bar, counts, curve, trend

NOW = 1_795_478_400


def check(n: int = 0, outcome: str = "match", **more: Any) -> dict[str, Any]:
    return {
        "id": f"{n:032x}",
        "trigger": "schedule",
        "outcome": outcome,
        "at": NOW - n * 3600,
        "ms": 512.4,
        "exit_status": 0,
        "document": "{}",
        "operator": "Sandbox Mobile",
        "technology": "lte",
        "signal": 67,
    } | more


def failed(n: int = 0, code: str = "not-registered", **more: Any) -> dict[str, Any]:
    return check(n, "inconclusive", error_code=code, **more)


def without(result: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in keys}


MANY = [check(0), failed(1), check(2, "no_match"), failed(3, "number-operator-mismatch", ms=30211.0)]


def test_wide_enough_for_all() -> None:
    assert table_of(MANY[:2], 200) == [
        "when                  outcome        ms  trigger   operator        tech  signal  error",
        "2026-11-24T00:00:00Z  MATCH         512  schedule  Sandbox Mobile  lte     67 %",
        "2026-11-23T23:00:00Z  INCONCLUSIVE  512  schedule  Sandbox Mobile  lte     67 %  not-registered",
    ]


def test_in_80_columns() -> None:
    assert table_of(MANY, 80) == [
        "when         outcome          ms  tech  signal  error",
        "11-24 00:00  MATCH           512  lte     67 %",
        "11-23 23:00  INCONCLUSIVE    512  lte     67 %  not-registered",
        "11-23 22:00  NO MATCH        512  lte     67 %",
        "11-23 21:00  INCONCLUSIVE  30211  lte     67 %  number-operator-mismatch",
    ]


def test_in_40_columns_the_reason_is_the_last_to_go() -> None:
    assert table_of(MANY, 40)[3:] == [
        "11-23 22:00  NO MATCH",
        "11-23 21:00  INCONCLUSIVE  number-opera…",
    ]


def test_in_20_columns() -> None:
    assert table_of(MANY, 20) == [
        "when   outcome",
        "00:00  MATCH",
        "23:00  INCONCLUSIVE",
        "22:00  NO MATCH",
        "21:00  INCONCLUSIVE",
    ]


def test_what_is_not_known_has_no_column_and_a_clock_that_was_not_set_no_time() -> None:
    bare = without(check(at=0), "operator", "technology", "signal")
    assert table_of([bare], 80) == ["when  outcome   ms  trigger", "-     MATCH    512  schedule"]


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)


@given(
    st.lists(
        st.builds(
            lambda n, operator, code, ms: failed(n, code, ms=ms, operator=operator) if code else check(n, ms=ms),
            st.integers(0, 10**6),
            names,
            st.sampled_from(["", "hop-timeout", "number-operator-mismatch"]),
            st.floats(0, 1e7),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(20, 200),
)
def test_no_line_is_longer_than_there_is_room(results: list[dict[str, Any]], room: int) -> None:
    below = trend(results, room, "utf-8").splitlines()
    assert max(map(table.width, [*table_of(results, room), *below])) <= room


def test_the_trend_in_one_line() -> None:
    results = [*(check(n) for n in range(17)), failed(17, ms=1305.0), failed(18), failed(19, "hop-timeout", signal=41)]
    assert trend(results, 160, "utf-8") == (
        "last 20: 17 match, 3 inconclusive (2 not-registered, 1 hop-timeout)"
        "  ms 512-1305 ▄▄█▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  signal 41-67 ▄▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆"
    )


def test_the_trend_in_more_lines() -> None:
    results = [check(ms=250.0), failed(1, ms=1000.0), without(check(2, ms=500.0), "signal")]
    assert trend(results, 44, "utf-8").splitlines() == [
        "last 3: 2 match, 1 inconclusive (1",
        "  not-registered)",
        "ms 250-1000 ▅█▃  signal 67  ▆▆",
    ]
    assert trend(results, 20, "utf-8").splitlines()[-2:] == ["ms 250-1000 ▅█▃", "signal 67  ▆▆"]


def test_the_newest_are_shown_where_there_is_not_room_for_all() -> None:
    results = [check(n, ms=100.0 * (n + 1)) for n in range(100)]
    assert trend(results, 30, "utf-8").splitlines()[-2] == "ms 100-1500 ██▇▇▆▆▅▅▄▄▃▃▂▂▁"


def test_plain_characters_where_there_are_no_blocks() -> None:
    text = trend([check(n, ms=100.0 * (n + 1)) for n in range(8)], 80, "ascii")
    assert text.isascii()
    assert "ms 100-800 ##*+=-:.  signal 67 ++++++++" in text
    assert bar(50, 10, "latin-1") == "#####-----"
    assert bar(50, 10, "utf-8") == "█████░░░░░"


def test_without_any_signal_it_has_no_curve() -> None:
    assert "signal" not in trend([without(check(), "signal")], 80, "utf-8")


@pytest.mark.parametrize(("value", "level"), [(0, "▁"), (12.4, "▁"), (12.5, "▂"), (99, "█"), (100, "█"), (250, "█")])
def test_levels(value: float, level: str) -> None:
    assert curve([value], 100.0, "utf-8") == level


def test_counts_name_the_commonest_reason_first() -> None:
    assert counts([failed(1, "b"), failed(2, "a"), failed(3, "b"), check(4)]) == "1 match, 3 inconclusive (2 b, 1 a)"


@given(names, st.integers(1, 20), st.sampled_from(["…", "..."]))
def test_cut_text_fits(text: str, room: int, dots: str) -> None:
    shown = table.cut(text, room, dots)
    assert table.width(shown) <= room
    assert shown == text or table.width(text) > room


def test_wide_signs_are_two_columns() -> None:
    assert table.width("中国移动") == 8
    assert table.cut("中国移动", 6) == "中国…"
    assert table.width("e\N{COMBINING ACUTE ACCENT}") == 1
