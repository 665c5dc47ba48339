"""Runs a command on the device and notes when what happened: EVENT COMMAND…  → one JSON object, as device.py's Seen.

Watched are D-Bus, as a monitor, the kernel's news of links and addresses, what leaves by the modem, the command's output
and its end. A time is taken as the witness is woken, by CLOCK_MONOTONIC, and counts from just before the command's start.
What was read is understood when all is over, so that no time waits for Python.

Where an EVENT is given, the sandbox is asked for it as soon as a hop is awaited, as `phonecheck-sandbox ctl` would.
"""  # noqa: INP001  a script

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

from phonecheck_sandbox import control, world

_INTERFACE = "wwan0"
_MODEM_MANAGER = "org.freedesktop.ModemManager1"
_CONNECTED = 11  # MMModemState
_OPERATOR = frozenset(a.packed for a in (world.MNO_START, world.MNO_ENRICH, world.MNO_IDENTITY))
_QUIET_MS = 100
"""When nothing has left for so long, the operator's answer is awaited."""
_TICK_MS = 20
_ETH_P_ALL = 3  # linux/if_ether.h; a socket of ETH_P_IP is not shown what leaves
_GROUPS = 0x1 | 0x10 | 0x100  # linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_NEWLINK, _DELLINK, _NEWADDR, _DELADDR = 16, 17, 20, 21
_UP = 0x1  # linux/if.h

Heard = list[tuple[float, bytes]]
"""What was read, and when."""


class Witness:
    """Everything that is to be seen on the device.

    Args:
        event: a request to the sandbox, or none.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._line = open_dbus_connection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
        monitoring = DBusAddress(
            "/org/freedesktop/DBus", "org.freedesktop.DBus", interface="org.freedesktop.DBus.Monitoring"
        )
        self._line.send_and_get_reply(new_method_call(monitoring, "BecomeMonitor", "asu", ([], 0)))
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._kernel.bind((0, _GROUPS))
        self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._index = socket.if_nametoindex(_INTERFACE)
        self._bus_said: Heard = []
        self._kernel_said: Heard = []
        self._command_said: Heard = []
        self._left: list[tuple[float, bytes]] = []
        self._asked: float | None = None
        self._ended: float | None = None
        self._began = 0.0

    def see(self, command: list[str]) -> dict[str, Any]:
        """Run the command to its end, and tell what happened meanwhile."""
        out, into = os.pipe()
        self._began = time.monotonic()
        child = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, into, 1)])
        os.close(into)
        self._watch(out, os.pidfd_open(child))
        _, status = os.waitpid(child, 0)
        messages = list(self._messages())
        asked = self._asked
        news = list(self._news())
        losses = [at for at, lost in (*_losses(messages), *news) if lost and asked is not None and at > asked]
        configured = next((at for at, lost in news if not lost), None)
        return {
            "stdout": b"".join(data for _, data in self._command_said).decode(),
            "status": os.waitstatus_to_exitcode(status),
            "answered": self._command_said[0][0] if self._command_said else self._ended,
            "ended": self._ended,
            "calls": list(_calls(messages)),
            "states": [(message.body[1], at) for at, message in messages if _is_signal(message, "StateChanged")],
            "reading": _reading(messages, configured),
            "configured": configured,
            "first_packet": self._left[0][0] if self._left else None,
            "asked": asked,
            "lost": min(losses, default=None),
        }

    def _watch(self, out: int, end: int) -> None:
        """Read all there is to read until the command has ended."""
        poll = select.poll()
        takes: dict[int, Callable[[float], bool]] = {
            self._line.sock.fileno(): lambda at: _take(self._bus_said, at, self._line.sock.recv(1 << 20)),
            self._kernel.fileno(): lambda at: _take(self._kernel_said, at, self._kernel.recv(1 << 16)),
            self._packets.fileno(): self._take_packet,
            out: lambda at: _take(self._command_said, at, os.read(out, 1 << 20)),
            end: self._take_end,
        }
        for descriptor in takes:
            poll.register(descriptor, select.POLLIN)
        while self._ended is None:
            ready = poll.poll(_TICK_MS)
            now = self._now()
            for descriptor, _ in ready:
                if not takes[descriptor](now):
                    poll.unregister(descriptor)
            self._ask_in_time(now)

    def _now(self) -> float:
        return (time.monotonic() - self._began) * 1000

    def _take_packet(self, now: float) -> bool:
        data, (interface, _, kind, *_) = self._packets.recvfrom(1 << 16)
        if interface == _INTERFACE and kind == socket.PACKET_OUTGOING and data[0] >> 4 == 4:
            self._left.append((now, data[16:20]))
        return True

    def _take_end(self, now: float) -> bool:
        self._ended = now
        return True

    def _ask_in_time(self, now: float) -> None:
        if not self._event or self._asked is not None:
            return
        # Of all packets, for acknowledgements to the platform may come after the request to the operator.
        if any(to in _OPERATOR for _, to in self._left) and now - self._left[-1][0] > _QUIET_MS:
            asking = threading.Thread(target=control.ask, args=(os.environ[control.INSIDE], [self._event]))
            self._asked = self._now()
            asking.start()

    def _messages(self) -> Iterator[tuple[float, Message]]:
        parser = self._line.parser  # it may hold the begin of what was read first
        for at, data in self._bus_said:
            parser.add_data(data)
            while (message := parser.get_next_message()) is not None:
                yield at, message

    def _news(self) -> Iterator[tuple[float, bool]]:
        """When the kernel told of a new address on the device; and with True, of its end, its being down, a lost address."""
        for at, data in self._kernel_said:
            rest = data
            while len(rest) >= 16:
                length, kind = struct.unpack_from("=IH", rest)
                body, rest = rest[16:length], rest[(length + 3) & ~3 :]
                # Both of struct ifinfomsg and of struct ifaddrmsg, the second word is the device's index.
                (index,) = struct.unpack_from("=i", body, 4)
                down = kind == _NEWLINK and not struct.unpack_from("=I", body, 8)[0] & _UP
                if index == self._index and (down or kind in (_DELLINK, _NEWADDR, _DELADDR)):
                    yield at, kind != _NEWADDR


def _take(heard: Heard, at: float, data: bytes) -> bool:
    """Keep it; false at the end of a pipe."""
    if data:
        heard.append((at, data))
    return bool(data)


def _field(message: Message, field: HeaderFields) -> Any:
    return message.header.fields.get(field)


def _is_signal(message: Message, member: str) -> bool:
    return message.header.message_type is MessageType.signal and _field(message, HeaderFields.member) == member


def _calls(messages: list[tuple[float, Message]]) -> Iterator[tuple[str, float, float]]:
    """The calls of ModemManager's own methods: name, when made, when answered."""
    made: dict[tuple[str, int], tuple[str, float]] = {}
    for at, message in messages:
        if message.header.message_type is MessageType.method_call:
            if str(_field(message, HeaderFields.interface)).startswith(_MODEM_MANAGER):
                key = (_field(message, HeaderFields.sender), message.header.serial)
                made[key] = (_field(message, HeaderFields.member), at)
        elif message.header.message_type is not MessageType.signal:
            key = (_field(message, HeaderFields.destination), _field(message, HeaderFields.reply_serial))
            if key in made:
                yield *made.pop(key), at


def _reading(messages: list[tuple[float, Message]], until: float | None) -> tuple[float, float] | None:
    """From the command's first word on the bus to the last answer that it had until then."""
    began = name = None
    ended = 0.0
    for at, message in messages:
        if name is None and _field(message, HeaderFields.member) == "Hello":
            began, name = at, _field(message, HeaderFields.sender)
        elif message.header.message_type is MessageType.method_return and until is not None and at < until:
            ended = at if _field(message, HeaderFields.destination) == name else ended
    return None if began is None else (began, ended)


def _losses(messages: list[tuple[float, Message]]) -> Iterator[tuple[float, bool]]:
    """When the bus told that the modem left the state connected, a bearer or a modem went, or ModemManager did."""
    for at, message in messages:
        left = _is_signal(message, "StateChanged") and message.body[0] == _CONNECTED
        gone = _is_signal(message, "InterfacesRemoved")
        stopped = _is_signal(message, "NameOwnerChanged") and message.body[0::2] == (_MODEM_MANAGER, "")
        dropped = (
            _is_signal(message, "PropertiesChanged")
            and message.body[0] == f"{_MODEM_MANAGER}.Bearer"
            and message.body[1].get("Connected") == ("b", False)
        )
        if left or gone or stopped or dropped:
            yield at, True


if __name__ == "__main__":
    json.dump(Witness(sys.argv[1]).see(sys.argv[2:]), sys.stdout)
