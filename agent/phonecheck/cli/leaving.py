"""A verb's work from its begin to its end, also to the one that a signal puts to it."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from phonecheck.aside import Aside
from phonecheck.errors import AgentError, ExitStatus

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def guarded(
    work: Callable[[], int], failed: Callable[[AgentError], int], lingering: Sequence[Callable[[], None]] = ()
) -> int:
    """Do a verb's work, and leave at once on Ctrl-C, a SIGTERM or a SIGHUP.

    The work is done aside: a D-Bus call, a TLS handshake and getaddrinfo each hold up Python's signal handlers until they
    end, and in the main thread Ctrl-C would wait for them (measured with a call of 3 s). The main thread waits for a
    descriptor that the signal itself writes to: while it waited on a queue, Python 3.13 on a busy machine was now and then
    deaf to the signal until the work was done (2 of 7 with both cores loaded).

    Args:
        work: returns the exit status.
        failed: shows an error and returns its exit status.
        lingering: what must still be done by a process of its own when a signal ends this one; the work fills it.
    """
    for number in _SIGNALS:
        # nohup's choice is left to stand, and a shell's for what it runs in the background
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, lambda number, _: _leave(number, lingering))
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def and_wake() -> int:
        try:
            return work()
        finally:
            os.write(wake, b"\0")

    try:
        working = Aside(and_wake, "work")
        select.select([woken], [], [])
        return working.result()
    except AgentError as error:
        return failed(error)
    except Exception as error:  # a bug must end in a sentence too, and its text may hold anything
        logging.getLogger("phonecheck").debug("internal error", exc_info=True)
        where = _where(error)
        return failed(AgentError("internal-error", f"Unexpected {type(error).__name__} in {where}."))


def _leave(number: int, lingering: Sequence[Callable[[], None]]) -> NoReturn:
    """End by the signal, as whoever sent it expects to see it; on Ctrl-C with a status of our own."""
    # The same signal often comes twice at once, to the process and to its group (timeout(1) does that), and must not
    # strike the one that lingers before it is on its own.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    try:
        _linger(lingering)
        if number == signal.SIGINT:
            # Not by sys.stderr: a thread that writes to it, and waits for its reader, holds its lock.
            os.write(2, b"\nphonecheck: interrupted\n")
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
    finally:
        # Not sys.exit: it would wait for threads.
        os._exit(ExitStatus.INTERRUPTED)


def _linger(lingering: Sequence[Callable[[], None]]) -> None:
    """Fork a process that takes leave of the peers: it has the sockets, and none of the threads that would go on."""
    if not lingering or os.fork() != 0:
        return
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):  # a reader of ours must not wait for this process
            os.dup2(null, stream)
        for last in lingering:
            last()
    finally:
        os._exit(0)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "phonecheck"
