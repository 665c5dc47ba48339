"""A bus as strict as a device's system bus, and the service's API on it: GLib's default loop in a thread, made-up calls."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SYSTEMD = Path(__file__).parents[1] / "systemd"

# /usr/share/dbus-1/system.conf, what matters of it: what is not allowed is refused.
STRICT = """
<policy context="default">
  <allow user="*"/> <deny own="*"/> <deny send_type="method_call"/>
  <allow send_type="signal"/>
  <allow send_requested_reply="true" send_type="method_return"/> <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/> <allow receive_type="method_return"/>
  <allow receive_type="error"/> <allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus"/>
  <allow own="org.freedesktop.PolicyKit1"/> <allow send_destination="org.freedesktop.PolicyKit1"/>
</policy>
"""
OPEN = """
<policy context="default">
  <allow user="*"/> <allow own="*"/> <allow send_destination="*"/> <allow receive_sender="*"/>
</policy>
"""


class ServiceBus:
    """A dbus-daemon of the test's own, which any user of the machine can reach; it can be stopped and started again."""

    def __init__(self, directory: Path, more: str = OPEN) -> None:
        # Not a socket in the test's directory, which is its user's alone.
        self.address = f"unix:abstract=phonecheck-{directory.name}-{id(self)}"
        self._config = directory / "bus.conf"
        self._config.write_text(
            '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
            ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
            f"<busconfig><type>system</type><listen>{self.address}</listen><auth>EXTERNAL</auth>{more}</busconfig>"
        )

    def start(self) -> None:
        command = ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile", "--print-address=1"]
        pipe = subprocess.PIPE
        self._daemon = subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        assert self._daemon.stdout is not None
        if not self._daemon.stdout.readline():
            self.stop()
            pytest.fail("dbus-daemon did not start")

    def stop(self) -> None:
        self._daemon.kill()
        self._daemon.communicate()


class LoopInThread:
    """GLib's default context, turned by a thread; times are real."""

    def __init__(self) -> None:
        from gi.repository import GLib

        self._glib = GLib
        self._loop = GLib.MainLoop()
        self._thread = threading.Thread(target=self._loop.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.run(lambda: None)

    def stop(self) -> None:
        self.soon(self._loop.quit)
        self._thread.join()

    def run(self, work: Callable[[], Any]) -> Any:
        """Do something in the loop and wait for what it returns or raises."""
        done = threading.Event()
        result: list[Any] = []

        def turn() -> None:
            try:
                result.extend((work(), None))
            except Exception as error:  # noqa: BLE001  raised again where the result is awaited
                result.extend((None, error))
            done.set()

        self.soon(turn)
        assert done.wait(20), "the loop does not turn"
        value, error = result
        if error is not None:
            raise error
        return value

    # The service's Loop.
    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def later(self, seconds: float, do: Callable[[], None]) -> Any:
        source = self._glib.timeout_source_new(int(seconds * 1000))
        source.set_callback(lambda *_: do())
        source.attach(None)

        class Timer:
            def cancel(self) -> None:
                source.destroy()

        return Timer()

    def readable(self, fd: int, do: Callable[[], None]) -> Any:
        raise NotImplementedError

    def soon(self, do: Callable[[], None]) -> None:
        source = self._glib.idle_source_new()
        source.set_callback(lambda *_: do())
        source.attach(None)


def result(**more: Any) -> dict[str, Any]:
    """A check's result as the service tells it."""
    return {
        "id": "1f2e",
        "trigger": "request",
        "outcome": "match",
        "at": 1800000000,
        "ms": 512.4,
        "exit_status": 0,
        "document": '{"schema": 1, "outcome": "match", "match": true}',
        "match": True,
    } | more


@dataclass
class FakeCalls:
    """The service behind the API. ``checks`` are those that it remembers; ``told`` is what Verify was asked."""

    checks: dict[str, dict[str, Any]] = field(default_factory=lambda: {"1f2e": {"state": "done", **result()}})
    told: list[Mapping[str, Any]] = field(default_factory=list)
    raises: Exception | None = None
    state: str = "idle"
    id: str = "1f2e"
    last: dict[str, Any] = field(default_factory=dict)
    verified: Callable[[], None] = lambda: None

    def verify(self, given: Mapping[str, Any]) -> str:
        from phonecheck.service.options import options_of

        if self.raises:
            raise self.raises
        options_of(given)
        self.told.append(given)
        self.verified()
        return self.id

    def check(self, id: str) -> Mapping[str, Any]:  # noqa: A002
        from phonecheck.errors import ServiceError

        if id not in self.checks:
            raise ServiceError("unknown-check", "The service remembers no check of this id.")
        return self.checks[id]

    def history(self, limit: int) -> list[dict[str, Any]]:
        self.limit = limit
        return [result(id=str(n)) for n in range(3)][:limit]

    def properties(self) -> Mapping[str, Any]:
        return {
            "State": self.state,
            "LastResult": self.last,
            "NextRun": 1800003600,
            "Version": "0.1.0",
            "Outbox": 2,
            "Dropped": 0,
            "Problem": "",
            "Totals": [("inconclusive", "hop-timeout", 3, 15.25), ("match", "", 17, 8.5)],
            "LastSuccess": 1799990000,
        }


@dataclass
class FakePolkit:
    """Answers CheckAuthorization: yes, no, an error of that name, or not at all."""

    address: str
    answer: str = "yes"
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def start(self) -> None:
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection

        self._connection = open_dbus_connection(self.address)
        self._connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.PolicyKit1"))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        from jeepney import MessageType, new_error, new_method_return

        with contextlib.suppress(OSError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is not MessageType.method_call:
                    continue
                self.asked.append(message.body)
                if self.answer in ("yes", "no"):
                    body = ((self.answer == "yes", False, {}),)
                    self._connection.send(new_method_return(message, "(bba{ss})", body))
                elif self.answer:
                    self._connection.send(new_error(message, self.answer, "s", ("no",)))

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


@contextlib.contextmanager
def a_bus(directory: Path, policy: str = OPEN) -> Iterator[ServiceBus]:
    if not shutil.which("dbus-daemon"):
        pytest.skip("dbus-daemon is not installed")
    # Imported here, and its warnings with it: gi's importer is of a kind that Python 3.11 warns of.
    pytest.importorskip("pydbus", reason="python3-gi is not installed")
    pytest.importorskip("jeepney")
    made = ServiceBus(directory, policy)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def a_loop() -> Iterator[LoopInThread]:
    made = LoopInThread()
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def an_api(address: str, loop: LoopInThread, calls: FakeCalls) -> Iterator[Any]:
    """The service's API on the bus, with its name."""
    from phonecheck.service.dbus import Api

    made = loop.run(lambda: Api(address, loop, calls))
    loop.run(made.start)
    try:
        yield made
    finally:
        loop.run(made.close)
