"""What the service remembers: the checks to be made and those that were, what the app server is still to be told, the SIMs.

What a method has accepted survives kill -9 and a power cut once it has returned, and what was delivered is not there again.
Where the disk fails, it is memory that remembers (database.py), and ``problem`` says so.

**Ages.** An IoT device boots in 1970, or in the year of its image, and jumps to the present when NTP is first heard. So the
times of this boot's rows are derived from CLOCK_BOOTTIME, which nobody sets: when the wall clock is set, they are written
anew by the new one. The rows of former boots keep theirs: how wrong the clock was then cannot be known any more. Their
age is the wall clock's difference where both ends are plausible, else only the time since this boot, which it is at least;
a report is rather kept too long than given up for a clock that was wrong.
"""

# ruff: noqa: S608  every query is put together from the names above; what comes from outside is bound
from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phonecheck.service import carry
from phonecheck.service.database import Database
from phonecheck.service.model import Document, Due, DueName, Record, Report, Request, SeenSim, State
from phonecheck.service.schema import LATEST, document_text, due_of, record_of, request_of, request_row, seal

BELIEVED = 1704067200.0
"""2024: a wall clock before it has not been set."""
_SIMS = 32
"""Modems whose SIM is remembered, also while they are away."""
_REQUEST = "id, trigger, modem, number, timeout, seal"
_RECORD = "id, trigger, document, seal, at"
_DUE = "name, remaining, tries, code, seal, at"
_TOO_OLD = """waiting AND CASE
    WHEN boot = :boot THEN :now - since
    WHEN at >= :believed AND :wall >= at THEN :wall - at
    ELSE :now END > :oldest"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is remembered: a number of checks, a number of reports, and their greatest age in seconds."""

    history: int = 1000
    outbox_size: int = 500
    outbox_age: float = 7 * 86400.0


class Store:
    """The service's memory; to be closed by its user.

    Args:
        directory: where the database is; made if its parent is there. None for memory alone.
        wall: seconds since the epoch, as far as the device knows.
        boot: seconds of CLOCK_BOOTTIME.
        boot_id: names this boot; /proc/sys/kernel/random/boot_id.
        say: told what befalls the database, with a level of ``logging``.
        limits: may be set anew; the next check is the first to be kept to them.

    Raises:
        ServiceError: already-running; another service uses the directory.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        wall: Callable[[], float],
        boot: Callable[[], float],
        boot_id: str,
        say: Callable[[int, str], None],
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._wall = wall
        self._boot = boot
        self._boot_id = boot_id
        self._say = say
        # Where a damaged database has lost a request, its check is recorded all the same.
        self._accepted: dict[str, Request] = {}
        self._database = Database(directory, say)
        # The clock may have been set while nobody was here.
        self.clock_set()

    @property
    def problem(self) -> str:
        """What is wrong with the database, in a sentence or two; empty where nothing is."""
        return self._database.problem

    @property
    def salt(self) -> bytes:
        """What fingerprints are made with: the database's own, made once."""
        return self._database.salt

    @property
    def waiting(self) -> int:
        """Reports that the app server is still to be told."""
        return self._database.read(lambda database: _count(database, "checks WHERE waiting"))

    @property
    def dropped(self) -> int:
        """Reports that were given up, ever: too old, too many, or refused by the app server."""
        return self._database.read(lambda database: int(database.execute("SELECT dropped FROM about").fetchone()[0]))

    def accept(self, request: Request, *, sims: Sequence[SeenSim] = ()) -> None:
        """Queue a check, and remember the SIMs that were the reason for it: both or neither."""

        def work(database: sqlite3.Connection) -> None:
            _queue(database, request)
            _remember(database, sims)

        self._accepted[request.id] = request
        self._database.write(work)

    def begin(self, id: str) -> None:  # noqa: A002  the API's own word
        """Note that a check is being made, and since when."""

        def work(database: sqlite3.Connection) -> None:
            if id in self._accepted:
                _queue(database, self._accepted[id])
            moment = (*self._moment(), id)
            database.execute("UPDATE requests SET at = ?, boot = ?, since = ? WHERE id = ? AND at IS NULL", moment)

        self._database.write(work)

    def complete(self, id: str, document: Document, *, report: bool) -> Record:  # noqa: A002  as above
        """Put a check into the history and, to be reported, into the outbox; it is no request any more.

        Done again it changes nothing and returns what is there. The record's time is that of the check's beginning.

        Raises:
            LookupError: no such check was ever accepted, or it was made and is forgotten.
        """
        text = document_text(document)

        def work(database: sqlite3.Connection) -> tuple[Record, bool, int]:
            if done := _find(database, id):
                return done, False, 0
            row = database.execute(f"SELECT {_REQUEST}, at, boot, since FROM requests WHERE id = ?", (id,)).fetchone()
            request = request_of(row[:6]) if row else self._accepted.get(id)
            if request is None:
                raise LookupError(f"no check {id}")
            at, boot, since = row[6:] if row and row[6] is not None else self._moment()
            database.execute("DELETE FROM requests WHERE id = ?", (id,))
            sealed = seal(id, request.trigger, text)
            database.execute(
                f"INSERT INTO checks ({_RECORD}, boot, since, waiting) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (id, request.trigger, text, sealed, at, boot, since, int(report)),
            )
            given_up = self._prune(database)
            return Record(id, request.trigger, at, document), request.number is not None, given_up

        record, had_number, given_up = self._database.write(work)
        self._accepted.pop(id, None)
        if had_number:
            self._database.scrub()
        self._tell(given_up)
        return record

    def pending(self) -> tuple[list[Request], list[Request]]:
        """What is queued, the oldest first, and what was being made: to be asked at the start, of the process before."""

        def work(database: sqlite3.Connection) -> tuple[list[Request], list[Request]]:
            rows = database.execute(f"SELECT {_REQUEST}, at FROM requests ORDER BY seq").fetchall()
            queued = [request_of(row[:6]) for row in rows if row[6] is None]
            running = [request_of(row[:6]) for row in rows if row[6] is not None]
            return queued, running

        queued, running = self._database.read(work)
        self._accepted.update((request.id, request) for request in (*queued, *running))
        return queued, running

    def state(self, id: str) -> State | None:  # noqa: A002  as above
        """How far a check is; None of one that is unknown or forgotten."""

        def work(database: sqlite3.Connection) -> State | None:
            if row := database.execute("SELECT at FROM requests WHERE id = ?", (id,)).fetchone():
                return "queued" if row[0] is None else "running"
            return "done" if _count(database, "checks WHERE id = ?", id) else None

        return self._database.read(work)

    def find(self, id: str) -> Record | None:  # noqa: A002  as above
        """A check that was made and is remembered."""
        return self._database.read(lambda database: _find(database, id))

    def history(self, limit: int) -> list[Record]:
        """The checks that were made, the newest first, at most so many; 0 for all that are remembered."""
        most = min(limit, self.limits.history) if limit > 0 else self.limits.history
        query = f"SELECT {_RECORD} FROM checks ORDER BY seq DESC LIMIT ?"
        return self._database.read(lambda database: [record_of(row) for row in database.execute(query, (most,))])

    def last_match(self) -> Record | None:
        """The last check that was a match, of those that are remembered."""
        # As document_text writes it. Within a string its quotation marks would be escaped.
        where = """instr(document, '"outcome":"match"')"""
        query = f"SELECT {_RECORD} FROM checks WHERE {where} ORDER BY seq DESC LIMIT 1"
        return self._database.read(lambda database: next((record_of(row) for row in database.execute(query)), None))

    def outbox(self, limit: int) -> list[Report]:
        """The reports that are to be delivered, the oldest first, at most so many; those that are too old are given up."""
        if self._database.read(lambda database: _count(database, f"checks WHERE {_TOO_OLD}", **self._ages())):
            self._tell(self._database.write(self._prune))
        query = f"SELECT {_RECORD} FROM checks WHERE waiting ORDER BY seq LIMIT ?"
        records = self._database.read(lambda database: [record_of(row) for row in database.execute(query, (limit,))])
        return [_report(record) for record in records]

    def delivered(self, id: str) -> None:  # noqa: A002  as above
        """Take a report out of the outbox: the app server has it."""
        self._take_out(id, dropped=0)

    def refused(self, id: str) -> None:  # noqa: A002  as above
        """Take a report out of the outbox: the app server will never have it."""
        self._take_out(id, dropped=1)

    def sims(self) -> dict[str, str]:
        """The fingerprint of the SIM that was last seen in each modem, by the modem's."""
        return self._database.read(_sims)

    def remember(self, sims: Sequence[SeenSim]) -> None:
        """Remember the SIMs that are seen; those of modems that are not among them stay."""
        known = self.sims()
        if any(known.get(seen.modem) != seen.fingerprint for seen in sims):
            self._database.write(lambda database: _remember(database, sims))

    def due(self, name: DueName) -> Due | None:
        """What is due; ``left`` is what is left now, if it was set in this boot, else what was left then."""

        def work(database: sqlite3.Connection) -> tuple[Due, str, float] | None:
            row = database.execute(f"SELECT {_DUE}, boot, since FROM dues WHERE name = ?", (name,)).fetchone()
            return (due_of(row[:6]), row[6], row[7]) if row else None

        found = self._database.read(work)
        if found is None:
            return None
        due, boot, since = found
        passed = max(0.0, self._boot() - since) if boot == self._boot_id else 0.0
        return replace(due, left=max(0.0, due.left - passed))

    def set_due(self, name: DueName, due: Due | None) -> None:
        """Note what is due, in place of what was under this name; None for nothing."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM dues WHERE name = ?", (name,))
            if due is not None:
                code = due.code.encode(errors="replace").decode()
                values = (name, max(0.0, float(due.left)), due.tries, code)
                row = (*values, seal(*values), _bounded(due.at), self._boot_id, self._boot())
                database.execute(f"INSERT INTO dues ({_DUE}, boot, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

        self._database.write(work)

    def clock_set(self, by: float = 0.0) -> None:  # noqa: ARG002  the new clock tells it, however often it is told
        """Write the times of this boot anew, by the wall clock as it is now: it was set."""
        new = {"boot": self._boot_id, "offset": self._wall() - self._boot(), "latest": LATEST}
        anew = {
            "requests": "since + :offset",
            "checks": "since + :offset",
            "dues": "since + remaining + :offset",
        }
        moved = {
            table: f"{table} WHERE boot = :boot AND abs(at - max(0.0, min(:latest, {at}))) > 1.0"
            for table, at in anew.items()
        }

        def work(database: sqlite3.Connection) -> None:
            for table, at in anew.items():
                which = moved[table].removeprefix(table)
                database.execute(f"UPDATE {table} SET at = max(0.0, min(:latest, {at})) {which}", new)

        if self._database.read(lambda database: any(_count(database, which, **new) for which in moved.values())):
            self._database.write(work)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _moment(self) -> tuple[float, str, float]:
        return _bounded(self._wall()), self._boot_id, self._boot()

    def _ages(self) -> dict[str, Any]:
        wall, boot, now = self._moment()
        return {"boot": boot, "now": now, "wall": wall, "believed": BELIEVED, "oldest": self.limits.outbox_age}

    def _take_out(self, id: str, *, dropped: int) -> None:  # noqa: A002  as above
        def work(database: sqlite3.Connection) -> None:
            taken = database.execute("UPDATE checks SET waiting = 0 WHERE id = ? AND waiting", (id,)).rowcount
            database.execute("UPDATE about SET dropped = dropped + ?", (taken * dropped,))
            self._prune(database)

        self._database.write(work)

    def _prune(self, database: sqlite3.Connection) -> int:
        """Keep to the limits; how many reports were given up for it."""
        given_up = database.execute(f"UPDATE checks SET waiting = 0 WHERE {_TOO_OLD}", self._ages()).rowcount
        too_many = _count(database, "checks WHERE waiting") - self.limits.outbox_size
        if too_many > 0:
            oldest = "SELECT seq FROM checks WHERE waiting ORDER BY seq LIMIT ?"
            database.execute(f"UPDATE checks SET waiting = 0 WHERE seq IN ({oldest})", (too_many,))
            given_up += too_many
        if given_up:
            database.execute("UPDATE about SET dropped = dropped + ?", (given_up,))
        kept = min(self.limits.history, carry.KEPT) if self._database.in_memory else self.limits.history
        too_many = _count(database, "checks") - kept
        if too_many > 0:
            oldest = "SELECT seq FROM checks ORDER BY seq LIMIT ?"
            database.execute(f"DELETE FROM checks WHERE NOT waiting AND seq IN ({oldest})", (too_many,))
        return given_up

    def _tell(self, given_up: int) -> None:
        if given_up:
            reports = "1 report" if given_up == 1 else f"{given_up} reports"
            self._say(logging.WARNING, f"{reports} given up, too old or too many for the outbox.")


def _count(database: sqlite3.Connection, which: str, *args: object, **named: object) -> int:
    return int(database.execute(f"SELECT count(*) FROM {which}", args or named).fetchone()[0])


def _find(database: sqlite3.Connection, id: str) -> Record | None:  # noqa: A002  as above
    row = database.execute(f"SELECT {_RECORD} FROM checks WHERE id = ?", (id,)).fetchone()
    return record_of(row) if row else None


def _queue(database: sqlite3.Connection, request: Request) -> None:
    row = request_row(request)
    database.execute(f"INSERT INTO requests ({_REQUEST}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING", row)


def _sims(database: sqlite3.Connection) -> dict[str, str]:
    return dict(database.execute("SELECT modem, sim FROM sims ORDER BY seq").fetchall())


def _remember(database: sqlite3.Connection, sims: Sequence[SeenSim]) -> None:
    known = _sims(database)
    for seen in sims:
        if known.get(seen.modem) != seen.fingerprint:
            database.execute("INSERT OR REPLACE INTO sims (modem, sim) VALUES (?, ?)", (seen.modem, seen.fingerprint))
    database.execute("DELETE FROM sims WHERE seq NOT IN (SELECT seq FROM sims ORDER BY seq DESC LIMIT ?)", (_SIMS,))


def _report(record: Record) -> Report:
    at = f"{datetime.fromtimestamp(record.at, UTC):%Y-%m-%dT%H:%M:%SZ}" if record.at >= BELIEVED else None
    return Report(record.id, {"report": record.id, "trigger": record.trigger, "at": at, "outcome": record.document})


def _bounded(at: float) -> float:
    """A time that can be written as a date, for a clock that is far off; also of one that is no number."""
    return min(LATEST, max(0.0, float(at)))
