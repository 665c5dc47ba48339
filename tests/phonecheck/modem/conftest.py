"""Dictionaries as ModemManager 1.20 gave them for a virtual MBIM modem, and private buses with a peer of our own."""

from __future__ import annotations

import contextlib
import copy
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from phonecheck.modem import names
from phonecheck.modem.bus import ModemBus

MODEM, SIM, BEARER = f"{names.ROOT}/Modem/0", f"{names.ROOT}/SIM/0", f"{names.ROOT}/Bearer/0"

CAPTURED: dict[str, dict[str, dict[str, Any]]] = {
    MODEM: {
        names.MODEM: {
            "AccessTechnologies": 1 << 14,
            "Bearers": [BEARER],
            "CurrentModes": (14, 0),
            "Device": "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1",
            "EquipmentIdentifier": "867223029999992",
            "Manufacturer": "Linux Foundation",
            "Model": "Virtual MBIM modem",
            "OwnNumbers": ["+447700900123"],
            "Ports": [("cdc-wdm0", 7), ("wwan0", 2)],
            "SignalQuality": (67, True),
            "Sim": SIM,
            "State": 11,
            "StateFailedReason": 0,
            "UnlockRequired": 1,
            "UnlockRetries": {2: 3},
        },
        names.MODEM_3GPP: {
            "Imei": "867223029999992",
            "OperatorCode": "00101",
            "OperatorName": "Testnet LTE",
            "PacketServiceState": 2,
            "RegistrationState": 1,
        },
    },
    SIM: {
        names.SIM: {
            "Active": True,
            "Imsi": "001010123456789",
            "OperatorIdentifier": "00101",
            "OperatorName": "Testnet LTE",
            "SimIdentifier": "8944001012345678909",
        }
    },
    BEARER: {
        names.BEARER: {
            "BearerType": 1,
            "Connected": True,
            "ConnectionError": ("", ""),
            "Interface": "wwan0",
            "Ip4Config": {
                "address": "10.64.0.2",
                "dns1": "10.64.0.53",
                "dns2": "10.64.1.53",
                "gateway": "10.64.0.1",
                "method": 2,
                "mtu": 1430,
                "prefix": 30,
            },
            "Ip6Config": {"method": 0},
            "Properties": {"apn": "internet", "ip-type": 4, "profile-id": -1},
            "Suspended": False,
        }
    },
}


@pytest.fixture
def objects() -> dict[str, dict[str, dict[str, Any]]]:
    """A modem, its SIM and its bearer, connected; to be changed at will."""
    return copy.deepcopy(CAPTURED)


class Bus:
    """A dbus-daemon of the test's own, with its socket in a directory; it can be stopped and started again."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.address = f"unix:path={directory}/bus"
        self._config = directory / "bus.conf"
        self.configure(extra)

    def configure(self, extra: str) -> None:
        self._config.write_text(
            '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
            ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
            f"<busconfig><type>system</type><listen>{self.address}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>'
            f'<allow receive_sender="*"/></policy>{extra}</busconfig>'
        )

    def start(self) -> None:
        command = ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile", "--print-address=1"]
        self._daemon = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline(), "dbus-daemon did not start"

    def stop(self) -> None:
        self._daemon.kill()
        self._daemon.communicate()


@pytest.fixture
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bus]:
    """A bus that runs; an indirect parameter is more of its configuration."""
    if not shutil.which("dbus-daemon"):
        pytest.skip("dbus-daemon is not installed")
    # Imported here, and its warnings with it: gi's importer is of a kind that Python 3.11 warns of.
    pytest.importorskip("pydbus", reason="python3-gi is not installed")
    made = Bus(tmp_path, getattr(request, "param", ""))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def modem_bus(bus: Bus) -> Iterator[ModemBus]:
    client = ModemBus(bus.address)
    yield client
    client.close()


Answer = tuple[str, tuple[Any, ...]] | dict[str, str] | Literal["silence", "hang up"]
"""Signature and body of a reply, ``{error name: message}``, no answer at all, or leaving the bus instead."""


@dataclass
class Peer:
    """Whoever owns a name, ModemManager's by default: answers calls by method and path, and says what it was asked."""

    address: str
    answers: dict[tuple[str, str], Answer]
    service: str = names.SERVICE
    bodies: list[tuple[Any, ...]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    was_asked: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection

        self._connection = open_dbus_connection(self.address)
        self._connection.send_and_get_reply(message_bus.RequestName(self.service))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        from jeepney import HeaderFields, MessageType, new_error, new_method_return

        with contextlib.suppress(OSError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is not MessageType.method_call:
                    continue
                call = tuple(message.header.fields[f] for f in (HeaderFields.member, HeaderFields.path))
                self.asked.append(call)
                self.bodies.append(message.body)
                self.was_asked.set()
                match self.answers.get(call, {"org.freedesktop.DBus.Error.UnknownMethod": "no such object"}):
                    case dict() as error:
                        ((name, text),) = error.items()
                        self._connection.send(new_error(message, name, "s", (text,)))
                    case "hang up":
                        self._connection.sock.shutdown(socket.SHUT_RDWR)
                        return
                    case (signature, body):
                        self._connection.send(new_method_return(message, signature, body))

    def emit(self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]) -> None:
        from jeepney import DBusAddress, new_signal

        self._connection.send(new_signal(DBusAddress(path, interface=interface), member, signature, body))

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


@pytest.fixture
def peer(bus: Bus) -> Iterator[Callable[..., Peer]]:
    pytest.importorskip("jeepney")
    with contextlib.ExitStack() as stack:

        def start(answers: dict[tuple[str, str], Answer], service: str = names.SERVICE) -> Peer:
            made = Peer(bus.address, answers, service)
            made.start()
            stack.callback(made.stop)
            return made

        yield start
