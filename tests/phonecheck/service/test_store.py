"""What the store remembers, as long as the disk works: on disk and, by choice, in memory."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck.errors import ServiceError
from phonecheck.service import schema
from phonecheck.service.model import Due, Request, SeenSim
from phonecheck.service.store import Limits
from store_device import DOCUMENT, NOW, NUMBER, Device, make

DAY = 86400.0


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "state")
    yield device
    device.close()


@pytest.fixture(params=["disk", "memory"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "state" if request.param == "disk" else None)
    yield device
    device.close()


def test_a_check_goes_its_way(either: Device) -> None:
    store = either.store()
    request = Request("request", modem="iccid:…8909", number=NUMBER, timeout=12.5)
    assert store.state(request.id) is None
    store.accept(request)
    assert store.state(request.id) == "queued"
    assert store.pending() == ([request], [])
    either.pass_time(5)
    store.begin(request.id)
    assert store.state(request.id) == "running"
    assert store.pending() == ([], [request])
    either.pass_time(30)
    record = store.complete(request.id, DOCUMENT, report=True)
    assert (record.id, record.trigger, record.at, record.document) == (request.id, "request", NOW + 5, DOCUMENT)
    assert store.state(request.id) == "done"
    assert store.pending() == ([], [])
    assert store.find(request.id) == record == store.history(0)[0]
    (report,) = store.outbox(50)
    assert report.id == request.id
    assert report.body == {
        "report": request.id,
        "trigger": "request",
        "at": "2027-01-15T08:00:05Z",
        "outcome": DOCUMENT,
    }
    assert store.waiting == 1
    store.delivered(request.id)
    assert (store.outbox(50), store.waiting, store.dropped) == ([], 0, 0)
    assert store.find(request.id) == record
    assert store.problem == ""


def test_all_of_it_is_there_after_a_restart(device: Device) -> None:
    first = device.store()
    queued, running = Request("start"), Request("sim-change", number=NUMBER, timeout=3)
    first.accept(queued, sims=[SeenSim("modem", "sim", "iccid:…1")])
    first.accept(running)
    first.begin(running.id)
    made = make(first)
    first.set_due("retry", Due(NOW + 60, 60.0, tries=2, code="not-registered"))
    salt, history, outbox = first.salt, first.history(0), first.outbox(9)
    first.close()
    second = device.store()
    assert second.pending() == ([queued], [running])
    assert second.sims() == {"modem": "sim"}
    assert second.due("retry") == Due(NOW + 60, 60.0, tries=2, code="not-registered")
    assert (second.salt, second.history(0), second.outbox(9)) == (salt, history, outbox)
    assert second.state(made) == "done"
    assert not device.said


def test_a_check_is_completed_once(either: Device) -> None:
    store = either.store()
    id_ = make(store)
    store.delivered(id_)
    again = store.complete(id_, {"outcome": "inconclusive"}, report=True)
    assert again.document == DOCUMENT
    assert len(store.history(0)) == 1
    assert store.waiting == 0


def test_the_last_match_is_found(either: Device) -> None:
    store = either.store()
    assert store.last_match() is None
    made = [make(store), make(store), make(store, outcome="no_match", match=False, check_id='"outcome":"match"')]
    found = store.last_match()
    assert found is not None
    assert found.id == made[1]


def test_a_check_that_was_never_accepted_is_a_mistake_and_costs_nothing(device: Device) -> None:
    store = device.store()
    with pytest.raises(LookupError):
        store.complete("nobody", DOCUMENT, report=True)
    assert make(store)
    assert store.problem == ""


def test_a_check_that_ends_before_it_was_begun_has_the_time_of_its_end(either: Device) -> None:
    store = either.store()
    request = Request("request")
    store.accept(request)
    either.pass_time(9)
    assert store.complete(request.id, DOCUMENT, report=False).at == NOW + 9
    assert store.waiting == 0


def test_a_document_with_what_json_does_not_know_is_kept(either: Device) -> None:
    store = either.store()
    id_ = make(store, ms=float("nan"), message="\ud800 …")
    found = store.find(id_)
    assert found is not None
    assert (found.document["ms"], found.document["message"]) == (None, "\ud800 …")


def test_an_error_code_that_cannot_be_written_is_no_damage(device: Device) -> None:
    store = device.store()
    store.set_due("retry", Due(float("nan"), float("nan"), 1, "\ud800"))
    assert store.due("retry") == Due(0.0, 0.0, 1, "?")
    assert store.problem == ""


def test_history_is_pruned_by_number_and_reports_outlive_it(either: Device) -> None:
    store = either.store(Limits(history=3, outbox_size=10))
    kept = make(store)
    ids = [make(store, report=False) for _ in range(5)]
    assert [record.id for record in store.history(0)] == ids[:1:-1]
    assert [record.id for record in store.history(2)] == ids[:2:-1]
    assert [report.id for report in store.outbox(50)] == [kept]
    store.delivered(kept)
    assert store.find(kept) is None
    assert store.state(ids[0]) is None
    store.limits = Limits(history=1)
    last = make(store)
    assert [record.id for record in store.history(0)] == [last]


def test_a_full_outbox_gives_up_its_oldest_and_counts_them(device: Device) -> None:
    store = device.store(Limits(outbox_size=2))
    ids = [make(store) for _ in range(5)]
    assert [report.id for report in store.outbox(50)] == ids[3:]
    assert (store.waiting, store.dropped) == (2, 3)
    assert len(device.said) == 3
    store.refused(ids[3])
    store.refused(ids[3])
    store.refused(ids[0])
    store.delivered(ids[4])
    store.refused(ids[4])
    store.close()
    again = device.store()
    assert (again.waiting, again.dropped) == (0, 4)


def test_old_reports_are_given_up_and_counted(either: Device) -> None:
    store = either.store(Limits(outbox_age=7 * DAY))
    make(store)
    either.pass_time(3 * DAY)
    younger = make(store)
    either.pass_time(4 * DAY + 1)
    assert [report.id for report in store.outbox(50)] == [younger]
    assert store.dropped == 1
    assert either.said == ["1 report given up, too old or too many for the outbox."]


def test_the_outbox_is_read_in_portions(either: Device) -> None:
    store = either.store()
    ids = [make(store) for _ in range(4)]
    assert [report.id for report in store.outbox(3)] == ids[:3]


@pytest.mark.parametrize("jump", [57 * 365 * DAY, -20 * 365 * DAY])
def test_the_clock_may_jump_by_years(either: Device, jump: float) -> None:
    store = either.store(Limits(outbox_age=7 * DAY))
    old = make(store)
    either.pass_time(6 * DAY)
    store.set_due("schedule", Due(either.time + 600, 600.0))
    either.time += jump
    store.clock_set(jump)
    assert [report.id for report in store.outbox(9)] == [old]
    found = store.find(old)
    assert found is not None
    assert found.at == pytest.approx(max(0.0, NOW + jump))
    due = store.due("schedule")
    assert due is not None
    assert (due.at, due.left) == (pytest.approx(either.time + 600), 600.0)
    store.clock_set(jump)  # told again, or of a row that was written after the jump: nothing moves
    assert store.find(old) == found
    either.pass_time(DAY + 1)
    assert store.outbox(9) == []


def test_a_report_of_a_clock_that_was_never_set_has_no_time(device: Device) -> None:
    device.time = 3600.0
    store = device.store()
    make(store)
    assert store.outbox(1)[0].body["at"] is None
    device.time = NOW
    store.clock_set(NOW - 3600)
    assert store.outbox(1)[0].body["at"] == "2027-01-15T08:00:00Z"


def test_reports_of_former_boots_are_aged_by_the_wall_clock_where_it_can_be_believed(device: Device) -> None:
    limits = Limits(outbox_age=7 * DAY)
    first = device.store(limits)
    id_ = make(first)
    first.close()
    # No clock that keeps time: it wakes in 1970, then hears of NTP three days later.
    device.reboot(at=30.0)
    second = device.store(limits)
    assert [report.id for report in second.outbox(1)] == [id_]
    device.time = NOW + 3 * DAY
    second.clock_set(NOW)
    assert [report.id for report in second.outbox(1)] == [id_]
    assert second.outbox(1)[0].body["at"] == "2027-01-15T08:00:00Z"
    second.close()
    device.reboot(at=NOW + 8 * DAY)
    third = device.store(limits)
    assert third.outbox(1) == []
    assert third.dropped == 1


def test_reports_of_a_boot_that_never_knew_the_time_age_from_the_next_boot(device: Device) -> None:
    limits = Limits(outbox_age=7 * DAY)
    device.time = 40.0
    first = device.store(limits)
    id_ = make(first)
    first.close()
    device.reboot(at=NOW)
    second = device.store(limits)
    assert [report.id for report in second.outbox(1)] == [id_]
    device.pass_time(7 * DAY)
    assert second.outbox(1) == []


def test_what_is_due_is_told_by_the_boot_clock_within_a_boot(device: Device) -> None:
    device.time = 40.0
    first = device.store()
    first.set_due("retry", Due(device.time + 100, 100.0, tries=1, code="hop-timeout"))
    first.close()
    device.pass_time(30)
    device.time = NOW  # while nobody was here
    second = device.store()
    assert second.due("retry") == Due(NOW + 70, 70.0, tries=1, code="hop-timeout")
    second.close()
    device.reboot(at=NOW + 50)
    third = device.store()
    assert third.due("retry") == Due(NOW + 70, 100.0, tries=1, code="hop-timeout")
    third.set_due("retry", None)
    assert third.due("retry") is None
    assert third.due("delivery") is None


def test_a_clock_in_the_far_future_makes_no_time_that_cannot_be_written(either: Device) -> None:
    either.time = 1e17
    store = either.store()
    make(store)
    assert str(store.outbox(1)[0].body["at"]).startswith("2242-")
    assert store.problem == ""


def test_sims_are_remembered_while_their_modems_are_away(device: Device) -> None:
    store = device.store()
    store.remember([SeenSim("a", "1", ""), SeenSim("b", "2", "")])
    store.remember([SeenSim("b", "3", "")])
    store.remember([])
    assert store.sims() == {"a": "1", "b": "3"}
    for n in range(40):
        store.remember([SeenSim(f"modem-{n}", "x", "")])
    assert len(store.sims()) == 32
    assert "modem-39" in store.sims()


def test_the_salt_is_made_once(device: Device) -> None:
    first = device.store()
    salt = first.salt
    assert len(salt) == 32
    first.close()
    assert device.store().salt == salt
    other = Device(None)
    assert other.store().salt != salt
    other.close()


def test_only_its_owner_may_read_it(device: Device) -> None:
    assert device.directory is not None
    store = device.store()
    make(store)
    file = device.directory / "agent.db"
    for there in device.directory.iterdir():
        assert stat.S_IMODE(there.stat().st_mode) == 0o600, there
    assert stat.S_IMODE(device.directory.stat().st_mode) == 0o700
    store.close()
    file.chmod(0o644)
    device.store()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_numbers_are_on_disk_only_while_they_are_queued(device: Device) -> None:
    assert device.directory is not None
    directory = device.directory

    def on_disk() -> bool:
        return any(NUMBER.digits.encode() in file.read_bytes() for file in directory.iterdir())

    store = device.store()
    request = Request("request", number=NUMBER)
    store.accept(request)
    assert on_disk()
    store.begin(request.id)
    store.complete(request.id, DOCUMENT, report=True)
    assert not on_disk()
    store.close()
    assert not on_disk()


def test_one_service_uses_the_directory(device: Device) -> None:
    first = device.store()
    with pytest.raises(ServiceError) as raised:
        device.store()
    assert raised.value.code == "already-running"
    first.close()
    device.store()


def test_it_is_written_through(device: Device) -> None:
    assert device.directory is not None
    store = device.store()
    make(store)
    store.close()
    with sqlite3.connect(device.directory / "agent.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert schema.version(connection) == schema.VERSION
    connection.close()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


TO_ZERO_POINT_FIVE = ("CREATE TABLE notes (text TEXT)", "INSERT INTO notes VALUES ('kept')")


def test_an_older_database_is_migrated_step_by_step(connection: sqlite3.Connection) -> None:
    schema.migrate(connection, [TO_ZERO_POINT_FIVE])
    assert schema.version(connection) == 1
    more = [("ALTER TABLE notes ADD COLUMN at REAL NOT NULL DEFAULT 0",), ("UPDATE notes SET at = 7",)]
    schema.migrate(connection, [TO_ZERO_POINT_FIVE, *more])
    assert schema.version(connection) == 3
    assert connection.execute("SELECT text, at FROM notes").fetchall() == [("kept", 7.0)]
    schema.migrate(connection, [TO_ZERO_POINT_FIVE])
    assert schema.version(connection) == 3


def test_a_migration_that_fails_leaves_what_was_there(connection: sqlite3.Connection) -> None:
    schema.migrate(connection, [TO_ZERO_POINT_FIVE])
    broken = [TO_ZERO_POINT_FIVE, ("DELETE FROM notes", "ALTER TABLE nowhere ADD COLUMN x")]
    with pytest.raises(sqlite3.Error):
        schema.migrate(connection, broken)
    assert schema.version(connection) == 1
    assert connection.execute("SELECT text FROM notes").fetchall() == [("kept",)]


def test_an_artificial_version_0_is_brought_to_this_one_with_what_it_holds(device: Device) -> None:
    assert device.directory is not None
    device.directory.mkdir()
    with sqlite3.connect(device.directory / "agent.db") as old:
        old.execute("CREATE TABLE of_before (text)")
        old.execute("INSERT INTO of_before VALUES ('kept')")
    old.close()
    store = device.store()
    make(store)
    store.close()
    with sqlite3.connect(device.directory / "agent.db") as new:
        assert schema.version(new) == schema.VERSION
        assert new.execute("SELECT text FROM of_before").fetchall() == [("kept",)]
    new.close()
    assert not device.said
