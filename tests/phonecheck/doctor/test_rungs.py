"""The ladder as a whole: its order, its names, and the page that lists it."""

from __future__ import annotations

from pathlib import Path

from phonecheck.doctor import rungs
from phonecheck.doctor.rungs import RUNGS

PAGE = Path(__file__).parents[3] / "docs/doctor.md"


def test_each_file_is_a_rung_and_each_rung_bears_its_files_name() -> None:
    files = {file.stem.replace("_", "-") for file in Path(next(iter(rungs.__path__))).glob("[a-z]*.py")}
    assert [rung.slug for rung in RUNGS] == list(dict.fromkeys(rung.slug for rung in RUNGS))
    assert {rung.slug for rung in RUNGS} == files
    for rung in RUNGS:
        assert rung.look.__module__.endswith(rung.slug.replace("-", "_"))


def test_each_comes_after_those_that_it_names() -> None:
    seen: set[str] = set()
    for rung in RUNGS:
        assert {*rung.needs, *rung.explained_by} <= seen, rung.slug
        assert not set(rung.needs) & set(rung.explained_by)
        seen.add(rung.slug)


def test_the_page_lists_them_as_they_are() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    rows = [(slug.strip("`"), needs, explained_by, traffic) for slug, _, needs, explained_by, traffic in cells]
    assert rows == [
        (r.slug, ", ".join(r.needs), ", ".join(r.explained_by), str(r.traffic) if r.traffic else "") for r in RUNGS
    ]
