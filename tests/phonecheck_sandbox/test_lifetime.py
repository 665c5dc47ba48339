from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from phonecheck_sandbox import lifetime


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (RuntimeError("something else"), False),
    ],
)
def test_a_full_account_is_told_from_a_bug(error: Exception, out: bool):
    assert lifetime.is_out_of_room(error) is out


def ended_by(error: str) -> subprocess.CompletedProcess[str]:
    # A process of its own, for _end ends it.
    program = f"from phonecheck_sandbox import lifetime\ndef work(): raise {error}\nlifetime._end(work)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_a_full_account_ends_a_sandbox_with_a_sentence_and_a_bug_with_its_traceback():
    full = ended_by("BlockingIOError(11, 'Resource temporarily unavailable')")
    assert (full.returncode, full.stdout) == (lifetime.FAILED_START, "")
    assert full.stderr.startswith("phonecheck-sandbox: This account has no room")
    assert "ulimit -u" in full.stderr
    bug = ended_by("RuntimeError('a bug')")
    assert bug.returncode == lifetime.FAILED_START
    assert "Traceback" in bug.stderr
