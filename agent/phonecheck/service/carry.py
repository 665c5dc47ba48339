"""What the service remembers, carried from a disk that fails to memory, and back to one that works."""

# ruff: noqa: S608  the queries are put together from the names of our own tables
from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from phonecheck.service.schema import UNREADABLE, DamagedError, due_of, migrate, record_of, request_of

KEPT = 200
"""Checks of the history that memory holds: a document has about 3 KB."""

_REQUEST = "id, trigger, modem, number, timeout, seal, at, boot, since"
_CHECK = "id, trigger, document, seal, at, boot, since, waiting"
_DUE = "name, remaining, tries, code, seal, at, boot, since"


@dataclass(frozen=True, slots=True)
class Known:
    """What memory was given of the disk, so that what has gone from memory since can be taken from the disk too."""

    ids: frozenset[str] = frozenset()
    dropped: int = 0


def memory(salt: bytes) -> sqlite3.Connection:
    """An empty database in memory; without a salt it makes its own."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    # What is deleted is overwritten here too: a core dump holds no number that is not queued any more.
    connection.execute("PRAGMA secure_delete = ON")
    migrate(connection)
    if salt:
        connection.execute("UPDATE about SET salt = ?", (salt,))
    return connection


def to_memory(disk: sqlite3.Connection, into: sqlite3.Connection) -> Known:
    """Copy what can be read and is sound: all but the history beyond :data:`KEPT`."""
    # A text that is no UTF-8 any more must not end the reading of its table; its seal tells that it is damaged.
    disk.text_factory = lambda raw: raw.decode(errors="replace")
    _copy(disk, into, "requests", _REQUEST, "ORDER BY seq", lambda row: request_of(row[:6]))
    latest = _copy(disk, into, "checks", _CHECK, f"ORDER BY seq DESC LIMIT {KEPT}", _check)
    queued = _copy(disk, into, "checks", _CHECK, "WHERE waiting ORDER BY seq", _check)
    if not (latest and queued):
        # The index may be what is damaged; and of a table that breaks off somewhere, both ends can be read.
        for way in ("ASC", "DESC"):
            _copy(disk, into, "checks", _CHECK, f"NOT INDEXED WHERE waiting ORDER BY seq {way}", _check)
    _copy(disk, into, "sims", "modem, sim", "ORDER BY seq", _texts)
    _copy(disk, into, "dues", _DUE, "", lambda row: due_of(row[:6]))
    dropped = 0
    try:
        (dropped,) = disk.execute("SELECT dropped FROM about WHERE typeof(dropped) = 'integer'").fetchone()
        into.execute("UPDATE about SET dropped = ?", (dropped,))
    except (*UNREADABLE, TypeError):
        pass
    ids = into.execute("SELECT id FROM requests UNION SELECT id FROM checks WHERE waiting")
    return Known(frozenset(id_ for (id_,) in ids), dropped)


def to_disk(held: sqlite3.Connection, known: Known, disk: sqlite3.Connection) -> None:
    """Bring the disk up to what memory holds, inside the caller's transaction.

    What the disk has and memory never knew, because the disk could not be read, stays; SIMs, due dates and salt are
    memory's, for the service has lived by them.

    Raises:
        sqlite3.Error: the disk refuses.
    """
    was_known = [(id_,) for id_ in known.ids]
    disk.executemany("DELETE FROM requests WHERE id = ?", was_known)
    disk.executemany("UPDATE checks SET waiting = 0 WHERE id = ?", was_known)
    _insert(disk, "requests", _REQUEST, _rows(held, "requests", _REQUEST, "ORDER BY seq"), "OR REPLACE ")
    made = "ON CONFLICT (id) DO UPDATE SET at = excluded.at, waiting = excluded.waiting"
    _insert(disk, "checks", _CHECK, _rows(held, "checks", _CHECK, "ORDER BY seq"), then=made)
    # A commit that failed may have come through all the same.
    disk.executemany("DELETE FROM requests WHERE id = ?", held.execute("SELECT id FROM checks"))
    for table, columns in (("sims", "modem, sim"), ("dues", _DUE)):
        disk.execute(f"DELETE FROM {table}")
        _insert(disk, table, columns, _rows(held, table, columns, "ORDER BY rowid"))
    salt, dropped = held.execute("SELECT salt, dropped FROM about").fetchone()
    disk.execute("UPDATE about SET salt = ?, dropped = dropped + ?", (salt, dropped - known.dropped))


def _copy(
    disk: sqlite3.Connection,
    into: sqlite3.Connection,
    table: str,
    columns: str,
    which: str,
    sound: Callable[[Sequence[Any]], object],
) -> bool:
    """Copy the sound rows, each to its place in the order; False where the table broke off."""
    try:
        for row in _rows(disk, table, f"rowid, {columns}", which):
            try:
                sound(row[1:])
                _insert(into, table, f"rowid, {columns}", [row], "OR IGNORE ")
            except UNREADABLE:
                continue
    except UNREADABLE:
        return False
    return True


def _rows(connection: sqlite3.Connection, table: str, columns: str, which: str) -> sqlite3.Cursor:
    return connection.execute(f"SELECT {columns} FROM {table} {which}")


def _insert(
    connection: sqlite3.Connection, table: str, columns: str, rows: Any, conflict: str = "", *, then: str = ""
) -> None:
    marks = ", ".join("?" * len(columns.split(",")))
    connection.executemany(f"INSERT {conflict}INTO {table} ({columns}) VALUES ({marks}) {then}", rows)


def _check(row: Sequence[Any]) -> None:
    record_of(row[:5])


def _texts(row: Sequence[Any]) -> None:
    if not all(isinstance(value, str) for value in row):
        raise DamagedError("a row")
