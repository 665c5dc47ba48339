from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck.service.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@phonecheck-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0") if request.param == "abstract" else name)
        sock.settimeout(5)
        yield sock, name


def test_what_is_told(manager):
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.watchdog()
    notifier.say("waiting: not-registered,\nanother try in 30 s\n")
    notifier.stopping()
    assert [sock.recv(999) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STATUS=waiting: not-registered, another try in 30 s",
        b"STOPPING=1",
    ]


def test_a_reload_says_when(manager):
    sock, name = manager
    before = time.monotonic_ns() // 1000
    Notifier({"NOTIFY_SOCKET": name}).reloading()
    first, second = sock.recv(999).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_manager_that_is_not_there_or_does_not_read_stops_nobody(manager, tmp_path):
    _, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(2000):
        notifier.watchdog()
    for nobody in (str(tmp_path / "nowhere"), "@nobody", "vsock:2:1234", "", "relative"):
        Notifier({"NOTIFY_SOCKET": nobody}).ready()
    Notifier({}).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "-1"}, 0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, 0),
    ],
)
def test_how_often_a_sign_of_life_is_expected(environ, seconds):
    assert Notifier(environ).watchdog_seconds == seconds
