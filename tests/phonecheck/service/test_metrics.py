"""The metrics, read by a parser that takes nothing but what the format's page allows."""

from __future__ import annotations

import logging
import math
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.service.metrics import exposition
from phonecheck.service.metricsfile import MetricsFile
from phonecheck.service.model import Record
from phonecheck.service.tally import Tally

# https://prometheus.io/docs/instrumenting/exposition_formats/ and "Data model", with the escapes of a label's value.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
SUFFIXES = {"summary": ("_sum", "_count"), "counter": ("",), "gauge": ("",)}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Samples:
    """The samples; anything that a strict reader would stumble over is an error."""
    assert text.endswith("\n")
    found: Samples = {}
    seen: set[str] = set()
    family = kind = ""
    for line in text[:-1].split("\n"):
        assert line == line.strip(), repr(line)
        if line.startswith("# HELP "):
            family, _, words = line.removeprefix("# HELP ").partition(" ")
            assert re.fullmatch(NAME, family)
            assert family not in seen, f"{family} is there twice"
            assert words
            assert "\\" not in words
            seen.add(family)
            kind = ""
        elif line.startswith("# TYPE "):
            name, _, kind = line.removeprefix("# TYPE ").partition(" ")
            assert name == family, "a type without its help"
            assert kind in SUFFIXES
            assert kind != "counter" or name.endswith("_total")
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, repr(line)
            assert kind, "a sample before its type"
            assert sample[1] in [family + suffix for suffix in SUFFIXES[kind]]
            labels = tuple(
                (label, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value))
                for label, value in re.findall(LABEL, sample[2] or "")
            )
            assert len(dict(labels)) == len(labels)
            assert (sample[1], labels) not in found, f"{line} is there twice"
            value = float(sample[7])
            assert math.isfinite(value)
            assert kind != "counter" or value >= 0
            found[sample[1], labels] = value
    return found


def properties(**more: Any) -> dict[str, Any]:
    return {
        "State": "waiting",
        "LastResult": {"id": "1f2e", "outcome": "inconclusive", "at": 1800000000, "ms": 512.4, "signal": 67},
        "NextRun": 0,
        "Version": "0.1.0",
        "Outbox": 2,
        "Dropped": 1,
        "Problem": "",
        "Totals": [("inconclusive", "hop-timeout", 3, 15.25), ("match", "", 17, 8.5)],
        "LastSuccess": 1799990000,
    } | more


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"phonecheck_{name}", tuple(labels.items())))


def test_all_that_the_service_knows() -> None:
    found = parse(exposition(properties()))
    assert value(found, "checks_total", outcome="match", code="") == 17
    assert value(found, "checks_total", outcome="inconclusive", code="hop-timeout") == 3
    assert value(found, "checks_total", outcome="no_match", code="") == 0
    assert value(found, "check_seconds_sum") == 23.75
    assert value(found, "check_seconds_count") == 20
    assert value(found, "last_check_seconds") == 0.5124
    assert value(found, "last_check_timestamp_seconds") == 1800000000
    assert value(found, "last_success_timestamp_seconds") == 1799990000
    assert value(found, "signal_percent") == 67
    assert value(found, "outbox_reports") == 2
    assert value(found, "reports_dropped_total") == 1
    states = {dict(labels)["state"]: on for (name, labels), on in found.items() if name == "phonecheck_state"}
    assert states == {"unconfigured": 0, "idle": 0, "checking": 0, "waiting": 1}
    assert value(found, "problem") == 0
    assert value(found, "info", version="0.1.0") == 1


def test_a_service_that_has_done_nothing_yet() -> None:
    found = parse(exposition(properties(LastResult={}, Totals=[], LastSuccess=0, Problem="It is full.")))
    assert value(found, "checks_total", outcome="match", code="") == 0
    assert value(found, "last_check_timestamp_seconds") == 0
    assert value(found, "last_check_seconds") is None
    assert value(found, "signal_percent") is None
    assert value(found, "problem") == 1


def test_nothing_of_a_result_but_its_numbers() -> None:
    told = properties()["LastResult"] | {"operator": "Sandbox Mobile", "document": "secret", "check_id": "d2cf"}
    text = exposition(properties(LastResult=told))
    assert not re.search("Sandbox|secret|d2cf|1f2e", text)


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.dictionaries(st.tuples(st.sampled_from(["match", "inconclusive"]), texts), st.integers(0, 2**40), max_size=5),
    texts,
    st.floats(0, 1e9),
)
def test_whatever_a_code_is_made_of(counted: dict[tuple[str, str], int], version: str, seconds: float) -> None:
    totals = [(*pair, count, seconds) for pair, count in counted.items()]
    found = parse(exposition(properties(Totals=totals, Version=version)))
    for (outcome, code), count in counted.items():
        assert value(found, "checks_total", outcome=outcome, code=code) == count
    assert value(found, "info", version=version) == 1


@pytest.mark.parametrize(
    "text",
    [
        "# TYPE a gauge\na 1\n",
        '# HELP a b\n# TYPE a gauge\na{b="c"d"} 1\n',
        "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a b\n# TYPE a gauge\nb 1\n",
        "# HELP a b\n# TYPE a counter\na 1\n",
        "# HELP a b\n# TYPE a gauge\na 1",
    ],
)
def test_the_parser_is_strict(text: str) -> None:
    with pytest.raises(AssertionError):
        parse(text)


# What is counted.


def record(outcome: str = "match", code: str = "", ms: float = 500.0, id: str = "1", at: float = 1e9) -> Record:  # noqa: A002
    match = {"match": True, "no_match": False}.get(outcome)
    error = {"code": code, "exit_status": 6} if code else None
    return Record(id, "schedule", at, {"outcome": outcome, "match": match, "ms": ms, "error": error})


@dataclass
class Listening:
    told: list[str] = field(default_factory=list)
    tally: Any = None

    def check_started(self, id: str) -> None:  # noqa: A002
        self.told.append(f"started {id}")

    def check_completed(self, record: Record) -> None:
        self.told.append(f"completed {record.id} of {sum(count for *_, count, _ in self.tally.totals)}")

    def sim_changed(self, shown: str) -> None:
        self.told.append(shown)

    def changed(self) -> None:
        self.told.append("changed")


def a_tally(
    last: Record | None = None, find: Callable[[str], Record | None] = lambda _: None
) -> tuple[Tally, Listening]:
    listening = Listening()
    listening.tally = Tally(listening, lambda: listening.told.append("also"), last, find)
    return listening.tally, listening


def test_counts_by_outcome_and_code() -> None:
    tally, _ = a_tally()
    for each in (record(), record(ms=250.0), record("no_match"), record("inconclusive", "hop-timeout", 5000.0)):
        tally.check_completed(each)
    assert tally.totals == [
        ("inconclusive", "hop-timeout", 1, 5.0),
        ("match", "", 2, 0.75),
        ("no_match", "", 1, 0.5),
    ]


def test_counted_before_it_is_told() -> None:
    tally, listening = a_tally()
    tally.check_started("1")
    tally.check_completed(record())
    tally.sim_changed("iccid:…1234")
    tally.changed()
    assert listening.told == ["started 1", "completed 1 of 1", "iccid:…1234", "changed", "also"]


def test_codes_without_end_are_one() -> None:
    tally, _ = a_tally()
    for n in range(1000):
        tally.check_completed(record("inconclusive", f"code-{n}"))
    assert len(tally.totals) <= 201
    assert sum(count for *_, count, _ in tally.totals) == 1000


def test_the_last_match_is_remembered_and_follows_the_clock() -> None:
    rows = {"2": record(id="2", at=100.0)}
    tally, _ = a_tally(record(id="1", at=1800000000.0), rows.get)
    assert tally.last_match == 1800000000.0
    tally.clock_set()  # the former boot's row is forgotten
    assert tally.last_match == 1800000000.0
    tally.check_completed(rows["2"])
    tally.check_completed(record("no_match", id="3", at=200.0))
    assert tally.last_match == 100.0
    rows["2"] = record(id="2", at=1800000500.0)
    tally.clock_set()
    assert tally.last_match == 1800000500.0


# The file.


class Turns:
    """A loop whose turn comes when the test says so."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def soon(self, do: Callable[[], None]) -> None:
        self._due.append(do)

    def turn(self) -> int:
        due, self._due = self._due, []
        for do in due:
            do()
        return len(due)


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def facts() -> dict[str, Any]:
    return properties()


@pytest.fixture
def written(turns: Turns, facts: dict[str, Any]) -> MetricsFile:
    return MetricsFile(turns, lambda: facts)  # type: ignore[arg-type]  # of the loop it wants no more


def test_written_once_for_many_changes(
    written: MetricsFile, turns: Turns, facts: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "phonecheck.prom"
    written.configure(file)
    written.changed()
    written.changed()
    assert turns.turn() == 1
    assert file.read_text() == exposition(facts)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert turns.turn() == 0
    former = file.open()
    facts["Outbox"] = 9
    written.changed()
    turns.turn()
    assert file.read_text() == exposition(facts) != former.read(), "the reader of the former one has it whole"
    former.close()
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_readable_for_others_whatever_the_umask(written: MetricsFile, turns: Turns, tmp_path: Path) -> None:
    import os

    former = os.umask(0o077)
    try:
        written.configure(tmp_path / "a.prom")
        turns.turn()
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "a.prom").stat().st_mode) == 0o644


def test_gone_with_the_service_and_with_its_setting(written: MetricsFile, turns: Turns, tmp_path: Path) -> None:
    one, two = tmp_path / "one.prom", tmp_path / "two.prom"
    written.configure(one)
    turns.turn()
    written.configure(two)
    turns.turn()
    assert not one.exists()
    assert two.exists()
    written.changed()
    written.close()
    assert not two.exists()
    turns.turn()
    assert not two.exists(), "what was due is not done any more"
    written.changed()
    assert turns.turn() == 0


def test_none_is_written_where_none_is_wanted(written: MetricsFile, turns: Turns) -> None:
    written.configure(None)
    written.changed()
    assert turns.turn() == 0


@pytest.mark.parametrize("missing", ["directory", "is one", "a file is"])
def test_what_cannot_be_written_is_one_warning(
    written: MetricsFile, turns: Turns, tmp_path: Path, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "there" / "phonecheck.prom"
    if missing == "is one":
        file.mkdir(parents=True)
    elif missing == "a file is":
        file.parent.write_text("")
    with caplog.at_level(logging.DEBUG):
        written.configure(file)
        for _ in range(3):
            turns.turn()
            written.changed()
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert str(file) in caplog.messages[0]
    if missing == "directory":
        file.parent.mkdir()
        turns.turn()
        assert file.exists()
        file.unlink()
        file.parent.rmdir()
        written.changed()
        turns.turn()
        assert len(caplog.records) == 2, "after a success it is news again"


def test_what_lies_in_the_way_is_not_written_through(written: MetricsFile, turns: Turns, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / ".a.prom.new").symlink_to(other)
    (tmp_path / "a.prom").symlink_to(other)
    written.configure(tmp_path / "a.prom")
    turns.turn()
    assert other.read_text() == "mine"
    assert not (tmp_path / "a.prom").is_symlink()
