"""Where the service's memory is: a file in the state directory, or memory itself for as long as the disk fails.

Its users hand in what they want done with a connection, and never hear of a disk's failure: a piece of work that the disk
refuses is done in memory, on a copy of what the disk holds, and with each later write all of it goes back if it can. A
database that is damaged is renamed, and what is sound of it goes into a new one.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from phonecheck.service import carry, databasefile, schema

T = TypeVar("T")
_FAILURES = (OSError, *schema.UNREADABLE)
"""What a failing disk or a damaged database makes of a piece of work."""
_MISTAKES = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""What it makes of itself: no reason to give up the database."""
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_PERM: "it is forbidden",
    sqlite3.SQLITE_AUTH: "it is forbidden",
    sqlite3.SQLITE_BUSY: "another program holds the database",
    sqlite3.SQLITE_LOCKED: "another program holds the database",
    sqlite3.SQLITE_PROTOCOL: "another program holds the database",
    sqlite3.SQLITE_NOLFS: "the file system cannot hold it",
}
"""SQLite's failures that are the disk's and may pass. Any other one says that the file is not what we wrote."""
_LARGEST_CHECKED = 16 << 20
"""Bytes up to which a database is looked through at the start: that takes the time of reading it."""


class Database:
    """The service's one database; to be closed by its user.

    Args:
        directory: where the file is; None for memory alone, by choice.
        say: told of what happens to it, with a level of ``logging``.

    Raises:
        ServiceError: already-running; another service uses the directory.
    """

    def __init__(self, directory: Path | None, say: Callable[[int, str], None]) -> None:
        self._directory = directory
        self._say = say
        self._lock: databasefile.Lock | None = None
        self._disk: sqlite3.Connection | None = None
        self._memory: sqlite3.Connection | None = None
        self._known = carry.Known()
        self._damaged = ""
        self._away = ""
        self._file: os.stat_result | None = None
        self._newer = False
        self.salt = b""
        self._enter()
        if self._disk is None:
            self._memory = memory = carry.memory(b"")
            if directory is not None and not self._newer:
                found = databasefile.perused(directory, lambda disk: carry.to_memory(disk, memory))
                self._known = found or self._known
        self.salt = self.read(_looked_through)

    @property
    def problem(self) -> str:
        """What is wrong, in a sentence or two; empty where nothing is."""
        return " ".join(filter(None, (self._damaged, self._away)))

    @property
    def in_memory(self) -> bool:
        """Whether nothing that is written now outlives the process."""
        return self._disk is None

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns; it only reads, and may be done twice."""
        if self._disk is None:
            return work(self._held)
        try:
            return work(self._disk)
        except _FAILURES as error:
            self._leave(error)
            result = work(self._held)
            self._enter()
            return result

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, once all that it wrote will survive a power cut, if the disk works.

        It is done in one transaction, and may be done twice.
        """
        if self._disk is not None:
            try:
                self._require_in_place()
                return schema.transact(self._disk, work)
            except _FAILURES as error:
                self._leave(error)
        result = schema.transact(self._held, work)
        self._enter()
        return result

    def scrub(self) -> None:
        """Leave nothing of what was deleted in the log beside the file."""
        if self._disk is not None:
            databasefile.scrub(self._disk)

    def close(self) -> None:
        """Let go of the file and the directory."""
        self._drop_disk()
        self._drop_memory()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def _held(self) -> sqlite3.Connection:
        if self._memory is None:
            raise RuntimeError("the database is closed")
        return self._memory

    def _enter(self) -> None:
        """Go to the disk with all that memory holds, or stay in memory and say why."""
        if self._directory is None:
            return None
        for _ in range(2):
            try:
                self._disk = self._opened(self._directory)
                self._file = (self._directory / databasefile.NAME).stat()
                if self._memory is not None:
                    schema.transact(self._disk, partial(carry.to_disk, self._memory, self._known))
            except databasefile.NewerError as error:
                self._newer = True
                return self._stay(
                    f"The database in {self._directory} is a newer phonecheck's ({error}) and left as it is"
                )
            except _FAILURES as error:
                self._drop_disk()
                if not self._renamed(error, self._directory):
                    return None
            else:
                return self._arrived()
        return self._stay(f"The database in {self._directory} is damaged again and again")

    def _opened(self, directory: Path) -> sqlite3.Connection:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        if self._lock is None or not self._lock.holds(directory):
            lock = databasefile.Lock(directory)
            if self._lock is not None:
                self._lock.close()
            self._lock = lock
        return databasefile.opened(directory)

    def _arrived(self) -> None:
        self._drop_memory()
        self._known = carry.Known()
        if self._away:
            self._away = ""
            self._say(logging.INFO, f"The state directory {self._directory} can be used again, and has all of it now.")

    def _leave(self, error: Exception) -> None:
        """Go from the disk to memory, with what can be read of it, to enter again when the work is done.

        A disk's failure is not told yet: where it was a full one, to close the database may just have made room.

        Raises:
            sqlite3.Error: the work itself is wrong.
        """
        if self._disk is None or self._directory is None or isinstance(error, _MISTAKES):
            raise error
        self._memory = carry.memory(self.salt)
        self._known = carry.to_memory(self._disk, self._memory)
        self._drop_disk()
        if _is_damage(error):
            self._renamed(error, self._directory)

    def _renamed(self, error: Exception, directory: Path) -> bool:
        """Whether a new database can be begun, since a damaged one was renamed; else say what keeps us from the disk."""
        if _is_damage(error):
            try:
                name = databasefile.set_aside(directory)
            except OSError as refused:
                error = refused
            else:
                self._known = carry.Known()
                self._damaged = f"The database was damaged: it is {name} now, and what was sound of it is in a new one."
                self._say(logging.WARNING, self._damaged)
                return True
        self._stay(f"The state directory {directory} cannot be used ({_reason(error)})")
        return False

    def _stay(self, why: str) -> None:
        why += ": what the service remembers is in memory only, and lost when it ends."
        if not self._away:
            self._say(logging.WARNING, why)
        self._away = why

    def _require_in_place(self) -> None:
        """A database that was deleted or replaced under us takes what is written to it all the same, and loses it."""
        if self._directory is not None and self._file is not None:
            there = (self._directory / databasefile.NAME).stat()
            if not os.path.samestat(there, self._file):
                raise OSError(errno.ESTALE, "the database was replaced")

    def _drop_disk(self) -> None:
        if self._disk is not None:
            with contextlib.suppress(sqlite3.Error):
                self._disk.close()
            self._disk = None

    def _drop_memory(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _looked_through(connection: sqlite3.Connection) -> bytes:
    """The salt, once the database has been found sound as far as that can be told in time."""
    (size,) = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    if size <= _LARGEST_CHECKED and connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        raise schema.DamagedError("its structure")
    found = connection.execute("SELECT salt FROM about").fetchall()
    if len(found) != 1 or not isinstance(found[0][0], bytes) or len(found[0][0]) != schema.SALT_BYTES:
        raise schema.DamagedError("its salt")
    return bytes(found[0][0])


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # An OSError is the disk's. The rest found rows that cannot be read; sqlite3 has no code for a text that is no UTF-8.
        return not isinstance(error, OSError)
    # A file that ends too early is not the disk's fault.
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF not in _REASONS


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return _REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "it is damaged")
