from __future__ import annotations

import json

import pytest

from phonecheck.cli.record import ago, as_object, line, stamp, told, when
from phonecheck.cli.status import page
from phonecheck.cli.via_service import show

NOW = 1_795_478_400.0
ERROR = {
    "code": "not-registered",
    "message": "The modem is searching.",
    "hint": "Wait.",
    "retryable": True,
    "retry_after": None,
    "exit_status": 4,
}


def result(outcome="match", error=None, **more):
    document = {
        "schema": 1,
        "outcome": outcome,
        "match": {"match": True, "no_match": False}.get(outcome),
        "check_id": "d2cfa55c",
        "phone_number": "…0123",
        "modem": {"id": "iccid:…8909", "operator": "Sandbox Mobile", "registration": "home", "technology": "lte"},
        "link": {"interface": "wwan0", "source": "10.64.0.2"},
        "hops": [{"n": n, "url": "https://a.example/", "status": status} for n, status in ((1, 302), (2, 200))],
        "ms": 512.4,
        "error": error,
    }
    found = {
        "id": "a" * 32,
        "trigger": "schedule",
        "outcome": outcome,
        "at": int(NOW) - 300,
        "ms": 512.4,
        "exit_status": {"match": 0, "no_match": 1}.get(outcome, 4),
        "document": json.dumps(document),
    }
    return found | ({"error_code": error["code"]} if error else {"operator": "Sandbox Mobile"}) | more


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW - 5, "5 s ago"),
        (NOW - 300, "5 min ago"),
        (NOW + 7200, "in 2 h"),
        (NOW - 86400 * 4, "4 d ago"),
        (NOW + 86400 * 400, "in 400 d"),
    ],
)
def test_how_far_away(at, words):
    assert ago(at, NOW) == words


@pytest.mark.parametrize("at", [0, -1, 1_000_000, 10**12])
def test_a_clock_that_was_not_set_is_not_shown(at):
    assert (when(at), stamp(at)) == ("-", None)


@pytest.mark.parametrize(
    ("at", "now", "words"),
    [
        (NOW - 5, NOW, "2026-11-23T23:59:55Z (5 s ago)"),
        (1_000_000, 1_000_005, "- (5 s ago)"),
        # The clock was set in between: 20 years between the two are none.
        (1_000_000, NOW, "-"),
        (NOW, 1_000_000, "2026-11-24T00:00:00Z"),
    ],
)
def test_no_distance_is_told_over_the_setting_of_the_clock(at, now, words):
    assert told(at, now) == words


def test_a_check_in_a_line():
    assert line(result(technology="lte", signal=67), NOW) == (
        "MATCH  2026-11-23T23:55:00Z (5 min ago)  512 ms  schedule  Sandbox Mobile  lte  67 %"
    )


def test_a_check_for_programs():
    found = as_object(result())
    assert found["at"] == "2026-11-23T23:55:00Z"
    assert found["result"]["check_id"] == "d2cfa55c"
    assert [found[key] for key in ("operator", "technology", "signal", "error_code")] == [
        "Sandbox Mobile",
        None,
        None,
        None,
    ]


def properties(**more):
    return {
        "State": "idle",
        "LastResult": result(),
        "NextRun": int(NOW) + 3600,
        "Version": "0.1.0",
        "Outbox": 2,
        "Dropped": 0,
        "Problem": "",
        "Totals": [("match", "", 17, 8.5)],
        "LastSuccess": int(NOW) - 300,
    } | more


def test_the_status_for_a_person():
    assert page(properties(), NOW).splitlines() == [
        "state    idle",
        "last     MATCH  2026-11-23T23:55:00Z (5 min ago)  512 ms  schedule  Sandbox Mobile",
        "next     2026-11-24T01:00:00Z (in 60 min)",
        "checks   17 match since the service's start",
        "reports  2 to bring",
        "version  0.1.0",
    ]


def test_the_status_of_a_service_that_has_done_nothing_yet():
    nothing = properties(
        State="unconfigured", LastResult={}, NextRun=0, Dropped=3, Problem="It is full.", Totals=[], LastSuccess=0
    )
    assert page(nothing, NOW).splitlines() == [
        "state    unconfigured",
        "problem  It is full.",
        "last     no check yet",
        "next     when it is asked for",
        "reports  2 to bring, 3 given up",
        "version  0.1.0",
    ]


def test_the_status_of_a_failure_has_its_cause_and_its_cure():
    failed = result("inconclusive", ERROR, error_message=ERROR["message"], error_hint=ERROR["hint"])
    lines = page(properties(LastResult=failed), NOW).splitlines()
    assert lines[2:4] == ["cause    The modem is searching. (not-registered)", "cure     Wait."]


@pytest.mark.parametrize("room", [200, 80, 41, 40, 39, 20])
def test_the_status_fits(room):
    failed = result(
        "inconclusive", ERROR, error_message="The modem is searching for a network. " * 3, error_hint="Wait."
    )
    text = page(properties(LastResult=failed), NOW, room)
    assert max(map(len, text.splitlines())) <= room
    everything = page(properties(LastResult=failed), NOW)
    assert "".join(text.split()) == "".join(everything.split()), "nothing is lost"


def test_the_services_answer(capsys):
    assert show(result(), as_json=False) == 0
    out, err = capsys.readouterr()
    answer, _, chain = out.partition("\n\n  hop ")
    assert answer.splitlines() == [
        "MATCH  The SIM in this device has the number …0123.",
        "",
        "  check  d2cfa55c",
        "  modem  iccid:…8909  Sandbox Mobile  home  lte",
        "  link   wwan0  10.64.0.2",
        "  time   512 ms, 2 hops",
    ]
    assert [line.split()[:3] for line in chain.splitlines()[1:3]] == [
        ["1", "302", "a.example"],
        ["2", "200", "a.example"],
    ]
    assert err == ""


def test_the_services_failure(capsys):
    assert show(result("inconclusive", ERROR), as_json=False) == 4
    out, err = capsys.readouterr()
    assert out.startswith("INCONCLUSIVE  Whether the SIM in this device has the number …0123 could not be found out.")
    assert err.splitlines()[1:] == [
        "phonecheck: The modem is searching.",
        "  cure  Wait.",
        "  code  not-registered (exit status 4, worth another try)",
    ]


def test_the_services_answer_for_programs(capsys):
    assert show(result("no_match"), as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "no_match"
