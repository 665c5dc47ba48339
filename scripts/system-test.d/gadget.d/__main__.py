"""A USB LTE modem in software, inside a virtual machine: ``python3 DIRECTORY`` runs it, at first not plugged in.

``python3 DIRECTORY VERB`` acts on the one that runs:
    plug, unplug      put it in, pull it
    swap              put the other SIM in, which takes a power cycle
    lose, find        lose the network, find it again
"""  # noqa: INP001  a program of its own

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Interface
from pathlib import Path

import usb
from dialogue import Sim, State, answer

CONTROL = Path("/run/lte-modem")
_HALF_SECOND = 0.5
_SIMS = (
    # The sandbox's two subscribers (phonecheck_sandbox/world.py): its MNO knows them by these addresses.
    Sim("001010123456789", "8944001012345678909", "447700900123", IPv4Interface("10.64.0.2/30")),
    Sim("001010987654321", "8944001019876543211", "447700900456", IPv4Interface("10.64.0.6/30")),
)


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class Port:
    """One of the modem's serial ports. A terminal whose other end was pulled is opened anew."""

    def __init__(self, terminal: Path, state: State) -> None:
        self._terminal = terminal
        self._state = state
        self._heard = b""
        self.fd = self._open()

    def _open(self) -> int:
        fd = os.open(self._terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(fd)
        return fd

    def reopen(self) -> None:
        """Forget what was said and begin anew."""
        os.close(self.fd)
        self._heard = b""
        self.fd = self._open()

    def listen(self) -> bool:
        """Answer what has come; False where the terminal was hung up."""
        try:
            heard = os.read(self.fd, 4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self._heard = (self._heard + heard).split(b"\r")
        for line in lines:
            self._answer(line.decode("latin-1"))
        return bool(heard)

    def _answer(self, line: str) -> None:
        # What precedes AT is line noise, or what a prober sent before it knew what this is (V.250, 5.2.1).
        command = line.strip(" \n\0")
        start = command.upper().find("AT")
        if start < 0:
            return
        if self._state.echo == "1":
            self.say(line + "\r")
        said = answer(self._state, command[start + 2 :])
        _log(f"{self._terminal.name} {command!r} -> {said.split()}")
        self.say(said)

    def say(self, text: str) -> None:
        """Send it, as far as somebody takes it."""
        with suppress(OSError):
            os.write(self.fd, text.encode("latin-1"))


class Modem:
    """The ports, their state, and who may act on them."""

    def __init__(self) -> None:
        self._state = State(_SIMS[0])
        self._ports = [Port(terminal, self._state) for terminal in usb.build()]
        self._selector = selectors.DefaultSelector()
        for port in self._ports:
            self._selector.register(port.fd, selectors.EVENT_READ, port)
        self._control = socket.socket(socket.AF_UNIX)
        CONTROL.unlink(missing_ok=True)
        self._control.bind(str(CONTROL))
        self._control.listen()
        self._selector.register(self._control, selectors.EVENT_READ)
        self._verbs: dict[str, Callable[[], None]] = {
            "plug": usb.plug,
            "unplug": self._unplug,
            "swap": self._swap,
            "lose": lambda: self._serve(False),
            "find": lambda: self._serve(True),
        }

    def run(self) -> None:
        """Serve until a signal's exception."""
        usb.make_network_end()
        ready()
        try:
            while True:
                for key, _ in self._selector.select():
                    if isinstance(key.data, Port):
                        self._hear(key.data)
                    else:
                        self._act()
        finally:
            for port in self._ports:
                os.close(port.fd)
            usb.dismantle()
            CONTROL.unlink(missing_ok=True)

    def _hear(self, port: Port) -> None:
        if not port.listen():
            self._selector.unregister(port.fd)
            port.reopen()
            self._selector.register(port.fd, selectors.EVENT_READ, port)

    def _act(self) -> None:
        connection, _ = self._control.accept()
        with connection:
            verb = connection.recv(64).decode("latin-1").strip()
            _log(verb)
            do = self._verbs.get(verb)
            if do:
                do()
            connection.sendall(b"ok" if do else f"there is no {verb}".encode())

    def _unplug(self) -> None:
        usb.unplug()
        self._state.restart()

    def _swap(self) -> None:
        self._unplug()
        self._state.sim = _SIMS[1 - _SIMS.index(self._state.sim)]
        time.sleep(_HALF_SECOND)
        usb.plug()

    def _serve(self, served: bool) -> None:
        self._state.served = served
        for line in self._state.changed():
            self._ports[0].say(f"\r\n{line}\r\n")


def ready() -> None:
    """Tell systemd that the modem can be plugged in, and that its network's end is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        if address := os.environ.get("NOTIFY_SOCKET"):
            manager.sendto(b"READY=1", address)


def ask(verb: str) -> None:
    """Have the modem that runs do it."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(CONTROL))
        control.sendall(verb.encode())
        if (said := control.recv(64)) != b"ok":
            sys.exit(said.decode())


def act(verb: str) -> None:
    """The same; and what is plugged in is replugged until its network card has heard of its carrier."""
    ask(verb)
    while verb in ("plug", "swap") and not usb.carrier_told():
        ask("unplug")
        ask("plug")


def main() -> None:
    """The program."""
    if words := sys.argv[1:]:
        act(words[0])
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Modem().run()


if __name__ == "__main__":
    main()
