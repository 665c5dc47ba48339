"""The messages of the Mobile Broadband Interface Model, as the modem reads and writes them: bytes in, bytes out.

Source: "Universal Serial Bus Communications Class Subclass Specification for Mobile Broadband Interface Model",
revision 1.0 errata 1, called MBIM below: chapter 9 for the messages, chapter 10 for the information buffers in them.
All integers are little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

BASIC_CONNECT = UUID("a289cc33-bcbb-8b4f-b6b0-133ec2aae6df")
"""UUID_BASIC_CONNECT; a UUID is sent in the order it is written."""
INTERNET_CONTEXT = UUID("7e5e2a7e-4e6f-7272-736b-656e7e5e2a7e")
"""MBIMContextTypeInternet, MBIM 10.5.12."""

MAX_MESSAGE = 4096
"""The longest control message taken, in bytes: what the host of a real modem reads from wMaxControlMessage (MBIM 6.4)."""

_HEADER = struct.Struct("<III")
_FRAGMENT = struct.Struct("<II")
_COMMAND = struct.Struct("<16sIII")


class MessageType(IntEnum):
    """MBIM 9.1: a request of the host, or with the high bit a message of the modem."""

    OPEN = 1
    CLOSE = 2
    COMMAND = 3
    HOST_ERROR = 4
    OPEN_DONE = 0x80000001
    CLOSE_DONE = 0x80000002
    COMMAND_DONE = 0x80000003
    FUNCTION_ERROR = 0x80000004
    INDICATE_STATUS = 0x80000007


class ProtocolError(IntEnum):
    """What a FUNCTION_ERROR message says (MBIM 9.3.4)."""

    FRAGMENT_OUT_OF_SEQUENCE = 2
    LENGTH_MISMATCH = 3
    NOT_OPENED = 5
    UNKNOWN = 6


class Status(IntEnum):
    """The status of a COMMAND_DONE message (MBIM 9.4.5), as far as this modem has cause for it."""

    SUCCESS = 0
    BUSY = 1
    FAILURE = 2
    SIM_NOT_INSERTED = 3
    PIN_REQUIRED = 5
    NOT_REGISTERED = 7
    NO_DEVICE_SUPPORT = 9
    MAX_ACTIVATED_CONTEXTS = 13
    CONTEXT_NOT_ACTIVATED = 16
    INVALID_PARAMETERS = 21


class Cid(IntEnum):
    """The commands of the basic connect service (MBIM 10.5) that this modem has."""

    DEVICE_CAPS = 1
    SUBSCRIBER_READY_STATUS = 2
    RADIO_STATE = 3
    PIN = 4
    PIN_LIST = 5
    HOME_PROVIDER = 6
    VISIBLE_PROVIDERS = 8
    REGISTER_STATE = 9
    PACKET_SERVICE = 10
    SIGNAL_STATE = 11
    CONNECT = 12
    PROVISIONED_CONTEXTS = 13
    IP_CONFIGURATION = 15
    DEVICE_SERVICES = 16
    DEVICE_SERVICE_SUBSCRIBE_LIST = 19


class MalformedError(ValueError):
    """Bytes that are no such message or buffer."""


class Refused(Exception):
    """The answer is a status other than success, with the buffer that goes with it."""

    def __init__(self, status: Status, information: bytes = b"") -> None:
        super().__init__(status.name)
        self.status = status
        self.information = information


@dataclass(frozen=True, slots=True)
class Message:
    """A control message: its header taken apart, the rest as it came. ``kind`` may be no known `MessageType`."""

    kind: int
    transaction: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the wire (MBIM 9.1)."""
        return _HEADER.pack(self.kind, _HEADER.size + len(self.payload), self.transaction) + self.payload


@dataclass(frozen=True, slots=True)
class Command:
    """A COMMAND message: a query, or a set with its information buffer."""

    service: UUID
    cid: int
    is_set: bool = False
    information: bytes = b""

    @classmethod
    def parse(cls, payload: bytes) -> Command:
        """Read the payload of a COMMAND message (MBIM 9.3.3).

        Raises:
            MalformedError: cut short, of several fragments (nothing this modem serves needs them), or neither query nor set.
        """
        start = _FRAGMENT.size + _COMMAND.size
        if len(payload) < start:
            raise MalformedError("a command shorter than its own header")
        if _FRAGMENT.unpack_from(payload) != (1, 0):
            raise MalformedError("a command in fragments")
        service, cid, kind, length = _COMMAND.unpack_from(payload, _FRAGMENT.size)
        if kind > 1 or length != len(payload) - start:
            raise MalformedError("a command whose type or length is not so")
        return cls(UUID(bytes=service), cid, bool(kind), payload[start:])

    def encode(self, transaction: int) -> bytes:
        """The bytes a host sends."""
        fixed = _COMMAND.pack(self.service.bytes, self.cid, self.is_set, len(self.information))
        return Message(MessageType.COMMAND, transaction, _FRAGMENT.pack(1, 0) + fixed + self.information).encode()


def done(kind: MessageType, transaction: int, status: int) -> bytes:
    """An OPEN_DONE, CLOSE_DONE or FUNCTION_ERROR message (MBIM 9.4.1, 9.4.2, 9.4.4)."""
    return Message(kind, transaction, struct.pack("<I", status)).encode()


def command_done(command: Command, transaction: int, status: Status, information: bytes = b"") -> bytes:
    """The answer to a command (MBIM 9.4.3)."""
    fixed = _COMMAND.pack(command.service.bytes, command.cid, status, len(information))
    return Message(MessageType.COMMAND_DONE, transaction, _FRAGMENT.pack(1, 0) + fixed + information).encode()


def indication(cid: Cid, information: bytes) -> bytes:
    """An INDICATE_STATUS message of the basic connect service (MBIM 9.4.5); its transaction is always 0."""
    fixed = BASIC_CONNECT.bytes + struct.pack("<II", cid, len(information))
    return Message(MessageType.INDICATE_STATUS, 0, _FRAGMENT.pack(1, 0) + fixed + information).encode()


class Framer:
    """Cuts a stream of bytes into messages.

    On USB each transfer is one message; on a terminal only the length in the header ends one. A length that cannot be
    drops what is buffered, as there is no mark to find the next message by.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes as they come and yield each message that is now whole."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, length, transaction = _HEADER.unpack_from(self._buffer)
            if not _HEADER.size <= length <= MAX_MESSAGE:
                self._buffer.clear()
                return
            if len(self._buffer) < length:
                return
            payload = bytes(self._buffer[_HEADER.size : length])
            del self._buffer[:length]
            yield Message(kind, transaction, payload)


@dataclass(frozen=True, slots=True)
class Long:
    """A 64-bit field of an information buffer."""

    value: int


Field = int | Long | str | UUID | Sequence[str] | Sequence[bytes]


def encode(*fields: Field) -> bytes:
    """Build an information buffer (MBIM 10): fixed fields in order, and behind them what they point at.

    An int is 32 bits; a str becomes offset and size of its UTF-16; a sequence becomes such a pair for each of its
    elements (their count is a field of its own, not always beside them).
    """
    fixed, tail = bytearray(), bytearray()
    tail_start = sum(_width(field) for field in fields)

    def pointer(data: bytes) -> bytes:
        if not data:
            return bytes(8)
        at = tail_start + len(tail)
        tail.extend(data + bytes(-len(data) % 4))
        return struct.pack("<II", at, len(data))

    for field in fields:
        match field:
            case int():
                fixed += struct.pack("<I", field)
            case Long(value):
                fixed += struct.pack("<Q", value)
            case UUID():
                fixed += field.bytes
            case str():
                fixed += pointer(field.encode("utf-16-le"))
            case _:
                for element in field:
                    fixed += pointer(element.encode("utf-16-le") if isinstance(element, str) else element)
    return bytes(fixed + tail)


def _width(field: Field) -> int:
    match field:
        case int():
            return 4
        case UUID():
            return 16
        case Long() | str():
            return 8
        case _:
            return 8 * len(field)


def number(information: bytes, offset: int) -> int:
    """The 32-bit field at ``offset``.

    Raises:
        MalformedError: the buffer ends before it.
    """
    try:
        return int(struct.unpack_from("<I", information, offset)[0])
    except struct.error:
        raise MalformedError("a buffer that ends within a field") from None


def text(information: bytes, offset: int) -> str:
    """The text whose offset and size stand at ``offset``; empty where the size is 0.

    Raises:
        MalformedError: the pair or the text is not within the buffer, or is no UTF-16.
    """
    start, size = number(information, offset), number(information, offset + 4)
    if size == 0:
        return ""
    if start + size > len(information):
        raise MalformedError("a text outside its buffer")
    try:
        return information[start : start + size].decode("utf-16-le")
    except UnicodeDecodeError:
        raise MalformedError("a text that is no UTF-16") from None
