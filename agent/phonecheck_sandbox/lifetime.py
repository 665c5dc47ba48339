"""The processes that hold the sandbox up, and how all of it ends when one of them does.

    keeper      on the machine; the process that the user started
    └─ gate     forked; enters the new namespaces, and waits
       └─ init      forked; PID 1 of the new pid namespace, reaps orphans
          └─ supervisor     forked; an asyncio program, parent of everything else: servers, radio, ModemManager, COMMAND

Why four. unshare(2) moves its caller, and a sandbox that moved the user's own process would have nobody left on the
machine: nobody to hold the control socket where another terminal finds it (an abstract socket belongs to a network
namespace), and nobody who can tell who knocks there (inside a user namespace every foreign uid reads 65534, root's
too). So the keeper stays and a child enters, the gate. unshare(CLONE_NEWPID) takes effect only for children: hence
init. Init must do nothing but reap: when PID 1 ends, the kernel kills its whole namespace, so a crash in the program
that does the work must be a death that PID 1 sees and passes on, not PID 1's own.

How it ends, on every path, with nothing left over:

* COMMAND ends, or the supervisor fails: the supervisor exits, so init exits with its status, so the kernel kills
  whatever still runs inside (daemons that detached, too) before init's parent hears of it, so the gate exits, so the
  keeper exits with the status. When the user's prompt is back, everything is gone.
* The keeper is killed, kill -9 included: PR_SET_PDEATHSIG kills the gate, and likewise init, and with init the pid
  namespace. The signal is armed only after the fork, so a keeper that dies in that instant is noticed another way: the
  supervisor reads the end of the file from its link to the keeper, and exits.
* The machine's side holds no state: the run directory is a tmpfs in the mount namespace, interfaces, routes and
  nftables are in network namespaces that only that mount namespace names, control sockets are abstract or in the
  tmpfs. The kernel drops each with its last process. There is no clean-up code because there is nothing to clean up.
  (Where the machine itself is the device, here.py, what was set on it stays.)

Signals. COMMAND must have the terminal: Ctrl-C and Ctrl-Z reach it as if the sandbox were not there, and a shell must be
able to do job control. So it stays in the keeper's session and process group, as do the four, which must outlive the
Ctrl-C meant for it: the keeper only hands signals on, gate and init ignore them, the supervisor decides by what it is
doing (during the start Ctrl-C ends all; while a COMMAND runs it is COMMAND's alone). The servers, the radio and the
modem's daemons are in sessions of their own and hear no key at all. A shell that did job control leaves the terminal to
a process group that is gone, and cannot give it back to one that its pid namespace cannot name: the keeper takes it.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable

from phonecheck_sandbox import namespaces
from phonecheck_sandbox.control import address_of
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.ground import Ground
from phonecheck_sandbox.kernel import die_with_parent

FAILED_START = 70
CALLER = b"\0"
"""On the link: a control connection comes with this byte. Any other byte is the number of a signal."""

_HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 5.0
"""Seconds that the supervisor has after a signal that ends it."""

Supervise = Callable[[socket.socket, int], int]
"""What runs inside, given the link to the keeper and the keeper's pid; its result is the exit status."""


def hold(supervise: Supervise, ground: Ground = namespaces) -> int:
    """Run ``supervise`` on its ground until it ends, and return its exit status.

    Raises:
        SandboxError: the machine lacks something. What fails further in is printed there, and is status 70.
    """
    ground.check_machine()
    keeper = os.getpid()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address_of(os.getuid(), keeper))
    listener.listen()
    link, inner_link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    terminal = _Terminal()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        gate = os.fork()
    except OSError as error:
        raise no_room(error) from None
    if gate == 0:
        listener.close()
        link.close()
        _end(lambda: _gate(inner_link, supervise, keeper, ground))
    inner_link.close()
    status = _wait(gate, listener, link)
    terminal.take_back()
    return status


def _wait(gate: int, listener: socket.socket, link: socket.socket) -> int:
    waker, wakened = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in (*_HANDED_ON, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    ending = os.pidfd_open(gate)
    patience: float | None = None
    while True:
        ready, _, _ = select.select([ending, listener.fileno(), wakened.fileno()], [], [], patience)
        if ending in ready:
            return exit_status(os.waitstatus_to_exitcode(os.waitpid(gate, 0)[1]))
        if not ready:
            os.kill(gate, signal.SIGKILL)
        if listener.fileno() in ready:
            _admit(listener, link)
        for woken_by in wakened.recv(64) if wakened.fileno() in ready else b"":
            if woken_by in _HANDED_ON:
                _tell(link, bytes([woken_by]))
            if woken_by in (signal.SIGTERM, signal.SIGHUP):
                patience = _PATIENCE


def _admit(listener: socket.socket, link: socket.socket) -> None:
    """Hand a caller of this user or of root on to the supervisor, and hang up on any other."""
    with listener.accept()[0] as caller:
        credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        if uid in (0, os.getuid()):
            _tell(link, CALLER, caller)


def _tell(link: socket.socket, message: bytes, caller: socket.socket | None = None) -> None:
    try:
        socket.send_fds(link, [message], [caller.fileno()] if caller else [])
    except OSError:
        return  # the supervisor has ended, and the gate is about to


def _gate(link: socket.socket, supervise: Supervise, keeper: int, ground: Ground) -> int:
    for number in (*_HANDED_ON, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    ground.enter()
    die_with_parent()
    init = os.fork()
    if init == 0:
        _end(lambda: _init(link, supervise, keeper, ground))
    link.close()
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def _init(link: socket.socket, supervise: Supervise, keeper: int, ground: Ground) -> int:
    die_with_parent()
    ground.furnish()
    supervisor = os.fork()
    if supervisor == 0:
        _end(lambda: supervise(link, keeper))
    link.close()
    while True:
        pid, status = os.wait()
        if pid == supervisor:
            return os.waitstatus_to_exitcode(status)


def _end(work: Callable[[], int]) -> None:
    """Do a forked child's work and end it here, so that it never returns into its parent's code."""
    status = FAILED_START
    try:
        status = work()
    except SandboxError as error:
        print(report(error), file=sys.stderr)
    except (OSError, RuntimeError) as error:
        if is_out_of_room(error):
            print(report(no_room(error)), file=sys.stderr)
        else:
            sys.excepthook(*sys.exc_info())
    except BaseException:  # noqa: BLE001  shown whole, by the hook, like any bug; but the child ends here
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_status(status))


def is_out_of_room(error: Exception) -> bool:
    """Whether the error is the machine's limits, and no fault of the sandbox."""
    if isinstance(error, OSError):
        return error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    return str(error) == "can't start new thread"  # Python has no better name for EAGAIN there


def no_room(error: Exception) -> SandboxError:
    """The error for a machine, or an account, that is full."""
    reason = error.strerror if isinstance(error, OSError) else error
    return SandboxError(
        f"This account has no room for the sandbox's processes and files: {reason}.",
        hint="It takes some 40 processes and threads: see ulimit -u and ulimit -n, and what else runs.",
    )


def exit_status(code: int) -> int:
    """A child's return code as a shell gives it: 128 and the signal's number for one that was killed."""
    return 128 - code if code < 0 else code


def report(error: SandboxError) -> str:
    """The error as the user reads it."""
    return f"phonecheck-sandbox: {error.message}\n{error.hint}"


class _Terminal:
    """The controlling terminal, if this process is in its foreground."""

    def __init__(self) -> None:
        self._group = os.getpgrp()
        self._fd = next((fd for fd in (0, 1, 2) if _is_foreground(fd, self._group)), None)

    def take_back(self) -> None:
        """Make this process's group the foreground again."""
        if self._fd is None:
            return
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # sent to who takes the terminal from the background
        try:
            os.tcsetpgrp(self._fd, self._group)
        except OSError:
            return  # the terminal hung up


def _is_foreground(fd: int, group: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == group
    except OSError:
        return False
