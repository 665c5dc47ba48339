"""The end of an exchange's sockets, on loopback: who closes first, and what is waited for."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from phonecheck.errors import LinkError
from phonecheck.link.closing import Closing


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over loopback: our side and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.settimeout(5)
        yield ours, theirs
        ours.close()
        theirs.close()


def test_a_held_connection_outlives_whoever_closes_it(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    held = Closing()
    held.hold(ours)
    ours.close()
    theirs.settimeout(0.05)
    with pytest.raises(TimeoutError):
        theirs.recv(1)
    theirs.settimeout(5)
    threading.Thread(target=held.finish).start()
    assert theirs.recv(1) == b""


def test_finish_waits_for_the_peer_and_takes_in_what_still_comes(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    held = Closing()
    held.hold(ours)
    ours.close()
    waiting = threading.Thread(target=held.finish)
    waiting.start()
    assert theirs.recv(1) == b""
    # A peer that had more to say is not reset for it.
    theirs.sendall(b"late" * 1000)
    assert waiting.is_alive()
    theirs.shutdown(socket.SHUT_WR)
    waiting.join(5)
    assert not waiting.is_alive()
    assert theirs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_a_peer_that_never_closes_is_left(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    held = Closing(wait=0.05)
    held.hold(ours)
    ours.close()
    held.finish()
    assert theirs.recv(1) == b""


def test_a_peer_that_sends_without_end_is_reset_once_it_has_fallen_silent(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    ended = threading.Event()

    def flood() -> None:
        try:
            while True:
                theirs.sendall(b"x" * 65536)
        except OSError:
            ended.set()

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    held = Closing()
    held.hold(ours)
    ours.close()
    held.finish()
    assert ended.wait(5)


def test_what_never_connected_is_not_waited_for() -> None:
    held = Closing(wait=60)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as sock:
            held.hold(sock)
    waiting = threading.Thread(target=held.finish, daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()


def asked() -> tuple[socket.socket, socket.socket]:
    """A question by UDP over loopback: our socket and the server's."""
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    ours = socket.socket(type=socket.SOCK_DGRAM)
    ours.connect(server.getsockname())
    return ours, server


def test_a_question_is_held_until_it_is_answered() -> None:
    ours, server = asked()
    held = Closing(wait=60)
    with ours, server:
        held.hold(ours)
        ours.send(b"?")
        client = server.recvfrom(10)[1]
        ours.close()
        waiting = threading.Thread(target=held.finish, daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        server.sendto(b"!", client)
        waiting.join(5)
        assert not waiting.is_alive()


def test_a_question_that_was_answered_and_one_that_had_its_time_are_not_waited_for() -> None:
    ours, server = asked()
    with ours, server:
        held = Closing(wait=60)
        held.hold(ours)
        ours.shutdown(socket.SHUT_RDWR)
        held.finish()
    # A slow peer beside it keeps what has had its time out of the way.
    ours, server = asked()
    with ours, server, socket.create_server(("127.0.0.1", 0)) as listener:
        held = Closing(wait=0.2)
        held.hold(ours)
        time.sleep(0.1)
        with socket.create_connection(listener.getsockname()) as slow:
            held.hold(slow)
            held.finish()


GONE = LinkError("interface-gone", "The modem was pulled.")


def test_who_waits_is_woken_and_who_would_wait_is_not_let(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    held = Closing()
    held.hold(ours)
    threading.Timer(0.05, held.abort, [GONE]).start()
    with pytest.raises(LinkError, match="pulled"):
        held.wait([ours], select.POLLIN, 60)
    held.abort(LinkError("interface-gone", "The second word is not heard."))
    for attempt in (lambda: held.wait([ours], select.POLLIN, 60), lambda: held.hold(ours)):
        with pytest.raises(LinkError, match="pulled"):
            attempt()
    # Nothing was done to the connection: a link that carries it is left with good manners.
    theirs.settimeout(0.05)
    with pytest.raises(TimeoutError):
        theirs.recv(1)
    theirs.close()
    held.finish()


def test_waiting_says_which_are_ready_and_ends_with_its_time(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    held = Closing()
    assert held.wait([ours, theirs], select.POLLIN, 0.01) == []
    theirs.send(b"x")
    assert held.wait([theirs, ours], select.POLLIN, 60) == [ours]


def test_a_closing_leaves_no_descriptor() -> None:
    # In a process of its own: threads that other tests left behind open and close descriptors too.
    script = """
import gc, os
from phonecheck.errors import LinkError
from phonecheck.link.closing import Closing
def descriptors():
    return sorted(os.listdir("/proc/self/fd"))
before = descriptors()
for _ in range(3):
    Closing().abort(LinkError("interface-gone", "gone"))
gc.collect()
assert descriptors() == before, descriptors()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12's, where threads of other tests are alive
def test_lingering_sees_off_what_another_process_held(pair: tuple[socket.socket, socket.socket]) -> None:
    """The threads that were to close it are not in a process that was forked off; its descriptors are."""
    ours, theirs = pair
    held = Closing(wait=0.3)
    held.hold(ours)
    child = os.fork()
    if child == 0:
        try:
            held.linger()
        finally:
            os._exit(0)
    ours.close()
    theirs.shutdown(socket.SHUT_WR)
    assert theirs.recv(1) == b""
    assert os.waitpid(child, 0)[1] == 0
    held.finish()
