"""The database's tables, how an older one becomes one of this version, and how its rows are read.

A row of ``requests`` is a check that is to be made; ``at`` is NULL while it is queued. A row of ``checks`` is one that was
made: history, and while it is ``waiting`` a report in the outbox too, so that its document is stored and written once. The
oldest rows have the lowest ``seq``.

``(at, boot, since)`` says when a check was begun: by the wall clock, in which boot (the kernel's boot_id), and in that
boot's CLOCK_BOOTTIME. The last two are what ages are reckoned with for as long as the boot lasts.

``seal`` is a checksum. SQLite notices a damaged page only where its structure is hit; a byte flipped in a text would be
served as if it had been written so.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from phonecheck.model import PhoneNumber
from phonecheck.service.model import Document, Due, Record, Request, Trigger

T = TypeVar("T")


class DamagedError(Exception):
    """What was read is not what was written."""


UNREADABLE = (sqlite3.Error, DamagedError, UnicodeDecodeError)
"""What reading a damaged database raises; the last where SQLite's message quotes a name that is no UTF-8 any more."""


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE requests (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, trigger TEXT NOT NULL, modem TEXT, number TEXT, timeout REAL,
            seal INTEGER NOT NULL, at REAL, boot TEXT, since REAL) STRICT""",
        """CREATE TABLE checks (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, trigger TEXT NOT NULL, document TEXT NOT NULL,
            seal INTEGER NOT NULL, at REAL NOT NULL, boot TEXT NOT NULL, since REAL NOT NULL, waiting INTEGER NOT NULL)
            STRICT""",
        "CREATE INDEX outbox ON checks (seq) WHERE waiting",
        "CREATE INDEX boots ON checks (boot)",
        "CREATE TABLE sims (seq INTEGER PRIMARY KEY, modem TEXT NOT NULL UNIQUE, sim TEXT NOT NULL) STRICT",
        """CREATE TABLE dues (
            name TEXT PRIMARY KEY, remaining REAL NOT NULL, tries INTEGER NOT NULL, code TEXT NOT NULL,
            seal INTEGER NOT NULL, at REAL NOT NULL, boot TEXT NOT NULL, since REAL NOT NULL) STRICT""",
        "CREATE TABLE about (salt BLOB NOT NULL, dropped INTEGER NOT NULL) STRICT",
        "INSERT INTO about VALUES (randomblob(32), 0)",
    ),
)
"""The statements that lead from each version, by its number, to the next one. They are only ever added to."""
VERSION = len(MIGRATIONS)
SALT_BYTES = 32

LATEST = 2.0**33
"""The largest wall-clock time that is stored (in 2242): a clock that is far off must not make times nobody can write."""


def version(connection: sqlite3.Connection) -> int:
    """The schema's version; 0 of a new database."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring a database to the version that the steps lead to, or leave it as it was.

    Raises:
        sqlite3.Error: the disk refuses, or it is no database of ours.
    """
    if version(connection) < len(steps):
        transact(connection, lambda database: _migrate(database, steps))


def _migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]]) -> None:
    for step in steps[version(connection) :]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(steps)}")


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """What ``work`` returns, once all that it wrote is on the disk; where anything is raised, nothing is."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # Some failures, a full disk for one, have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def seal(*values: object) -> int:
    """The checksum of a row's values."""
    return zlib.crc32(repr(values).encode())


def request_row(request: Request) -> tuple[Any, ...]:
    """``id, trigger, modem, number, timeout, seal`` of a request."""
    number = request.number.digits if request.number else None
    timeout = None if request.timeout is None else float(request.timeout)
    values = (request.id, request.trigger, request.modem, number, timeout)
    return (*values, seal(*values))


def request_of(row: Sequence[Any]) -> Request:
    """The request of the columns of :func:`request_row`.

    Raises:
        DamagedError: the row is not as it was written.
    """
    *values, sealed = row
    if seal(*values) != sealed:
        raise DamagedError("a row")
    id_, trigger, modem, number, timeout = values
    parsed = None if number is None else PhoneNumber.parse(number)
    return Request(cast("Trigger", trigger), modem, parsed, timeout, id_)


def document_text(document: Document) -> str:
    """A document as it is stored; a number that JSON does not know (NaN, Infinity) becomes null."""
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except ValueError:
        known = json.loads(json.dumps(document), parse_constant=lambda _: None)
        return json.dumps(known, separators=(",", ":"))


def record_of(row: Sequence[Any]) -> Record:
    """The record of the columns ``id, trigger, document, seal, at``.

    Raises:
        DamagedError: the row is not as it was written.
    """
    id_, trigger, document, sealed, at = row
    if seal(id_, trigger, document) != sealed or not _is_time(at):
        raise DamagedError("a row")
    return Record(id_, cast("Trigger", trigger), at, json.loads(document))


def due_of(row: Sequence[Any]) -> Due:
    """What is due, of the columns ``name, remaining, tries, code, seal, at``.

    Raises:
        DamagedError: the row is not as it was written.
    """
    *values, sealed, at = row
    if seal(*values) != sealed or not _is_time(at):
        raise DamagedError("a row")
    _, remaining, tries, code = values
    return Due(at, remaining, tries, code)


def _is_time(at: object) -> bool:
    return isinstance(at, float) and 0 <= at <= LATEST
