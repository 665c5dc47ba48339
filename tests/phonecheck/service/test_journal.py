from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck.service.journal import JournalHandler, entry, priority_of, reads_stderr


def fields_of(datagram: bytes) -> dict[str, str]:
    """As the journal reads it."""
    found = {}
    while datagram:
        head, _, datagram = datagram.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            length = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + length], datagram[8 + length :]
            assert datagram[:1] == b"\n"
            datagram = datagram[1:]
        found[name.decode()] = value.decode()
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "journal"))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("phonecheck.test_journal")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = JournalHandler(str(tmp_path / "journal"))
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_an_entry_has_priority_and_fields_and_shows_no_number(journal, log):
    log.warning("no match for %s", "+447700900123", extra={"fields": {"PHONECHECK_OUTCOME": "no_match", "_PID": 1}})
    assert fields_of(journal.recv(9999)) == {
        "MESSAGE": "no match for +…0123",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "phonecheck",
        "PHONECHECK_OUTCOME": "no_match",
    }


def test_a_traceback_is_one_entry_and_shows_no_number(journal, log):
    try:
        int("447700900123x")
    except ValueError:
        log.exception("failed")
    found = fields_of(journal.recv(99_999))
    assert found["MESSAGE"].startswith("failed\nTraceback")
    assert found["MESSAGE"].endswith("invalid literal for int() with base 10: '…0123x'")
    assert found["PRIORITY"] == "3"


def test_a_message_cannot_make_itself_a_field(journal, log):
    log.info("harmless\nPRIORITY=0\n", extra={"fields": {"PHONECHECK_ID": "x\nPRIORITY=0"}})
    found = fields_of(journal.recv(9999))
    assert (found["PRIORITY"], found["PHONECHECK_ID"]) == ("6", "x\nPRIORITY=0")


def test_a_long_one_is_cut(journal, log):
    log.info("é" * 1_000_000)
    assert len(fields_of(journal.recv(99_999))["MESSAGE"]) == 16 * 1024


def test_a_journal_that_hangs_hangs_nobody(journal, log, capsys):
    for _ in range(2000):
        log.info("line")
    assert capsys.readouterr().err == "", "it would hang there, too"


def test_without_a_journal_the_line_goes_to_stderr_with_its_priority(log, capsys):
    log.warning("no match\nfor %s", "447700900123")
    assert capsys.readouterr().err == "<4>no match | for …0123\n"


def test_a_record_that_cannot_be_formatted_is_not_shown(log, capsys, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.warning("%d", "447700900123")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("level", "priority"), [(50, 2), (40, 3), (30, 4), (25, 6), (20, 6), (10, 7), (0, 7)])
def test_priorities(level, priority):
    assert priority_of(level) == priority


@settings(max_examples=50)
@given(st.text(), st.dictionaries(st.text(alphabet="AB_9=\n", max_size=3), st.text() | st.none(), max_size=3))
def test_whatever_it_holds_it_is_read_as_it_was_written(message, fields):
    message = message.encode(errors="replace").decode()
    found = fields_of(entry(message, 6, fields))
    assert (found["MESSAGE"], found["PRIORITY"]) == (message, "6")
    assert found.keys() - {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"} <= fields.keys()


def test_whether_the_journal_reads_our_stderr(tmp_path):
    with (tmp_path / "stream").open("w") as stream:
        facts = os.fstat(stream.fileno())
        name = f"{facts.st_dev}:{facts.st_ino}"
        assert reads_stderr({"JOURNAL_STREAM": name}, stream.fileno())
        assert not reads_stderr({"JOURNAL_STREAM": f"{facts.st_dev}:1"}, stream.fileno())
        assert not reads_stderr({}, stream.fileno())
    assert not reads_stderr({"JOURNAL_STREAM": name}, 999)


@pytest.mark.parametrize(("verbose", "lines"), [(False, ["INFO one"]), (True, ["INFO one", "DEBUG two …0123"])])
def test_in_a_terminal_it_is_lines(verbose, lines):
    script = (
        "import logging\nfrom phonecheck.service.journal import start_log\n"
        f"start_log(verbose={verbose})\nlog = logging.getLogger('phonecheck.x')\n"
        "log.info('one'); log.debug('two 447700900123'); logging.getLogger('other').info('three')"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    assert [line.split(" ", 2)[2] for line in done.stderr.splitlines()] == lines
