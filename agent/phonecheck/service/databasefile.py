"""The database's file in the state directory: locked, opened, peeked at, renamed when it is damaged."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from phonecheck.errors import ServiceError
from phonecheck.service import schema

T = TypeVar("T")
NAME = "agent.db"
_LOG = "-wal"
_KEPT_ASIDE = 3
_ASIDE = re.compile(re.escape(NAME) + r"\.corrupt-(\d{1,9})")
_HEADER = 100
_FORMAT = slice(18, 20)
_USER_VERSION = slice(60, 64)
"""https://www.sqlite.org/fileformat.html, 1.3."""
_FORMATS = (b"\1\1", b"\2\2")
"""To write and to read: with a rollback journal, or with a log. SQLite takes any larger one to write for read-only."""
_LAST_VERSION = 1000
"""There will be none beyond it that was not made by damage."""
_MOST_PERUSED = 16 << 20
_IN_RAM = Path("/dev/shm")  # noqa: S108  no file of a known name is made there
_PRAGMAS = (
    # With no other program let in, SQLite keeps the log's index in its own memory: no third file, and no mapping of one
    # that a full disk turns into SIGBUS. Must come before the log is first touched.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    # The log is synced at each commit, before it is acknowledged. NORMAL would lose the last ones with the power.
    "PRAGMA synchronous = FULL",
    # Numbers are in here only while their checks are queued.
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    # KiB, and pages until the log is written back: both are the service's memory, or its card's.
    "PRAGMA cache_size = -512",
    "PRAGMA wal_autocheckpoint = 256",
)


class NewerError(Exception):
    """The database is a newer phonecheck's, and is not touched."""


class Lock:
    """The directory's one user, until it is closed or the process ends.

    It is the directory that is locked (flock(2)): a file would have to be made first, on a disk that may be full.

    Raises:
        ServiceError: already-running.
        OSError: there is no directory, or it may not be read.
    """

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                self.close()
                message = f"Another service uses the state directory {directory}."
                raise ServiceError("already-running", message) from None
            # A file system without locks: SQLite's own lock on the database is left.

    def holds(self, directory: Path) -> bool:
        """Whether it is this directory, and not one that had its name before."""
        return os.path.samestat(os.fstat(self._descriptor), directory.stat())

    def close(self) -> None:
        """Let another one in."""
        os.close(self._descriptor)


def opened(directory: Path) -> sqlite3.Connection:
    """The database, made or migrated where that is needed, readable by its owner alone.

    Raises:
        NewerError: a newer phonecheck has made it.
        DamagedError, OSError, sqlite3.Error: the disk refuses, or it is no database of ours.
    """
    file = directory / NAME
    # SQLite would make the file by the umask; to the log it gives the database's mode.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        header = os.pread(descriptor, _HEADER, 0)
    finally:
        os.close(descriptor)
    # Asked of the file first, for to open a database that has a log beside it is to write to it.
    if header:
        # SQLite takes a few bytes of rubbish for an empty database.
        if not header.startswith(b"SQLite format 3\0") or header[_FORMAT] not in _FORMATS:
            raise schema.DamagedError("no database at all")
        _require(int.from_bytes(header[_USER_VERSION], signed=True))
    connection = sqlite3.connect(file, timeout=0.25, isolation_level=None, cached_statements=32)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()
        _require(schema.version(connection))
        schema.migrate(connection)
        # Whoever was here before may have ended before it did this.
        scrub(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _require(version: int) -> None:
    if not 0 <= version <= _LAST_VERSION:
        raise schema.DamagedError("its version")
    if version > schema.VERSION:
        raise NewerError(f"version {version}, and this one knows {schema.VERSION}")


def scrub(connection: sqlite3.Connection) -> None:
    """Leave nothing in the log of what was deleted; the database itself is overwritten by secure_delete."""
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def perused(directory: Path, read: Callable[[sqlite3.Connection], T]) -> T | None:
    """What ``read`` makes of a database that cannot be opened where it is, by way of a copy in RAM; None if not even so.

    A log can only be read by opening the database for writing.
    """
    try:
        files = [file for file in (directory / NAME, directory / (NAME + _LOG)) if file.exists()]
        if sum(file.stat().st_size for file in files) > _MOST_PERUSED:
            return None
        # Half a megabyte that the idle service can do without.
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory(prefix="phonecheck-", dir=_IN_RAM) as copy:
            for file in files:
                shutil.copyfile(file, Path(copy, file.name))
            with contextlib.closing(sqlite3.connect(Path(copy, NAME), isolation_level=None)) as connection:
                return read(connection) if schema.version(connection) == schema.VERSION else None
    except (OSError, *schema.UNREADABLE):
        return None


def set_aside(directory: Path) -> str:
    """Rename a damaged database, and its log with it; the three latest such are kept. Returns the new name.

    Raises:
        OSError: the disk refuses.
    """
    there = sorted(int(found[1]) for entry in directory.iterdir() if (found := _ASIDE.fullmatch(entry.name)))
    aside = f"{NAME}.corrupt-{there[-1] + 1 if there else 1}"
    # The log first: found beside a new database, it would be played into that one.
    for suffix in (_LOG, "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            (directory / f"{NAME}{suffix}").rename(directory / f"{aside}{suffix}")
    for number in there[: 1 - _KEPT_ASIDE]:
        for suffix in ("", _LOG, "-shm"):
            (directory / f"{NAME}.corrupt-{number}{suffix}").unlink(missing_ok=True)
    return aside
