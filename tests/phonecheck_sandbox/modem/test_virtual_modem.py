import asyncio
import math
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck_sandbox import world
from phonecheck_sandbox.modem.device import VirtualModem
from phonecheck_sandbox.modem.mbim import (
    BASIC_CONNECT,
    INTERNET_CONTEXT,
    MAX_MESSAGE,
    Cid,
    Command,
    Framer,
    Message,
    MessageType,
    ProtocolError,
    Status,
    encode,
    number,
)
from phonecheck_sandbox.modem.state import ModemState, Registration

OPEN = Message(MessageType.OPEN, 1, struct.pack("<I", MAX_MESSAGE)).encode()
CLOSE = Message(MessageType.CLOSE, 2).encode()
ACTIVATE = encode(0, 1, "internet", "", "", 0, 0, 1, INTERNET_CONTEXT)
DEACTIVATE = encode(0, 0, "", "", "", 0, 0, 0, INTERNET_CONTEXT)


@dataclass
class Host:
    """The other end of the port: what libmbim is to a modem."""

    fd: int
    inbox: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    framer: Framer = field(default_factory=Framer)

    def read(self) -> None:
        for message in self.framer.feed(os.read(self.fd, 65536)):
            self.inbox.put_nowait(message)

    async def receive(self) -> Message:
        return await asyncio.wait_for(self.inbox.get(), 5)

    async def exchange(self, data: bytes) -> Message:
        os.write(self.fd, data)
        return await self.receive()

    async def command(self, cid: Cid, information: bytes | None = None) -> tuple[int, bytes]:
        command = Command(BASIC_CONNECT, cid, information is not None, information or b"")
        reply = await self.exchange(command.encode(9))
        assert (reply.kind, reply.transaction) == (MessageType.COMMAND_DONE, 9)
        return struct.unpack_from("<I", reply.payload, 28)[0], reply.payload[36:]

    async def indication(self) -> tuple[Cid, bytes]:
        message = await self.receive()
        assert (message.kind, message.transaction) == (MessageType.INDICATE_STATUS, 0)
        return Cid(struct.unpack_from("<I", message.payload, 24)[0]), message.payload[32:]


@asynccontextmanager
async def host_at(node: Path) -> AsyncIterator[Host]:
    host = Host(os.open(node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    loop = asyncio.get_running_loop()
    loop.add_reader(host.fd, host.read)
    try:
        yield host
    finally:
        loop.remove_reader(host.fd)
        os.close(host.fd)


def with_modem(scenario: Callable[[VirtualModem, Host, list[bool]], Awaitable[None]], *, opened: bool = True) -> None:
    """Run a scenario against a modem that is plugged in."""

    async def run(node: Path) -> None:
        sessions: list[bool] = []
        modem = VirtualModem(ModemState.of(world.SUBSCRIBER), node, on_session=sessions.append)
        modem.plug()
        try:
            async with host_at(node) as host:
                if opened:
                    assert (await host.exchange(OPEN)).kind == MessageType.OPEN_DONE
                await scenario(modem, host, sessions)
        finally:
            modem.unplug()

    with TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory) / "cdc-wdm0"))


def test_a_command_before_open_is_a_protocol_error() -> None:
    async def scenario(_: VirtualModem, host: Host, __: list[bool]) -> None:
        reply = await host.exchange(Command(BASIC_CONNECT, Cid.DEVICE_CAPS).encode(5))
        assert (reply.kind, reply.transaction, number(reply.payload, 0)) == (
            MessageType.FUNCTION_ERROR,
            5,
            ProtocolError.NOT_OPENED,
        )

    with_modem(scenario, opened=False)


def test_before_open_nothing_is_indicated() -> None:
    async def scenario(modem: VirtualModem, host: Host, _: list[bool]) -> None:
        with modem.changing() as state:
            state.radio.rssi = 5
        assert (await host.exchange(OPEN)).kind == MessageType.OPEN_DONE

    with_modem(scenario, opened=False)


def test_a_session_comes_up_before_the_host_hears_so_and_without_an_indication() -> None:
    async def scenario(_: VirtualModem, host: Host, sessions: list[bool]) -> None:
        status, _buffer = await host.command(Cid.CONNECT, ACTIVATE)
        assert (status, sessions) == (Status.SUCCESS, [True])
        # The next thing on the port is the answer to the next command: nothing was indicated in between.
        assert (await host.command(Cid.IP_CONFIGURATION))[0] == Status.SUCCESS

    with_modem(scenario)


def ask_to_activate(host: Host, transaction: int = 50) -> None:
    os.write(host.fd, Command(BASIC_CONNECT, Cid.CONNECT, is_set=True, information=ACTIVATE).encode(transaction))


def test_a_network_that_takes_its_time_keeps_the_modem_answering() -> None:
    async def scenario(modem: VirtualModem, host: Host, sessions: list[bool]) -> None:
        modem.session.seconds = 0.05
        ask_to_activate(host)
        assert (await host.command(Cid.SIGNAL_STATE))[0] == Status.SUCCESS
        assert (await host.command(Cid.CONNECT, ACTIVATE))[0] == Status.BUSY
        activating, activated = 2, 1
        assert (number((await host.command(Cid.CONNECT))[1], 4), sessions) == (activating, [])
        reply = await host.receive()
        assert (reply.kind, reply.transaction) == (MessageType.COMMAND_DONE, 50)
        assert (number(reply.payload, 28), sessions) == (Status.SUCCESS, [True])
        assert number((await host.command(Cid.CONNECT))[1], 4) == activated

    with_modem(scenario)


def test_a_network_judges_by_how_things_are_when_it_answers() -> None:
    async def scenario(modem: VirtualModem, host: Host, sessions: list[bool]) -> None:
        modem.session.seconds = 0.03
        ask_to_activate(host)
        await host.command(Cid.RADIO_STATE)
        with modem.changing() as state:
            state.radio.network = Registration.SEARCHING
        told = [await host.receive() for _ in range(3)]
        assert (told[-1].transaction, number(told[-1].payload, 28)) == (50, Status.NOT_REGISTERED)
        assert sessions == []

    with_modem(scenario)


def test_an_activation_that_hangs_ends_when_the_host_deactivates() -> None:
    async def scenario(modem: VirtualModem, host: Host, sessions: list[bool]) -> None:
        modem.session.seconds = math.inf
        ask_to_activate(host)
        assert (await host.command(Cid.SIGNAL_STATE))[0] == Status.SUCCESS
        os.write(host.fd, Command(BASIC_CONNECT, Cid.CONNECT, is_set=True, information=DEACTIVATE).encode(51))
        aborted, deactivated = await host.receive(), await host.receive()
        assert (aborted.transaction, number(aborted.payload, 28)) == (50, Status.FAILURE)
        assert (deactivated.transaction, number(deactivated.payload, 28)) == (51, Status.SUCCESS)
        modem.session.seconds = 0
        assert (await host.command(Cid.CONNECT, ACTIVATE))[0] == Status.SUCCESS
        assert sessions == [True]

    with_modem(scenario)


def test_a_host_that_opens_again_hears_nothing_of_the_activation_before() -> None:
    async def scenario(modem: VirtualModem, host: Host, sessions: list[bool]) -> None:
        modem.session.seconds = 0.02
        ask_to_activate(host)
        assert (await host.exchange(OPEN)).kind == MessageType.OPEN_DONE
        await asyncio.sleep(0.03)
        assert (await host.command(Cid.SIGNAL_STATE))[0] == Status.SUCCESS
        assert sessions == []

    with_modem(scenario)


@pytest.mark.parametrize("message", [OPEN, CLOSE], ids=["open again", "close"])
def test_a_host_that_opens_again_or_closes_ends_the_session(message: bytes) -> None:
    async def scenario(_: VirtualModem, host: Host, sessions: list[bool]) -> None:
        await host.command(Cid.CONNECT, ACTIVATE)
        await host.exchange(message)
        assert sessions == [True, False]

    with_modem(scenario)


def test_the_network_drops_a_session() -> None:
    async def scenario(modem: VirtualModem, host: Host, sessions: list[bool]) -> None:
        await host.command(Cid.CONNECT, ACTIVATE)
        with modem.changing() as state:
            state.session.end()
        cid, buffer = await host.indication()
        deactivated = 3
        assert (cid, number(buffer, 4), sessions) == (Cid.CONNECT, deactivated, [True, False])

    with_modem(scenario)


def test_losing_the_network_ends_the_session_and_tells_all_of_it() -> None:
    async def scenario(modem: VirtualModem, host: Host, sessions: list[bool]) -> None:
        await host.command(Cid.CONNECT, ACTIVATE)
        with modem.changing() as state:
            state.radio.network = Registration.SEARCHING
        told = dict([await host.indication() for _ in range(3)])
        assert told.keys() == {Cid.CONNECT, Cid.REGISTER_STATE, Cid.PACKET_SERVICE}
        assert number(told[Cid.REGISTER_STATE], 4) == Registration.SEARCHING
        assert sessions == [True, False]

    with_modem(scenario)


def test_a_change_of_signal_is_told_and_nothing_else() -> None:
    async def scenario(modem: VirtualModem, host: Host, _: list[bool]) -> None:
        with modem.changing() as state:
            state.radio.rssi = 5
        cid, buffer = await host.indication()
        assert (cid, number(buffer, 0)) == (Cid.SIGNAL_STATE, 5)
        await host.command(Cid.RADIO_STATE)

    with_modem(scenario)


def test_the_right_pin_makes_the_subscriber_known() -> None:
    async def scenario(modem: VirtualModem, host: Host, _: list[bool]) -> None:
        with modem.changing() as state:
            state.sim.lock("1234")
        assert (await host.indication())[0] == Cid.SUBSCRIBER_READY_STATUS
        enter_pin1 = encode(2, 0, "1234", "")
        assert (await host.command(Cid.PIN, enter_pin1))[0] == Status.SUCCESS
        told = [await host.indication() for _ in range(3)]
        assert [cid for cid, _ in told] == [Cid.SUBSCRIBER_READY_STATUS, Cid.REGISTER_STATE, Cid.PACKET_SERVICE]

    with_modem(scenario)


def test_unplugging_takes_the_node_and_the_session_and_plugging_asks_for_the_pin_again() -> None:
    async def run(node: Path) -> None:
        sessions: list[bool] = []
        modem = VirtualModem(ModemState.of(world.SUBSCRIBER), node, on_session=sessions.append)
        modem.plug()
        async with host_at(node) as host:
            await host.exchange(OPEN)
            await host.command(Cid.CONNECT, ACTIVATE)
            with modem.changing() as state:
                state.sim.pin_enabled = True
            asyncio.get_running_loop().remove_reader(host.fd)
            modem.unplug()
            assert sessions == [True, False]
            assert not os.path.lexists(node)
            assert os.read(host.fd, 1) == b""
        modem.plug()
        async with host_at(node) as host:
            await host.exchange(OPEN)
            locked = 1
            assert number((await host.command(Cid.PIN))[1], 4) == locked
        modem.unplug()

    with TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory) / "cdc-wdm0"))


def test_a_host_that_does_not_read_gets_whole_messages_later_but_not_all() -> None:
    async def scenario(modem: VirtualModem, host: Host, _: list[bool]) -> None:
        asyncio.get_running_loop().remove_reader(host.fd)
        changes = 6000
        for turn in range(changes):
            with modem.changing() as state:
                state.radio.rssi = turn % 32
        asyncio.get_running_loop().add_reader(host.fd, host.read)
        told = []
        with suppress(TimeoutError):
            while True:
                told.append((await asyncio.wait_for(host.indication(), 0.1))[0])
        assert set(told) == {Cid.SIGNAL_STATE}
        assert 0 < len(told) < changes
        assert (await host.exchange(CLOSE)).kind == MessageType.CLOSE_DONE

    with_modem(scenario)


hostile = st.one_of(
    st.builds(Message, st.sampled_from([0, 3, 4, 5, 0x80000001]), st.just(7), st.binary(max_size=120)),
    st.builds(
        lambda cid, is_set, information: Message(
            MessageType.COMMAND, 7, Command(BASIC_CONNECT, cid, is_set, information).encode(7)[12:]
        ),
        st.integers(0, 40),
        st.booleans(),
        st.binary(max_size=120),
    ),
)


@settings(max_examples=50)
@given(st.lists(hostile, max_size=8), st.binary(max_size=40))
def test_after_garbage_the_modem_still_answers(messages: list[Message], noise: bytes) -> None:
    async def scenario(_: VirtualModem, host: Host, __: list[bool]) -> None:
        os.write(host.fd, b"".join(message.encode() for message in messages) + noise)
        # Zeroes end whatever message the noise began, and are themselves a header that drops all that came.
        os.write(host.fd, bytes(MAX_MESSAGE + 12))
        await asyncio.sleep(0.005)
        reply = await host.exchange(Message(MessageType.OPEN, 0x1234, struct.pack("<I", MAX_MESSAGE)).encode())
        while (reply.kind, reply.transaction) != (MessageType.OPEN_DONE, 0x1234):
            reply = await host.receive()
        status, _buffer = await host.command(Cid.DEVICE_CAPS)
        assert status == Status.SUCCESS

    with_modem(scenario)
