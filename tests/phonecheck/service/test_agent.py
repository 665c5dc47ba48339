"""What happens when: the agent on a simulated device."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck import config
from phonecheck.errors import BearerError, CheckError, ServerError, ServiceError, SimError
from phonecheck.model import PhoneNumber
from phonecheck.service.model import Delivery, Finished, SeenSim
from simulated_device import TODAY, Device, Killed, close_all, one_after_the_other, printed

NOT_REGISTERED = printed(error=BearerError("not-registered", "No network."))
SIM_MISSING = printed(error=SimError("sim-missing", "No SIM."))
QUIET = config.Service(on_start=False, on_sim_change=False)
NUMBER = PhoneNumber.parse("+447700900123")


@pytest.fixture(autouse=True)
def _devices_closed() -> Iterator[None]:
    yield
    close_all()


def asked_to_wait(seconds: float) -> Finished:
    return printed(error=CheckError("rate-limited", "Too many.", retry_after=seconds))


def test_the_start_is_verified_reported_and_told_to_everybody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    device = Device()
    device.loop.run(1.0)
    (id_,) = device.witness.started
    assert device.agent.state == "checking"
    assert device.witness.words[-1] == "Checking at start"
    device.loop.run(10.0)
    assert device.agent.state == "idle"
    assert device.outcomes == [("start", "match")]
    assert [record.id for record in device.witness.completed] == [id_]
    assert list(device.courier.kept) == [id_]
    assert device.store.waiting == 0
    ((event, facts),) = device.witness.hooks
    assert event == "check-completed"
    assert facts["PHONECHECK_MATCH"] == "yes"
    assert facts["PHONECHECK_ID"] == id_
    (line,) = [record for record in caplog.records if hasattr(record, "fields")]
    assert line.levelno == logging.INFO
    assert line.getMessage() == "match in 500 ms (at start)"
    assert line.fields == {
        "PHONECHECK_ID": id_,
        "PHONECHECK_CHECK_ID": "c-1",
        "PHONECHECK_OUTCOME": "match",
        "PHONECHECK_ERROR": "",
        "PHONECHECK_TRIGGER": "start",
        "PHONECHECK_MS": "500.0",
    }
    assert device.witness.words[-1] == "match in 500 ms (at start); no check due"


def test_nothing_is_due_when_nothing_is_to_happen() -> None:
    device = Device(settings=QUIET)
    device.loop.run(60.0)
    turns = device.loop.turns
    assert device.loop.next_due is None
    device.loop.run(366 * 86400)
    assert device.loop.turns == turns
    assert device.checks.made == []
    assert device.agent.next_run == 0.0
    assert device.agent.healthy()


def test_the_schedule_goes_by_the_end_of_the_last_check_and_chance() -> None:
    device = Device(settings=config.Service(every=3600, jitter=600))
    device.loop.run(86400.0)
    times = [at for at, _ in device.checks.made]
    pauses = [later - (earlier + 2.0) for earlier, later in itertools.pairwise(times)]
    assert device.checks.triggers[1:] == ["schedule"] * len(pauses)
    assert all(3600 <= pause < 4200 for pause in pauses)
    assert max(pauses) - min(pauses) > 200
    assert TODAY + 86400 < device.agent.next_run < TODAY + 86400 + 4200


def test_a_failure_that_may_pass_is_tried_again_later_and_later_and_then_the_schedule_goes_on() -> None:
    answers = [NOT_REGISTERED] * 12 + [printed()]
    device = Device(one_after_the_other(*answers), settings=config.Service(every=86400))
    device.loop.run(15.0)
    assert device.agent.state == "waiting"
    device.loop.run(8 * 3600.0)
    assert device.checks.triggers == ["start"] + ["retry"] * 12
    times = [at for at, _ in device.checks.made]
    for n, (earlier, later) in enumerate(itertools.pairwise(times)):
        base = min(3600, 15 * 2**n)
        assert 0.5 * base <= later - (earlier + 2.0) < 1.5 * base
    assert device.agent.state == "idle"
    assert device.store.due("retry") is None
    assert device.agent.next_run > device.loop.wall()


def test_a_back_off_is_not_shortened_by_the_schedule() -> None:
    device = Device(lambda request: (2.0, NOT_REGISTERED), settings=config.Service(every=600))
    device.loop.run(86400.0)
    assert set(device.checks.triggers) == {"start", "retry"}
    assert len(device.checks.made) < 10 + 86400 / 1800


def test_a_failure_that_will_not_pass_is_not_tried_again() -> None:
    device = Device(lambda request: (2.0, printed(error=ServerError("server-rejected", "No."))))
    device.loop.run(86400.0)
    assert device.checks.triggers == ["start"]


def test_no_match_is_an_answer_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    device = Device(lambda request: (2.0, printed("no_match")))
    device.loop.run(86400.0)
    assert device.outcomes == [("start", "no_match")]
    assert [record.levelno for record in caplog.records if hasattr(record, "fields")] == [logging.WARNING]


@pytest.mark.parametrize(
    ("finished", "code"),
    [
        (Finished(signal=9), "check-killed"),
        (Finished(signal=15, hung=True), "check-hung"),
        (Finished(status=0, stdout=b"hello"), "check-garbled"),
        (Finished(status=1), "check-crashed"),
        (Finished(failed="no memory"), "check-crashed"),
    ],
)
def test_a_check_that_ends_in_no_answer_is_one_and_tried_again(finished: Finished, code: str) -> None:
    device = Device(one_after_the_other(finished, printed()))
    device.loop.run(60.0)
    assert device.outcomes == [("start", code), ("retry", "match")]
    assert len(device.courier.kept) == 2


# Retry-After


def test_nothing_that_nobody_asked_for_happens_before_a_retry_after() -> None:
    device = Device(one_after_the_other(asked_to_wait(5000), printed()))
    device.loop.run(10.0)
    device.sims.swap("s2")
    device.agent.modems_changed()
    device.loop.run(10.0)
    assert device.agent.state == "waiting"
    assert device.witness.swaps == ["iccid:…s2"]
    assert device.agent.next_run == pytest.approx(device.loop.wall() + 5000, abs=600)
    device.loop.run(4900.0)
    assert device.checks.triggers == ["start"]
    device.loop.run(600.0)
    assert device.checks.triggers == ["start", "sim-change"]
    device.loop.run(86400.0)
    assert device.checks.triggers == ["start", "sim-change"], "the retry has joined it"


def test_somebody_who_asks_does_not_wait_for_it_and_takes_along_what_waits() -> None:
    device = Device(one_after_the_other(asked_to_wait(5000), printed()))
    device.loop.run(10.0)
    device.sims.swap("s2")
    device.agent.modems_changed()
    device.loop.run(10.0)
    asked = device.agent.ask(None, None, None)
    device.loop.run(10.0)
    assert device.outcomes == [("start", "rate-limited"), ("sim-change", "match")]
    assert device.store.find(asked)
    device.loop.run(86400.0)
    assert len(device.checks.made) == 2


def test_a_retry_after_that_a_request_met_holds_the_automatic_ones_too() -> None:
    device = Device(one_after_the_other(printed(), asked_to_wait(5000), printed()), settings=config.Service(every=600))
    device.loop.run(10.0)
    device.agent.ask(None, NUMBER, None)
    device.loop.run(4990.0)
    assert device.checks.triggers == ["start", "request"]
    device.loop.run(700.0)
    assert device.checks.triggers[:3] == ["start", "request", "schedule"]


def test_a_retry_after_makes_another_try_of_a_failure_that_would_have_none() -> None:
    rejected = printed(error=ServerError("server-rejected", "Later.", retry_after=100))
    device = Device(one_after_the_other(rejected, printed()))
    device.loop.run(101.0)
    assert len(device.checks.made) == 1
    device.loop.run(15.0)
    assert device.checks.triggers == ["start", "retry"]


@pytest.mark.parametrize("off", [0.0, 1000.0])
@pytest.mark.parametrize("wall", [None, 0.0, 1000.0])
def test_a_retry_after_survives_the_power_and_a_clock_that_is_not_set(
    tmp_path: Path, off: float, wall: float | None
) -> None:
    device = Device(one_after_the_other(asked_to_wait(5000), printed()), directory=tmp_path)
    device.loop.run(10.0)
    right = device.loop.wall() + off
    device.switch_off(off, wall)
    device.loop.run(100.0)
    if wall is not None:
        device.set_clock(right + 100.0)
    device.loop.run(4800.0 - off)
    assert len(device.checks.made) == 1
    device.loop.run(5000 * 0.1 + 200)
    assert len(device.checks.made) == 2


# Requests


def test_who_asks_for_what_runs_joins_it_and_others_queue() -> None:
    device = Device(settings=QUIET)
    first = device.agent.ask(None, None, None)
    assert device.agent.ask(None, None, None) == first
    second = device.agent.ask(None, NUMBER, None)
    assert device.agent.ask(None, NUMBER, None) == second != first
    third = device.agent.ask("iccid:8944", NUMBER, 10.0)
    assert device.store.state(third) == "queued"
    device.loop.run(60.0)
    assert device.witness.started == [first, second, third]
    assert [record.id for record in device.witness.completed] == [first, second, third]


def test_the_ninth_that_queues_is_one_too_many() -> None:
    device = Device(settings=QUIET)
    for n in range(9):
        device.agent.ask(f"/dev/m{n}", None, None)
    with pytest.raises(ServiceError) as caught:
        device.agent.ask("/dev/m9", None, None)
    assert caught.value.code == "agent-busy"
    device.agent.ask("/dev/m8", None, None)
    device.loop.run(60.0)
    assert len(device.checks.made) == 9


def test_a_failure_of_a_request_is_for_who_asked() -> None:
    device = Device(lambda request: (2.0, NOT_REGISTERED), settings=QUIET)
    device.agent.ask(None, None, None)
    device.loop.run(86400.0)
    assert device.checks.triggers == ["request"]
    assert device.agent.state == "idle"


def test_a_trigger_that_joined_a_request_has_its_failure_tried_again() -> None:
    device = Device(
        one_after_the_other(NOT_REGISTERED, printed()), settings=config.Service(start_jitter=1.0, on_sim_change=False)
    )
    device.agent.ask(None, None, None)
    device.loop.run(60.0)
    assert device.checks.triggers == ["request", "retry"]


def test_a_match_on_request_ends_the_tries() -> None:
    device = Device(one_after_the_other(*[NOT_REGISTERED] * 8, printed()))
    device.loop.run(1500.0)
    tries = len(device.checks.made)
    assert tries < 8
    device.agent.ask(None, None, None)
    while len(device.checks.made) < 9:
        device.loop.run(3.0)
        device.agent.ask(None, None, None)
    device.loop.run(5.0)
    assert device.agent.state == "idle"
    assert device.agent.next_run == 0.0


def test_an_unknown_server_is_told_and_the_reload_that_names_it_begins() -> None:
    device = Device(start=False)
    device.configured = False
    device.start()
    device.loop.run(60.0)
    assert device.agent.state == "unconfigured"
    assert device.checks.made == []
    assert "server.url" in device.witness.words[-1]
    with pytest.raises(ServiceError) as caught:
        device.agent.ask(None, None, None)
    assert caught.value.code == "not-configured"
    device.configured = True
    device.configure()
    device.loop.run(10.0)
    assert device.outcomes == [("start", "match")]
    device.configured = False
    device.configure()
    assert device.agent.state == "unconfigured"
    device.loop.run(86400.0)
    assert len(device.checks.made) == 1


def test_a_reload_changes_the_schedule_only_where_it_is_another() -> None:
    device = Device(settings=config.Service(every=86400, jitter=0))
    device.loop.run(3600.0)
    due = device.agent.next_run
    device.configure(config.Service(every=86400, jitter=0, history=5))
    assert device.agent.next_run == due
    device.configure(config.Service(every=600, jitter=0))
    assert device.agent.next_run == pytest.approx(device.loop.wall() + 600)
    device.configure(config.Service(every=0))
    assert device.agent.next_run == 0.0
    device.loop.run(86400.0)
    assert len(device.checks.made) == 1


# SIMs and modems


def test_another_sim_is_verified_told_and_remembered() -> None:
    device = Device()
    device.loop.run(10.0)
    device.sims.swap("s2")
    for _ in range(20):
        device.agent.modems_changed()
        device.loop.run(0.05)
    reads = device.sims.reads
    device.loop.run(10.0)
    assert device.sims.reads == reads + 1, "changes come in flocks"
    assert device.outcomes == [("start", "match"), ("sim-change", "match")]
    assert device.witness.swaps == ["iccid:…s2"]
    assert ("sim-changed", {"PHONECHECK_EVENT": "sim-changed", "PHONECHECK_SIM": "iccid:…s2"}) in device.witness.hooks
    device.agent.modems_changed()
    device.loop.run(10.0)
    assert len(device.checks.made) == 2
    assert device.store.sims() == {"m1": "s2"}


def test_the_first_sim_of_a_device_is_no_change_where_it_was_there_at_the_start() -> None:
    device = Device()
    device.loop.run(10.0)
    assert device.outcomes == [("start", "match")]
    assert device.witness.swaps == []
    assert device.store.sims() == {"m1": "s1"}


def test_the_first_sim_of_a_device_is_one_where_it_comes_later() -> None:
    device = Device(start=False)
    device.sims.inside = []
    device.start()
    device.loop.run(10.0)
    device.sims.swap("s1")
    device.agent.modems_changed()
    device.loop.run(10.0)
    assert device.outcomes == [("start", "match"), ("sim-change", "match")]


def test_the_first_sim_of_a_modem_has_the_check_that_its_coming_had_made() -> None:
    device = Device(lambda request: (5.0, printed()), start=False)
    device.sims.inside = []
    device.start()
    device.loop.run(1.0)
    device.sims.swap("s1")
    device.agent.modems_changed()
    device.loop.run(30.0)
    assert device.outcomes == [("start", "match")]
    assert device.witness.swaps == ["iccid:…s1"]


def test_a_sim_that_was_swapped_while_the_service_was_off_is_found_at_the_start(tmp_path: Path) -> None:
    device = Device(settings=config.Service(on_start=False), directory=tmp_path)
    device.loop.run(10.0)
    assert device.checks.made == []
    device.sims.swap("s2")
    device.switch_off(60.0)
    device.loop.run(10.0)
    assert device.outcomes == [("sim-change", "match")]


def test_a_sim_that_comes_in_the_middle_of_a_check_gets_one_of_its_own() -> None:
    device = Device(lambda request: (20.0, printed()))
    device.loop.run(5.0)
    device.sims.swap("s2")
    device.agent.modems_changed()
    device.loop.run(5.0)
    asked = device.agent.ask(None, None, None)
    device.loop.run(60.0)
    assert device.checks.triggers == ["start", "sim-change"]
    assert device.witness.started[1] == asked, "the one that is about the new SIM"


def test_a_sim_that_comes_while_the_former_one_is_read_is_found() -> None:
    device = Device()
    device.loop.run(10.0)
    device.agent.modems_changed()
    device.sims.swap("s2")
    device.loop.run(2.0)
    device.sims.swap("s3")
    device.agent._swaps.look()
    device.loop.run(10.0)
    assert device.witness.swaps == ["iccid:…s2", "iccid:…s3"]
    assert device.store.sims() == {"m1": "s3"}


def test_a_sim_whose_check_is_another_one_is_remembered() -> None:
    device = Device(one_after_the_other(asked_to_wait(5000), printed()))
    device.loop.run(10.0)
    for name in ("s2", "s3"):
        device.sims.swap(name)
        device.agent.modems_changed()
        device.loop.run(10.0)
        assert device.store.sims() == {"m1": name}
    device.loop.run(6000.0)
    assert device.checks.triggers == ["start", "sim-change"]


def test_a_sim_that_is_away_for_a_while_is_the_same() -> None:
    device = Device()
    device.loop.run(10.0)
    for inside in ([], None, [SeenSim("m1", "s1", "iccid:…0001")]):
        device.sims.inside = inside
        device.agent.modems_changed()
        device.loop.run(10.0)
    assert len(device.checks.made) == 1


def test_sims_are_told_and_not_verified_where_that_is_not_wanted() -> None:
    device = Device(settings=QUIET)
    device.sims.swap("s2")
    device.agent.modems_changed()
    device.loop.run(10.0)
    assert device.witness.swaps == ["iccid:…s2"]
    assert device.store.sims() == {"m1": "s2"}
    assert device.checks.made == []


@pytest.mark.parametrize("failure", [NOT_REGISTERED, SIM_MISSING], ids=["worth another try", "not by itself"])
def test_a_failure_of_the_modem_is_tried_again_when_the_modems_change(failure: Finished) -> None:
    device = Device(one_after_the_other(*[failure] * 5, printed()))
    device.loop.run(3.0)
    device.agent.modems_changed()
    device.loop.run(3.0)
    assert device.checks.triggers == ["start", "retry"]


def test_a_pin_that_was_refused_is_not_tried_for_each_change() -> None:
    device = Device(lambda request: (2.0, printed(error=SimError("pin-refused", "Wrong."))))
    for _ in range(100):
        device.agent.modems_changed()
        device.loop.run(10.0)
    assert device.checks.triggers == ["start"]


def test_a_check_that_changes_the_modems_itself_is_not_its_own_reason_for_ever() -> None:
    device = Device(lambda request: (2.0, printed(error=BearerError("connect-failed", "Refused."))))

    def echo() -> None:
        device.agent.modems_changed()
        device.loop.later(1.0, echo)

    echo()
    device.loop.run(86400.0)
    assert device.checks.triggers.count("retry") < 86400 / 600 + 10
    times = [at for at, _ in device.checks.made]
    assert min(later - earlier for earlier, later in itertools.pairwise(times[1:])) >= 15.0


# The outbox


def test_a_server_that_is_away_gets_its_reports_in_order_when_it_is_back() -> None:
    device = Device(settings=config.Service(every=600, jitter=0))
    device.courier.answers = lambda report: Delivery(report.id, "failed", "server-unreachable")
    device.loop.run(7200.0)
    made = len(device.checks.made)
    assert made == len(device.store.outbox(500)) > 10
    device.courier.answers = lambda report: Delivery(report.id, "delivered")
    device.loop.run(1200.0)
    assert list(device.courier.kept) == device.witness.started[: len(device.courier.kept)]
    assert device.store.waiting == 0


def test_reports_are_tried_again_later_and_later() -> None:
    device = Device()
    device.courier.answers = lambda report: Delivery(report.id, "failed", "server-unreachable")
    device.loop.run(86400.0)
    pauses = [later - earlier for earlier, later in zip(device.courier.starts, device.courier.starts[1:], strict=False)]
    for n, pause in enumerate(pauses):
        base = min(3600, 30 * 2**n)
        assert 0.5 * base <= pause < 1.5 * base + 1


def test_reports_wait_for_a_retry_after_also_over_a_reboot_and_a_check_that_reached_the_server(tmp_path: Path) -> None:
    device = Device(directory=tmp_path)
    device.courier.answers = lambda report: Delivery(report.id, "failed", "server-rejected", 3000.0)
    device.loop.run(10.0)
    begun = device.courier.posts[0][0]
    device.agent.ask(None, None, None)
    device.loop.run(500.0)
    assert len(device.courier.posts) == 1
    device.courier.answers = lambda report: Delivery(report.id, "delivered")
    device.switch_off(100.0)
    device.loop.run(3000 - begun - 600.0)
    assert len(device.courier.posts) == 1
    device.loop.run(1000.0)
    assert device.store.waiting == 0
    assert len(device.courier.kept) == 3


@pytest.mark.parametrize("restarted", [False, True])
def test_an_answer_to_a_check_says_that_the_server_can_be_reached(tmp_path: Path, restarted: bool) -> None:
    device = Device(settings=QUIET, directory=tmp_path)
    device.courier.answers = lambda report: Delivery(report.id, "failed", "server-unreachable")
    device.agent.ask(None, None, None)
    device.loop.run(7200.0)
    assert device.store.waiting == 1
    if restarted:
        device.switch_off(1.0)
    device.courier.answers = lambda report: Delivery(report.id, "delivered")
    device.agent.ask(None, None, None)
    device.loop.run(10.0)
    assert device.store.waiting == 0


def test_a_report_that_is_refused_is_given_up_and_the_next_one_brought(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    device.courier.answers = lambda report: Delivery(report.id, "refused", "server-rejected")
    device.loop.run(10.0)
    assert device.store.waiting == 0
    assert device.store.dropped == 1
    assert any("given up" in record.getMessage() for record in caplog.records)


def test_a_courier_that_says_nothing_or_rubbish_is_tried_again() -> None:
    device = Device()
    device.courier.answers = lambda report: Delivery("another", "delivered")
    device.loop.run(30.0)
    assert device.store.waiting == 1
    device.courier.answers = lambda report: Delivery(report.id, "delivered")
    device.loop.run(3600.0)
    assert device.store.waiting == 0


def test_who_wants_no_reports_gets_none() -> None:
    device = Device(start=False)
    device.reports = False
    device.start()
    device.loop.run(60.0)
    assert device.outcomes == [("start", "match")]
    assert device.store.waiting == 0
    assert device.courier.starts == []


# The end, and ends that nobody wanted


def test_a_stop_lets_the_running_check_finish() -> None:
    device = Device(lambda request: (9.0, printed()))
    device.loop.run(1.0)
    ended: list[float] = []
    device.agent.stop(lambda: ended.append(device.loop.now()))
    with pytest.raises(ServiceError):
        device.agent.ask(None, None, None)
    device.loop.run(60.0)
    assert device.outcomes == [("start", "match")]
    assert len(ended) == 1
    assert device.store.waiting == 1, "the next start will bring it"
    assert device.loop.next_due is None


def test_a_stop_calls_off_a_check_that_takes_longer(tmp_path: Path) -> None:
    device = Device(lambda request: (100.0, printed()), directory=tmp_path)
    device.loop.run(1.0)
    ended: list[float] = []
    device.agent.stop(lambda: ended.append(device.loop.now()))
    device.loop.run(60.0)
    assert ended == [pytest.approx(111.3)]
    assert device.outcomes == [("start", "check-interrupted")]
    device.kill()
    device.loop.run(10.0)
    assert len(device.courier.kept) == 1


def test_a_short_retry_after_in_the_last_check_does_not_end_a_long_one(tmp_path: Path) -> None:
    device = Device(one_after_the_other(asked_to_wait(5000), asked_to_wait(10), printed()), directory=tmp_path)
    device.loop.run(10.0)
    device.agent.ask(None, NUMBER, None)
    device.agent.stop(lambda: None)
    device.loop.run(10.0)
    assert device.loop.next_due is None, "a stop leaves no timer behind"
    device.kill()
    device.loop.run(4900.0)
    assert device.checks.triggers == ["start", "request"]
    device.loop.run(700.0)
    assert device.checks.triggers[2:] in (["start"], ["retry"])


def test_a_second_stop_calls_it_off_at_once() -> None:
    device = Device(lambda request: (100.0, printed()))
    device.loop.run(1.0)
    ended: list[str] = []
    device.agent.stop(lambda: ended.append("first"))
    device.agent.stop(lambda: ended.append("second"))
    device.loop.run(1.0)
    assert ended == ["first"]


def test_a_stop_of_an_idle_agent_is_an_end_at_once_and_of_a_delivery_soon() -> None:
    device = Device()
    device.loop.run(2.1)
    assert device.courier.busy
    ended: list[str] = []
    device.agent.stop(lambda: ended.append("now"))
    assert ended == []
    device.loop.run(1.0)
    assert ended == ["now"]
    device = Device(settings=QUIET)
    device.agent.stop(lambda: ended.append("idle"))
    assert ended == ["now", "idle"]


def test_a_check_that_ran_when_the_power_went_is_told_and_tried_again_instead_of_the_start(tmp_path: Path) -> None:
    device = Device(lambda request: (5.0, printed()), directory=tmp_path)
    device.loop.run(3.0)
    queued = device.agent.ask(None, NUMBER, None)
    device.switch_off(60.0)
    device.loop.run(60.0)
    assert device.outcomes == [("start", "check-interrupted"), ("request", "match"), ("retry", "match")]
    assert len(device.courier.kept) == 3
    found = device.store.find(queued)
    assert found
    assert device.checks.made[1][1].number == NUMBER


def test_a_crash_that_checks_cause_is_answered_by_the_back_off(tmp_path: Path) -> None:
    device = Device(lambda request: (5.0, printed()), directory=tmp_path)
    for _ in range(1200):
        device.loop.run(1.0)
        if device.checks.running:
            device.kill()
    assert 3 < len(device.checks.made) < 12


@pytest.mark.parametrize("calls", range(1, 9))
def test_what_follows_from_an_outcome_is_not_lost_between_two_writes(tmp_path: Path, calls: int) -> None:
    device = Device(lambda request: (5.0, asked_to_wait(5000)), settings=QUIET, directory=tmp_path, mortal=True)
    device.configure(config.Service(on_start=False))
    device.loop.run(1.0)
    device.sims.swap("s2")
    device.agent.modems_changed()
    device.loop.run(4.0)
    assert device.agent.state == "checking"
    device.store.fuse = calls  # type: ignore[attr-defined]
    with contextlib.suppress(Killed):
        device.loop.run(60.0)
    device.kill()
    device.loop.run(1.0)
    assert device.agent.next_run, "another try is due"
    ((_, came),) = device.outcomes
    assert came in ("rate-limited", "check-interrupted")
    if came == "rate-limited":
        device.loop.run(4900.0)
        assert len(device.checks.made) == 1


def test_reports_that_were_brought_before_a_stop_are_not_brought_again(tmp_path: Path) -> None:
    device = Device(settings=config.Service(every=600), directory=tmp_path)
    device.courier.answers = lambda report: Delivery(report.id, "failed", "server-unreachable")
    device.loop.run(3000.0)
    device.courier.answers = lambda report: Delivery(report.id, "delivered")
    while not device.courier.kept:
        device.loop.run(0.1)
    device.agent.stop(lambda: None)
    device.loop.run(5.0)
    assert device.store.waiting > 2
    brought = set(device.courier.kept)
    device.courier.posts.clear()
    device.kill()
    device.loop.run(60.0)
    assert device.store.waiting == 0
    assert not brought & {id_ for _, id_ in device.courier.posts}


def test_a_schedule_survives_reboots_and_a_clock_that_comes_late(tmp_path: Path) -> None:
    device = Device(
        settings=config.Service(on_start=False, on_sim_change=False, every=86400, jitter=0), directory=tmp_path
    )
    device.loop.run(1.0)
    due = device.agent.next_run
    right = device.loop.wall()
    for _ in range(23):
        # No clock on board: it is 1970 until NTP has been heard.
        device.switch_off(600.0, 0.0)
        device.loop.run(30.0)
        right += 630.0
        device.set_clock(right)
        assert device.agent.next_run == pytest.approx(due, abs=2.0)
        device.loop.run(2000.0)
        right += 2000.0
    device.loop.run(due - right - 10.0)
    assert device.checks.made == []
    device.loop.run(20.0)
    assert device.checks.triggers == ["schedule"]


def test_a_clock_that_jumps_moves_nothing() -> None:
    device = Device(settings=config.Service(every=3600, jitter=0))
    device.loop.run(10.0)
    due = device.agent.next_run - device.loop.wall()
    for wall in (0.0, TODAY + 20 * 366 * 86400, 1e6, TODAY):
        device.set_clock(wall)
        assert device.agent.next_run - device.loop.wall() == pytest.approx(due)
    device.loop.run(3650.0)
    assert device.checks.triggers == ["start", "schedule"]


def test_a_suspend_counts_and_what_was_due_happens_at_its_end() -> None:
    device = Device(settings=config.Service(every=3600, jitter=0))
    device.loop.run(10.0)
    device.loop.suspend(86400.0)
    device.loop.run(10.0)
    assert device.checks.triggers == ["start", "schedule"]
    assert device.agent.healthy()


def test_a_check_that_cannot_even_be_started_is_an_outcome(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(request: object) -> tuple[float, Finished]:
        raise RuntimeError("a bug")

    device = Device(breaks)
    device.checks.start = breaks  # type: ignore[assignment,method-assign]
    device.loop.run(5.0)
    assert device.outcomes == [("start", "check-crashed")]
    assert device.agent.state == "waiting"
    assert any(record.exc_info for record in caplog.records)


def test_a_check_that_never_ends_is_not_healthy() -> None:
    device = Device(lambda request: (1e9, printed()))
    device.loop.run(3600.0)
    assert device.agent.healthy()
    device.loop.run(3 * 3600.0)
    assert not device.agent.healthy()


def test_a_timer_that_was_lost_is_not_healthy() -> None:
    device = Device(settings=config.Service(every=3600, jitter=0))
    device.loop.run(10.0)
    device.loop.end_process()
    device.loop.run(3600.0)
    assert device.agent.healthy()
    device.loop.run(3600.0)
    assert not device.agent.healthy()
