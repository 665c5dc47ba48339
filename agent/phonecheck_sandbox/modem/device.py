"""A virtual MBIM modem at a pseudo-terminal."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phonecheck_sandbox.modem.basic_connect import answer, indicated
from phonecheck_sandbox.modem.mbim import (
    Cid,
    Command,
    Framer,
    MalformedError,
    Message,
    MessageType,
    ProtocolError,
    Status,
    command_done,
    done,
    indication,
)
from phonecheck_sandbox.modem.pty_port import PtyPort
from phonecheck_sandbox.modem.sessions import activates
from phonecheck_sandbox.modem.state import ModemState, Session


@dataclass(slots=True)
class _Activation:
    """A request for a session that the network has not answered; without a timer it never will."""

    command: Command
    transaction: int
    timer: asyncio.TimerHandle | None = None


class VirtualModem:
    """A modem with a SIM in it, plugged in or not.

    Args:
        state: its SIM, radio and session; changed through `changing` only.
        node: the device node it appears as when plugged in.
        on_session: called with True just before the host learns that the data session is up, with False when it is down.
    """

    def __init__(self, state: ModemState, node: Path, *, on_session: Callable[[bool], None]) -> None:
        self._state = state
        self._node = node
        self._on_session = on_session
        self._port: PtyPort | None = None
        self._framer = Framer()
        self._opened = False
        self._activation: _Activation | None = None

    @property
    def plugged(self) -> bool:
        """Whether the device node is there."""
        return self._port is not None

    @property
    def session(self) -> Session:
        """What the network gives; for changes that the host does not see."""
        return self._state.session

    def plug(self) -> None:
        """Power up: the device node appears, the session is down, an enabled PIN is asked for."""
        if self._port:
            return
        sim = self._state.sim
        sim.locked = sim.pin_enabled or sim.blocked
        self._framer, self._opened = Framer(), False
        self._port = PtyPort(self._node, self._receive)

    def unplug(self) -> None:
        """Pull it out: the device node goes, and the session with it."""
        if not self._port:
            return
        self._port.close()
        self._port = None
        self._end_session()

    @contextmanager
    def changing(self) -> Iterator[ModemState]:
        """Change the state, then let the session follow and tell the host whatever it would see differently."""
        before, was_up = indicated(self._state), self._state.session.up
        yield self._state
        self._settle(was_up)
        self._indicate(before)

    def _settle(self, was_up: bool) -> None:
        session = self._state.session
        if not self._state.registration.served:
            session.end()
        if session.up != was_up:
            self._on_session(session.up)

    def _indicate(self, before: Mapping[Cid, bytes], *, answered: int | None = None) -> None:
        if not self._opened:
            return
        for cid, information in indicated(self._state).items():
            if cid != answered and before.get(cid) != information:
                self._send(indication(cid, information))

    def _end_session(self) -> None:
        self._forget_activation()
        was_up = self._state.session.up
        self._state.session.end()
        self._settle(was_up)

    def _send(self, message: bytes) -> None:
        if self._port:
            self._port.write(message)

    def _receive(self, data: bytes) -> None:
        for message in self._framer.feed(data):
            self._handle(message)

    def _handle(self, message: Message) -> None:
        match message.kind:
            case MessageType.OPEN | MessageType.CLOSE:
                # MBIM 9.3.1: an OPEN while open means that the host lost its state, so both end the session.
                self._end_session()
                self._opened = message.kind == MessageType.OPEN
                reply = MessageType.OPEN_DONE if self._opened else MessageType.CLOSE_DONE
                self._send(done(reply, message.transaction, Status.SUCCESS))
            case MessageType.COMMAND if not self._opened:
                self._send(done(MessageType.FUNCTION_ERROR, message.transaction, ProtocolError.NOT_OPENED))
            case MessageType.COMMAND:
                self._obey(message)
            case MessageType.HOST_ERROR:
                pass
            case _:
                self._send(done(MessageType.FUNCTION_ERROR, message.transaction, ProtocolError.UNKNOWN))

    def _obey(self, message: Message) -> None:
        try:
            command = Command.parse(message.payload)
        except MalformedError:
            self._send(done(MessageType.FUNCTION_ERROR, message.transaction, ProtocolError.LENGTH_MISMATCH))
            return
        if activates(command):
            self._ask_network(command, message.transaction)
            return
        if command.cid == Cid.CONNECT and command.is_set:
            self._abort_activation()
        self._answer(command, message.transaction)

    def _answer(self, command: Command, transaction: int) -> None:
        before, was_up = indicated(self._state), self._state.session.up
        status, information = answer(self._state, command)
        self._settle(was_up)
        self._send(command_done(command, transaction, status, information))
        self._indicate(before, answered=command.cid)

    def _ask_network(self, command: Command, transaction: int) -> None:
        """Answer once the network has; the modem goes on answering all else meanwhile."""
        if self._activation:
            self._send(command_done(command, transaction, Status.BUSY))
            return
        seconds = self._state.session.seconds
        if not seconds:
            self._answer(command, transaction)
            return
        self._activation, self._state.session.asked = _Activation(command, transaction), True
        if math.isfinite(seconds):
            self._activation.timer = asyncio.get_running_loop().call_later(seconds, self._on_network)

    def _on_network(self) -> None:
        if activation := self._forget_activation():
            self._answer(activation.command, activation.transaction)

    def _abort_activation(self) -> None:
        if activation := self._forget_activation():
            self._send(command_done(activation.command, activation.transaction, Status.FAILURE))

    def _forget_activation(self) -> _Activation | None:
        activation, self._activation, self._state.session.asked = self._activation, None, False
        if activation and activation.timer:
            activation.timer.cancel()
        return activation
