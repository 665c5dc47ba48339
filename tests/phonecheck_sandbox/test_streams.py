from __future__ import annotations

import subprocess
import sys

# What a program sees after make_sound: which descriptors are open and survive an exec, and that its streams write.
LOOK = """
import os
from phonecheck_sandbox import streams
streams.make_sound()
sound = all(os.get_inheritable(number) for number in (0, 1, 2))
next_one = os.open("/dev/null", os.O_RDONLY)
print("├ to standard output")
import sys
print("├ to standard error", sound, next_one > 2, repr(sys.stdin.read(1)), file=sys.stderr)
"""


def look(closing: str, **env: str) -> tuple[bytes, bytes]:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, LOOK],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=True,
        env=env,
    )
    return done.stdout, done.stderr


def test_closed_streams_are_opened_on_nothing_and_the_next_file_takes_no_number_of_theirs():
    utf8 = {"PYTHONIOENCODING": "utf-8"}
    assert look("", **utf8) == look("<&-", **utf8)
    assert look(">&-", **utf8) == (b"", "├ to standard error True True ''\n".encode())
    assert look("<&- >&- 2>&-", **utf8) == (b"", b"")


def test_a_character_that_the_locale_lacks_is_replaced():
    assert look("", PYTHONIOENCODING="ascii") == (b"? to standard output\n", b"? to standard error True True ''\n")
