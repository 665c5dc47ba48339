"""Our characters on streams that lack them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.cli import spelling


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("iccid:…8909", "iccid:...8909"),
        ("code (exit 4) · more", "code (exit 4) - more"),
        ("a – b — c", "a - b - c"),
        ("Télécom Østfold", "Telecom \\xd8stfold"),
        ("“so” ‘it’ is", "\"so\" 'it' is"),
        ("中国移动", "\\u4e2d\\u56fd\\u79fb\\u52a8"),
        ("a\u200bb", "a\\u200bb"),
        ("plain", "plain"),
    ],
)
def test_what_has_a_spelling_is_spelled(text: str, spelled: str) -> None:
    assert text.encode("ascii", spelling.HANDLER).decode() == spelled
    assert spelling.as_written(text, "ascii") == spelled
    assert spelling.as_written(text, "utf-8") == text


@given(st.text(st.characters(blacklist_categories=[])))
def test_everything_can_be_written_somehow(text: str) -> None:
    assert text.encode("ascii", spelling.HANDLER).isascii()
    text.encode("latin-1", spelling.HANDLER)
    text.encode("utf-8", spelling.HANDLER)


def test_bytes_that_are_none_are_read_somehow() -> None:
    assert b"a\xffb".decode("utf-8", spelling.HANDLER) == "a\\xffb"


def printed(**env: str) -> bytes:
    names = ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONUTF8", "PYTHONIOENCODING", "COLUMNS")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-m", "phonecheck", "modem", "show", "--help"],
        env=clean | env,
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "COLUMNS": "20", "TERM": "dumb"},
    ],
    ids=str,
)
def test_plain_ascii_is_had_for_the_asking(env: dict[str, str]) -> None:
    assert printed(**env).isascii()
    assert b"iccid:..." in printed(**env)


@pytest.mark.parametrize("env", [{}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C", "PYTHONUTF8": "1"}], ids=str)
def test_elsewhere_it_is_utf_8(env: dict[str, str]) -> None:
    assert "iccid:…".encode() in printed(**env)
