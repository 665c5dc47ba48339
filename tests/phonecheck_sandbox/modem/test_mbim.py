import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_sandbox.modem.mbim import (
    BASIC_CONNECT,
    MAX_MESSAGE,
    Cid,
    Command,
    Framer,
    Long,
    MalformedError,
    Message,
    MessageType,
    Status,
    command_done,
    encode,
    indication,
    number,
    text,
)

messages = st.builds(
    Message, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=MAX_MESSAGE - 12)
)


def test_messages_have_the_bytes_of_the_specification() -> None:
    command = Command(BASIC_CONNECT, Cid.RADIO_STATE, is_set=True, information=encode(1))
    service = bytes.fromhex("a289cc33bcbb8b4fb6b0133ec2aae6df")
    ints = struct.Struct("<III")
    assert command.encode(7) == (
        ints.pack(3, 52, 7) + struct.pack("<II", 1, 0) + service + ints.pack(3, 1, 4) + b"\1\0\0\0"
    )
    assert command_done(command, 7, Status.NOT_REGISTERED, b"abcd") == (
        ints.pack(0x80000003, 52, 7) + struct.pack("<II", 1, 0) + service + ints.pack(3, 7, 4) + b"abcd"
    )
    assert indication(Cid.CONNECT, b"abcd") == (
        ints.pack(0x80000007, 48, 0) + struct.pack("<II", 1, 0) + service + struct.pack("<II", 12, 4) + b"abcd"
    )


def test_a_buffer_points_at_what_stands_behind_its_fixed_fields() -> None:
    buffer = encode(1, "abc", Long(2), "", ["d", "ef"])
    assert buffer == (
        struct.pack("<I II Q II IIII", 1, 44, 6, 2, 0, 0, 4 * 13, 2, 4 * 14, 4)
        + "abc\0".encode("utf-16-le")
        + "d\0".encode("utf-16-le")
        + "ef".encode("utf-16-le")
    )
    assert (number(buffer, 0), text(buffer, 4), text(buffer, 20), text(buffer, 36)) == (1, "abc", "", "ef")


@given(st.lists(messages, max_size=4), st.data())
def test_a_stream_is_cut_into_the_same_messages_however_it_comes(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(message.encode() for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer = Framer()
    got = [m for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for m in framer.feed(stream[a:b])]
    assert got == sent


@pytest.mark.parametrize("length", [0, 11, MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_drops_what_came_and_no_more(length: int) -> None:
    framer = Framer()
    assert list(framer.feed(struct.pack("<III", 3, length, 1) + b"more")) == []
    opened = Message(MessageType.OPEN, 2, b"\0\x10\0\0")
    assert list(framer.feed(opened.encode())) == [opened]


@given(st.binary(max_size=64))
def test_a_command_is_read_or_refused(payload: bytes) -> None:
    try:
        command = Command.parse(payload)
    except MalformedError:
        return
    assert command.encode(1)[12:] == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        struct.pack("<II16sIII", 2, 0, b"", 1, 0, 0),
        struct.pack("<II16sIII", 1, 0, b"", 1, 2, 0),
        struct.pack("<II16sIII", 1, 0, b"", 1, 0, 1),
    ],
    ids=["empty", "fragment", "neither query nor set", "length"],
)
def test_a_malformed_command_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        Command.parse(payload)


@given(st.binary(max_size=48), st.integers(0, 60))
def test_a_text_is_read_or_refused(buffer: bytes, offset: int) -> None:
    try:
        found = text(buffer, offset)
    except MalformedError:
        return
    assert found.encode("utf-16-le") in buffer


@pytest.mark.parametrize(
    "buffer",
    [
        b"\0\0\0",
        struct.pack("<II", 8, 4) + b"a\0",
        struct.pack("<II", 8, 1) + b"a",
        struct.pack("<II", 8, 2) + b"\0\xd8",
    ],
    ids=["no pair", "beyond the end", "half a unit", "half a surrogate"],
)
def test_a_text_that_is_none_is_refused(buffer: bytes) -> None:
    with pytest.raises(MalformedError):
        text(buffer, 0)
