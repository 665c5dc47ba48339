"""Takes down what a run that a signal ended had set up: ``python -m phonecheck.aftermath``, the record on standard input.

The run forks a process that holds its sockets a little longer (cli/leaving.py), and that process becomes this one: a
fork of a process with threads may hold any library's locks, and an exec is free of them. After a run that had no time for
that, the service starts it with what the run had noted (service/checks.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from phonecheck.errors import AgentError

if TYPE_CHECKING:
    from phonecheck.modem.brought import BroughtUp

_SECONDS = 10.0


def become(brought: BroughtUp | None) -> NoReturn:
    """Turn this process into the one that takes down; the rules and addresses first, then the bearer."""
    record = os.memfd_create("phonecheck-aftermath")
    os.write(record, b"null" if brought is None else brought.to_json().encode())
    os.lseek(record, 0, os.SEEK_SET)
    os.dup2(record, 0)
    # Found where this process found it, also if that was by "-m" in a directory, or by whoever set sys.path.
    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "phonecheck.aftermath"], path)  # noqa: S606  our own


def main() -> None:
    """Read the record and do it; there is nobody to tell of a failure."""
    from phonecheck.link import routes
    from phonecheck.modem.brought import VARIABLE, BroughtUp, strike, take_down
    from phonecheck.modem.bus import ModemBus

    text = sys.stdin.read(1 << 16)
    with contextlib.suppress(AgentError):
        routes.cleanup()
    if json.loads(text) is not None:
        take_down(ModemBus(), BroughtUp.from_json(text), _SECONDS)
        if noted := os.environ.get(VARIABLE):
            strike(Path(noted), text)


if __name__ == "__main__":
    main()
    # Not by the interpreter's own end: GLib's threads are still there.
    os._exit(0)
