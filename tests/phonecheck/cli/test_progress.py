"""The steps on stderr: within the terminal's width, and never after the answer."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios

import pytest

from phonecheck.cli.progress import Steps


def test_a_step_that_was_left_behind_says_nothing_after_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(("modem", "check"), quiet=False)
    steps("modem", "failed", "not-connected")
    steps.end()
    steps("check", "done", "c69bc0e6, lives 60 s")
    assert capsys.readouterr().err == "make the modem ready: failed (not-connected)\n"


@pytest.mark.parametrize("columns", [20, 27, 40, 80])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back up is counted in lines: one that wraps would leave its half behind at every step."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        steps = Steps(("modem", "check"), quiet=False)
        steps("check", "done", "c" * 128 + ", lives 60 s")
        seen = os.read(leader, 65536).decode()
    os.close(leader)
    live = "\x1b[2K" in seen
    assert live == (columns > 26)
    if live:
        lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen).splitlines()
        assert max(map(len, lines)) < columns
