"""The store on disks that fail: missing, read-only, full, damaged, replaced, a newer phonecheck's."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck.service import databasefile, schema
from phonecheck.service.model import Due, Request, SeenSim
from phonecheck.service.store import Limits, Store
from store_device import DOCUMENT, NOW, NUMBER, Device, make

LIVES = "in memory only, and lost when it ends."
LOW_BYTE_OF_VERSION = 63


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "state")
    yield device
    device.close()


def there(device: Device) -> Path:
    assert device.directory is not None
    return device.directory


def names(device: Device) -> set[str]:
    return {file.name for file in there(device).iterdir()}


def use(store: Store) -> None:
    """Do everything there is, once."""
    store.pending()
    ids = {record.id for record in store.history(0)}
    for id_ in ids:
        assert store.find(id_)
    for report in store.outbox(2):
        store.delivered(report.id)
    for report in store.outbox(1):
        store.refused(report.id)
    for name in ("schedule", "retry", "delivery"):
        store.due(name)
    store.set_due("schedule", Due(NOW, 1.0))
    store.sims()
    store.remember([SeenSim("modem", "sim", "")])
    request = Request("request", number=NUMBER)
    store.accept(request)
    assert store.state(request.id) == "queued"
    store.begin(request.id)
    assert store.complete(request.id, DOCUMENT, report=True).trigger == "request"
    store.clock_set(0)
    assert store.waiting >= 1
    assert store.dropped >= 0
    assert store.state(request.id) == "done"


# Where it cannot be written


def test_a_directory_that_cannot_be_made_leaves_it_in_memory_and_is_said_once(tmp_path: Path) -> None:
    device = Device(tmp_path / "missing" / "state")
    store = device.store()
    before = make(store)
    use(store)
    assert store.problem.endswith(LIVES)
    assert len(device.warned) == 1
    salt, history, outbox = store.salt, store.history(0), store.outbox(99)
    (tmp_path / "missing").mkdir()
    after = make(store)
    assert store.problem == ""
    assert [len(device.said), len(device.warned)] == [2, 1]
    store.close()
    again = device.store()
    assert again.salt == salt
    assert [record.id for record in again.history(0)] == [after, *(record.id for record in history)]
    assert [report.id for report in again.outbox(99)] == [*(report.id for report in outbox), after]
    assert again.find(before)
    device.close()


@contextlib.contextmanager
def full() -> Iterator[None]:
    """No file of this process may grow beyond its first 40 KB; Python ignores the signal, and the write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_it_in_memory_with_all_that_there_was_until_it_is_mended(device: Device) -> None:
    store = device.store()
    reported, waiting = make(store), make(store)
    queued, running = Request("start"), Request("request", number=NUMBER)
    store.accept(queued, sims=[SeenSim("modem", "sim", "")])
    store.accept(running)
    store.begin(running.id)
    store.refused(make(store))
    salt = store.salt
    with full():
        ids = [make(store, padding="x" * 3000) for _ in range(30)]
        assert LIVES in store.problem
        store.delivered(reported)
        store.refused(ids[0])
        store.complete(running.id, DOCUMENT, report=True)
        assert store.pending() == ([queued], [])
        assert store.sims() == {"modem": "sim"}
        assert store.dropped == 2
        assert store.salt == salt
        assert len(device.warned) == 1
    store.begin(queued.id)
    assert store.problem == ""
    store.close()
    again = device.store()
    assert again.pending() == ([], [queued])
    assert [report.id for report in again.outbox(99)] == [waiting, *ids[1:], running.id]
    assert again.dropped == 2
    assert {record.id for record in again.history(0)} >= {reported, waiting, running.id, *ids}
    assert again.sims() == {"modem": "sim"}
    assert len(device.warned) == 1


def test_what_was_never_read_is_joined_by_what_memory_holds(device: Device) -> None:
    first = device.store()
    old = make(first)
    first.refused(make(first))
    first.close()
    there(device).rename(away := there(device).with_name("away"))
    there(device).write_text("a file where the directory should be")
    second = device.store()
    new = make(second)
    second.refused(make(second))
    assert (second.dropped, LIVES in second.problem) == (1, True)
    there(device).unlink()
    away.rename(there(device))
    last = make(second)
    assert second.problem == ""
    assert [report.id for report in second.outbox(9)] == [old, new, last]
    assert second.dropped == 2


def test_a_check_that_was_made_in_memory_is_no_request_on_disk(device: Device) -> None:
    request = Request("request", number=NUMBER)
    first = device.store()
    first.accept(request)
    first.close()
    there(device).rename(away := there(device).with_name("away"))
    there(device).write_text("a file where the directory should be")
    second = device.store()
    second.accept(request)
    second.complete(request.id, DOCUMENT, report=True)
    there(device).unlink()
    away.rename(there(device))
    make(second)
    assert second.problem == ""
    assert second.pending() == ([], [])
    assert second.state(request.id) == "done"


def test_history_in_memory_is_bounded(tmp_path: Path) -> None:
    device = Device(tmp_path / "missing" / "state")
    store = device.store(Limits(history=1000, outbox_size=3))
    for _ in range(230):
        make(store, report=False)
    assert len(store.history(0)) == 200
    device.close()


def test_a_database_that_is_deleted_under_it_is_written_anew(device: Device) -> None:
    store = device.store()
    ids = [make(store) for _ in range(3)]
    shutil.rmtree(there(device))
    ids.append(make(store))
    assert store.problem == ""
    store.close()
    again = device.store()
    assert [report.id for report in again.outbox(9)] == ids


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the tmpfs below is read-only for root too")
def test_a_directory_without_the_right_to_write_is_read_all_the_same(device: Device) -> None:
    first = device.store()
    id_ = make(first)
    first.close()
    (there(device) / databasefile.NAME).chmod(0o400)
    there(device).chmod(0o500)
    second = device.store()
    assert LIVES in second.problem
    assert [report.id for report in second.outbox(9)] == [id_]
    there(device).chmod(0o700)
    (there(device) / databasefile.NAME).chmod(0o600)
    second.delivered(id_)
    second.close()
    assert device.store().outbox(9) == []


def unshared() -> str:
    """Why there is no tmpfs of our own to be had; empty where there is."""
    if not shutil.which("unshare"):
        return "no unshare"
    tried = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return tried.stderr.decode().strip()


# In namespaces of its own

PRELUDE = """
import os, subprocess, sys
from pathlib import Path
from store_device import Device, make
mount = Path(sys.argv[1])
device = Device(mount / "state")
"""
SCENES = {
    "full": """
store = device.store()
old = make(store)
ballast = mount / "ballast"
with ballast.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
ids = [make(store, padding="x" * 3000) for _ in range(5)]
assert "No space" in store.problem or "is full" in store.problem, store.problem
store.delivered(old)
ballast.unlink()
ids.append(make(store))
assert store.problem == "", store.problem
store.close()
assert [report.id for report in device.store().outbox(9)] == ids
assert len(device.warned) == 1, device.warned
""",
    "read-only": """
# Ends as kill -9 would end it: what it wrote is in the log alone.
ending = "store = device.store(); old = make(store); print(old, flush=True); os._exit(0)"
program = [sys.executable, "-c", os.environ["PRELUDE"] + ending, str(mount)]
old = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
subprocess.run(["mount", "-o", "remount,bind,ro", str(mount)], check=True)
store = device.store()
assert [report.id for report in store.outbox(9)] == [old]
store.delivered(old)
new = make(store)
assert "ead-only" in store.problem, store.problem
subprocess.run(["mount", "-o", "remount,bind,rw", str(mount)], check=True)
last = make(store)
assert store.problem == "", store.problem
store.close()
assert [report.id for report in device.store().outbox(9)] == [new, last]
""",
}


@pytest.mark.netns
@pytest.mark.parametrize("scene", SCENES)
def test_a_real_file_system(tmp_path: Path, scene: str) -> None:
    if reason := unshared():
        pytest.skip(f"no tmpfs of our own: {reason}")
    inside = 'mount -t tmpfs -o size=200k none "$1" && exec "$2" -c "$3" "$1"'
    root = Path(__file__).parents[3]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", inside, "sh", tmp_path, sys.executable, PRELUDE + SCENES[scene]],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={**os.environ, "PRELUDE": PRELUDE, "PYTHONPATH": f"{root / 'agent'}:{root / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr


# Where it is damaged


def filled(directory: Path, *, reports: int = 8) -> tuple[list[str], list[str]]:
    """A directory with a database, closed; the reports waiting and those that are in the history."""
    device = Device(directory)
    store = device.store()
    store.accept(Request("start", number=NUMBER), sims=[SeenSim("modem", "sim", "")])
    store.set_due("retry", Due(NOW + 60, 60.0, 3, "hop-timeout"))
    ids = [make(store, padding="x" * 1500) for _ in range(reports)]
    for id_ in ids[::2]:
        store.delivered(id_)
    device.close()
    return ids[1::2], ids


def garbage(file: Path) -> None:
    file.write_bytes(b"\x7fELF" + os.urandom(9000))


def few_bytes(file: Path) -> None:
    file.write_bytes(b"hello")


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 8192 * 4096)


def no_tables(file: Path) -> None:
    file.unlink()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE strangers (x)")


def zero_page(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(bytes(4096))


def header_only(file: Path) -> None:
    os.truncate(file, 100)


@pytest.mark.parametrize("damage", [garbage, few_bytes, half, no_tables, zero_page, header_only])
def test_a_damaged_database_is_renamed_and_a_new_one_begun(device: Device, damage: Callable[[Path], None]) -> None:
    filled(there(device))
    damage(there(device) / databasefile.NAME)
    store = device.store()
    assert store.problem.startswith("The database was damaged: it is agent.db.corrupt-1 now")
    assert device.warned == [store.problem]
    use(store)
    id_ = make(store)
    assert not store.problem.endswith(LIVES)
    store.close()
    again = device.store()
    assert again.problem == ""
    assert again.find(id_)
    assert "agent.db.corrupt-1" in names(device)


@pytest.mark.parametrize("flip", [0x01, 0x80], ids=["text", "no UTF-8"])
def test_what_is_sound_of_a_damaged_database_is_kept(device: Device, flip: int) -> None:
    waiting, ids = filled(there(device), reports=40)
    file = there(device) / databasefile.NAME
    raw = bytearray(file.read_bytes())
    # In a document: SQLite itself would not notice.
    at = raw.find(b"xxxx", raw.find(ids[21].encode() + b"schedule"))
    raw[at] ^= flip
    file.write_bytes(raw)
    store = device.store()
    assert store.problem == ""
    assert store.pending()[0][0].number == NUMBER
    history = [record.id for record in store.history(0)]
    assert "corrupt-1" in store.problem
    assert [report.id for report in store.outbox(99)] == [id_ for id_ in waiting if id_ != ids[21]]
    assert history == [id_ for id_ in reversed(ids) if id_ != ids[21]]
    assert store.sims() == {"modem": "sim"}
    assert store.due("retry") == Due(NOW + 60, 60.0, 3, "hop-timeout")
    assert len(device.warned) == 1
    use(store)


def test_a_check_is_recorded_though_damage_took_its_request(device: Device) -> None:
    store = device.store()
    request = Request("request", number=NUMBER)
    store.accept(request)
    salt = store.salt
    for _ in range(40):  # more than SQLite's cache holds, which would hide the damage
        make(store, padding="x" * 20_000)
    store.close()
    store = device.store()
    store.pending()
    file = there(device) / databasefile.NAME
    with file.open("r+b") as opened:
        opened.write(os.urandom(file.stat().st_size))
    use(store)
    assert "corrupt-1" in store.problem
    store.begin(request.id)
    record = store.complete(request.id, DOCUMENT, report=True)
    assert record.trigger == "request"
    assert store.salt == salt
    store.close()
    again = device.store()
    assert again.find(request.id)
    assert again.salt == salt


def test_a_request_that_is_lost_is_still_known_to_its_process(device: Device) -> None:
    store = device.store()
    begun, queued = Request("request", number=NUMBER), Request("start")
    for request in (begun, queued):
        store.accept(request)
    store._database.write(lambda database: database.execute("DELETE FROM requests"))
    store.begin(begun.id)
    assert store.state(begun.id) == "running"
    for request in (begun, queued):
        assert store.complete(request.id, DOCUMENT, report=True).trigger == request.trigger


def test_a_mistake_of_ours_is_no_damage(device: Device) -> None:
    store = device.store()
    with pytest.raises(sqlite3.Error):
        store.accept(Request("request", modem=object()))  # type: ignore[arg-type]
    make(store)
    assert store.problem == ""


@pytest.mark.parametrize("byte", [18, 19, 60])
def test_a_header_that_is_damaged_keeps_nobody_from_the_disk(device: Device, byte: int) -> None:
    filled(there(device))
    file = there(device) / databasefile.NAME
    raw = bytearray(file.read_bytes())
    raw[byte] ^= 0x40
    file.write_bytes(raw)
    store = device.store()
    make(store)
    assert "corrupt-1" in store.problem
    assert LIVES not in store.problem


def test_a_name_that_is_no_utf8_any_more_is_damage(device: Device) -> None:
    filled(there(device))
    file = there(device) / databasefile.NAME
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE checks", b"CREATE TABL\xc5 checks"))
    store = device.store()
    assert "corrupt-1" in store.problem
    use(store)


@pytest.mark.parametrize("spoil", [garbage, half, lambda file: os.truncate(file, 20)])
def test_a_bad_log_loses_no_more_than_what_it_held(device: Device, spoil: Callable[[Path], None]) -> None:
    directory = there(device)
    _, ids = filled(directory)
    program = (
        "import sys; from store_device import *; store = Device(Path(sys.argv[1])).store(); make(store); os._exit(0)"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'agent'}:{root / 'tests'}"}
    subprocess.run([sys.executable, "-c", "import os;" + program, directory], check=True, env=environment)
    log = directory / "agent.db-wal"
    assert log.stat().st_size > 4096
    spoil(log)
    store = device.store()
    assert {record.id for record in store.history(0)} >= set(ids)
    use(store)


def test_three_damaged_databases_are_kept(device: Device) -> None:
    directory = there(device)
    for _ in range(5):
        directory.mkdir(exist_ok=True)
        garbage(directory / databasefile.NAME)
        garbage(directory / "agent.db-wal")
        device.store().close()
    assert {name for name in names(device) if "corrupt" in name} == {
        f"agent.db.corrupt-{n}{suffix}" for n in (3, 4, 5) for suffix in ("", "-wal")
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("sound") / "state"
    filled(directory)
    return (directory / databasefile.NAME).read_bytes()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_is_an_outage(sound: bytes, data: st.DataObject) -> None:
    raw = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        page = data.draw(st.integers(0, len(raw) // 4096 - 1)) * 4096
        at = page + data.draw(st.integers(0, 4095))
        if at != LOW_BYTE_OF_VERSION:  # which makes of it a newer phonecheck's
            raw[at] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, databasefile.NAME).write_bytes(raw)
        device = Device(Path(directory))
        try:
            store = device.store()
            use(store)
            for record in store.history(0):
                assert record.document.get("padding", "x" * 1500) == "x" * 1500
            kept = make(store)
            store.close()
            assert device.store().find(kept)
        finally:
            device.close()


# Where it is another's


def test_a_newer_database_is_left_as_it_is(device: Device) -> None:
    filled(there(device))
    file = there(device) / databasefile.NAME
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.read_bytes()
    store = device.store()
    assert "is a newer phonecheck's (version 2, and this one knows 1) and left as it is" in store.problem
    use(store)
    make(store)
    assert store.problem.endswith(LIVES)
    store.close()
    assert file.read_bytes() == before
    assert names(device) == {databasefile.NAME}
    assert len(device.warned) == 1


def test_a_newer_database_that_is_so_in_its_log_alone_is_not_used_either(device: Device) -> None:
    filled(there(device))
    file = there(device) / databasefile.NAME
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        shutil.copytree(there(device), copy := there(device).with_name("copy"))
    device.directory = copy
    store = device.store()
    assert "newer" in store.problem
    assert LIVES in store.problem


def test_a_database_that_another_program_holds_is_come_back_to(device: Device) -> None:
    filled(there(device))
    other = sqlite3.connect(there(device) / databasefile.NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = device.store()
    assert "another program holds the database" in store.problem
    other.execute("ROLLBACK")
    other.close()
    make(store)
    assert store.problem == ""


def test_no_sentence_holds_a_number_or_an_identity(device: Device) -> None:
    filled(there(device))
    garbage(there(device) / databasefile.NAME)
    store = device.store()
    with full():
        for _ in range(20):
            make(store, padding="x" * 3000)
    make(store)
    assert len(device.said) == 3
    assert not [sentence for sentence in device.said if NUMBER.digits in sentence]
