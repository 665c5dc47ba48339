from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_sandbox import control
from phonecheck_sandbox.control import Request, decode, encode, parse, running
from phonecheck_sandbox.errors import SandboxError

TABLE = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20813 @phonecheck-sandbox-1000-4242
0000000000000000: 00000003 00000000 00000000 0001 03 20899 @phonecheck-sandbox-1000-4242
0000000000000000: 00000002 00000000 00010000 0001 01 20814 @phonecheck-sandbox-0-17
0000000000000000: 00000002 00000000 00010000 0001 01 20815 /run/dbus/system_bus_socket
"""


def test_a_user_finds_their_own_sandboxes_and_root_all():
    assert running(TABLE, 1000) == [(1000, 4242)]
    assert running(TABLE, 0) == [(0, 17), (1000, 4242)]
    assert running(TABLE, 5) == []


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["unplug"], Request("unplug")),
        (["unplug", "1"], Request("unplug", modem=1)),
        (["set", "radio_rtt=60", "radio-loss=3"], Request("set", ("radio_rtt=60", "radio-loss=3"))),
        (["registration", "denied"], Request("registration", ("denied",))),
        (["registration", "denied", "1"], Request("registration", ("denied",), modem=1)),
        (["pin-lock"], Request("pin-lock")),
        (["pin-lock", "1"], Request("pin-lock", ("1",))),
        (["pin-lock", "3", "1"], Request("pin-lock", ("3",), modem=1)),
        (["apn", "iot", "1"], Request("apn", ("iot",), modem=1)),
        (["activation", "slow", "5"], Request("activation", ("slow", "5"))),
        (["power", "off"], Request("power", ("off",))),
        (["counters"], Request("counters")),
        (["counters", "reset"], Request("counters", ("reset",))),
        (["manager-stop"], Request("manager-stop")),
    ],
)
def test_a_request_is_read(words: list[str], request_: Request):
    assert parse(words, modems=2) == request_


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "No request"),
        (["unplugg"], "Did you mean unplug?"),
        (["zzz"], "Known are: state"),
        (["unplug", "1"], "no modem '1'"),
        (["unplug", "x"], "no modem 'x'"),
        (["unplug", "0", "0"], "ctl unplug [N]"),
        (["set"], "ctl set KEY=VALUE"),
        (["scenario", "a", "b"], "ctl scenario NAME"),
        (["manager-stop", "now"], "ctl manager-stop."),
    ],
)
def test_a_request_that_is_none_is_refused_with_its_cure(words: list[str], said: str):
    with pytest.raises(ValueError, match=r"\. ") as refusal:
        parse(words, modems=1)
    assert said in str(refusal.value)


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_words_are_read_or_refused(words: list[str]):
    with contextlib.suppress(ValueError):
        parse(words)


@given(st.binary(max_size=60))
def test_any_line_is_a_message_or_refused(line: bytes):
    with contextlib.suppress(ValueError):
        assert isinstance(decode(line), dict)


def test_a_line_holds_a_message_whole():
    message = {"words": ["set", "a=b\nc"], "ö": None}
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_an_endless_line_is_refused():
    with pytest.raises(ValueError, match="megabyte"):
        decode(b" " * (1 << 20) + b"{}")


def reply_of(sent: bytes) -> dict[str, object]:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(sent)
        there.shutdown(socket.SHUT_WR)
        return control.receive(here)


def test_a_reply_is_told_from_a_refusal_and_from_an_end():
    assert reply_of(encode({"ok": True, "status": 3})) == {"status": 3}
    with pytest.raises(SandboxError) as failure:
        reply_of(encode({"ok": False, "error": "It broke.", "hint": "Mend it."}))
    assert (failure.value.message, failure.value.hint) == ("It broke.", "Mend it.")
    with pytest.raises(ValueError, match="No such word"):
        reply_of(encode({"ok": False, "error": "No such word. Say another.", "usage": True}))
    with pytest.raises(SandboxError, match="ended"):
        reply_of(b'{"ok": tr')


def test_a_sandbox_that_is_gone_is_said_in_a_sentence():
    with pytest.raises(SandboxError, match="does not answer"):
        control.dial(control.address_of(0, 1) + "-none")
