"""Who uses what was set up on a link, and who may change it now: names in the kernel that no dead process can hold.

Several runs may share one link, and what one of them set up must stay until the last has ended. A file with a process id
in it outlives a SIGKILL; the name of an abstract Unix socket (unix(7)) does not, and it belongs to the network namespace,
as the link does. Anyone may bind any such name, so they tell who is there and protect nothing: a stranger who holds them
all can keep a link from being set up or cleared away, and has gained nothing else by it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Iterator

from phonecheck.errors import LinkError

_USERS = 64


class Claim:
    """One run's use of a link, until it is released or the process is gone."""

    def __init__(self, index: int, slot: int, sock: socket.socket) -> None:
        self.index = index
        self._slot = slot
        self._socket = sock

    @property
    def shared(self) -> bool:
        """Whether another run uses the link as well. A process forked off from this one is no other run."""
        return _in_use(self.index, besides=self._slot)

    def release(self) -> None:
        """End the use."""
        self._socket.close()


def claim(index: int) -> Claim:
    """Use the link whose device has that index.

    Raises:
        LinkError: bind-refused; more runs than anyone starts use it, or Unix sockets are forbidden here.
    """
    for slot in range(_USERS):
        sock = _bind(_user(index, slot), socket.SOCK_DGRAM)
        if sock is not None:
            return Claim(index, slot, sock)
    raise LinkError("bind-refused", "Too many processes use the link.", hint="See which: ss -xlp src '@phonecheck*'.")


def in_use(index: int) -> bool:
    """Whether any run uses the link."""
    return _in_use(index, besides=None)


@contextlib.contextmanager
def alone(index: int, seconds: float) -> Iterator[None]:
    """Be the only one to look at a link and change it; another's turn is waited for, and its end is noticed at once.

    Raises:
        LinkError: bind-refused; it did not come to its end in that time.
    """
    name = f"\0phonecheck/link/{index}/turn"
    until = time.monotonic() + seconds
    while (held := _bind(name, socket.SOCK_STREAM)) is None:
        left = until - time.monotonic()
        if left <= 0:
            message = f"Another process has been busy with the link for {seconds:.1f} s."
            raise LinkError("bind-refused", message, hint="See which: ss -xlp src '@phonecheck*'.")
        _wait_for_end(name, left)
    try:
        yield
    finally:
        held.close()


def _in_use(index: int, *, besides: int | None) -> bool:
    # To connect to a datagram socket leaves no trace with it; to bind the name for a look would be seen by others' looks.
    with _socket(socket.SOCK_DGRAM) as sock:
        for slot in range(_USERS):
            if slot != besides:
                with contextlib.suppress(ConnectionRefusedError):
                    sock.connect(_user(index, slot))
                    return True
    return False


def _user(index: int, slot: int) -> str:
    return f"\0phonecheck/link/{index}/user/{slot}"


def _bind(name: str, kind: socket.SocketKind) -> socket.socket | None:
    """A socket of that name, or None where there is one."""
    sock = _socket(kind)
    try:
        sock.bind(name)
        if kind is socket.SOCK_STREAM:
            sock.listen(_USERS)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise LinkError("bind-refused", f"The kernel refuses a Unix socket its name: {error.strerror}.") from None
    return sock


def _socket(kind: socket.SocketKind) -> socket.socket:
    try:
        return socket.socket(socket.AF_UNIX, kind)
    except OSError as error:
        hint = "Allow Unix sockets: in a unit, RestrictAddressFamilies= must hold AF_UNIX."
        message = f"The kernel gives this process no Unix socket: {error.strerror}."
        raise LinkError("bind-refused", message, hint=hint) from None


def _wait_for_end(name: str, seconds: float) -> None:
    """Wait until the socket at the name is closed. A connection that nobody accepts hears of it (ECONNRESET)."""
    with _socket(socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
        sock.settimeout(seconds)
        sock.connect(name)
        sock.recv(1)
