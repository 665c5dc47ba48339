"""Standard input, output and error, made sound whatever this program was started with."""

from __future__ import annotations

import io
import os
import sys


def make_sound() -> None:
    """Have descriptors 0 to 2 open, and streams on them that can write every character.

    Where one of them is closed (``<&-``, some daemons), the next file or socket that a program opens takes its number,
    and is then handed to a COMMAND as its standard input. A character that the locale's encoding lacks becomes ``?``.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # Python itself has None where a descriptor was closed at its start.
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115  as long as the program lives
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
