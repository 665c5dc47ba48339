"""Makes a modem ready: reads it, asks ready.py for the next step, and does that or waits for a signal."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError, DeadlineExceeded, ModemError
from phonecheck.model import Modem
from phonecheck.modem import faults, ready
from phonecheck.modem.brought import BroughtUp
from phonecheck.modem.manager import CALL_TIMEOUT, ModemManager
from phonecheck.modem.ready import Done, Wishes
from phonecheck.redact import Secret

T = TypeVar("T")

_BUSY_PAUSE = 0.5
"""Seconds until a ModemManager that was busy is asked again, where no signal comes before."""
_MOMENT = 0.02
_LAST_WORD = 0.05
"""Seconds that a request has left to be answered when its modem went: a third wrong PIN takes the modem with it."""


class Activator(Protocol):
    """Whoever else connects modems; :class:`~phonecheck.modem.networkmanager.NetworkManager` is the real one."""

    def manages(self, modem_path: str, timeout: float) -> bool:
        """Whether this modem is its to connect."""

    def activate(self, modem_path: str, deadline: Deadline, started: Callable[[str], None]) -> None:
        """Connect it, and tell beforehand what is to be taken down; nothing where nothing came of it."""


def make_ready(
    manager: ModemManager,
    wanted: str | None,
    wishes: Wishes,
    pin: Secret | None,
    deadline: Deadline,
    *,
    brought: BroughtUp,
    near: Callable[[], None],
    say: Callable[[str], None],
    network_manager: Activator | None,
    saw: Callable[[Modem], None] = lambda _: None,
) -> Modem:
    """Find the modem, and bring it as near to a connected bearer as is allowed.

    Where neither connecting nor waiting is, it is only found: what it lacks is the error of :func:`ready.link_of`.

    Args:
        manager: ModemManager.
        wanted: as :func:`~phonecheck.modem.select.select` takes it.
        wishes: what may be done.
        pin: the SIM's, where ``wishes.has_pin``.
        deadline: for all of it, waiting included.
        brought: to be filled with what is brought up, each before the act.
        near: called once, when there is nothing left to wait for.
        say: told for what it waits, in words.
        network_manager: asked first to connect the modem, where it manages that.
        saw: told each reading of the modem, also where all ends in an error.

    Raises:
        ConfigError: bad-setting.
        ModemError: the error of the rung where it ended.
        DeadlineExceeded: with a modem's exit status, where the time was up before anything was read.
    """
    if not (wishes.connect or wishes.wait):
        near()
        modem = manager.find(wanted, deadline)
        saw(modem)
        return modem
    climb = _Climb(manager, wanted, wishes, pin, deadline, brought, network_manager)
    modem = climb.run(say, saw)
    near()
    return modem


class _Climb:
    """One way up, with what was done on it."""

    def __init__(
        self,
        manager: ModemManager,
        wanted: str | None,
        wishes: Wishes,
        pin: Secret | None,
        deadline: Deadline,
        brought: BroughtUp,
        network_manager: Activator | None,
    ) -> None:
        self._manager, self._wanted, self._wishes, self._pin = manager, wanted, wishes, pin
        self._deadline, self._brought, self._network_manager = deadline, brought, network_manager
        self._done = Done()
        self._modem: Modem | None = None  # as it was last read
        self._owner = ""
        self._awaited: AgentError | None = None  # what is to be said where the time is up
        self._changed = threading.Event()

    def run(self, say: Callable[[str], None], saw: Callable[[Modem], None]) -> Modem:
        end_watch = self._manager.watch(self._changed.set, self._deadline)
        words = ""
        try:
            while True:
                self._changed.clear()
                modem, absent = self._read()
                if modem is not None:
                    saw(modem)
                step = ready.next_step(modem, self._wishes, self._done, absent)
                if isinstance(step, ready.Wait):
                    if step.words != words:
                        say(step.words)
                    words, self._awaited = step.words, step.error
                    if not self._changed.wait(self._deadline.remaining()):
                        raise step.error
                elif modem is None or isinstance(step, ready.Ready):
                    assert modem is not None  # noqa: S101  for mypy: without a modem there is a wait or an error
                    return modem
                else:
                    self._do(step, modem)
        except DeadlineExceeded:
            if self._awaited is None:
                raise
            raise self._awaited from None
        finally:
            end_watch()

    def _read(self) -> tuple[Modem | None, ModemError | None]:
        """The modem, or why there is none."""
        try:
            owner = self._manager.owner(self._deadline)
            modem = self._manager.find(self._wanted, self._deadline)
        except ModemError as error:
            if not _absent(error):
                raise
            if self._modem is None or self._wishes.wait:
                return None, error
            raise _left(error) from None
        last = self._modem
        if last is not None and not _same(last, modem):
            return None, ModemError("modem-not-found", "Another modem is in the place of the one that was chosen.")
        if last is not None and (last.path, self._owner) != (modem.path, owner):
            # Plugged in anew, or read by a new ModemManager. A PIN is never sent twice all the same.
            self._done = Done(pin=self._done.pin)
        self._modem, self._owner = modem, owner
        return modem, None

    def _do(self, step: ready.SendPin | ready.Enable | ready.Connect, modem: Modem) -> None:
        self._awaited = None
        try:
            match step:
                case ready.SendPin():
                    self._unlock(modem)
                case ready.Enable():
                    self._enable(modem)
                case ready.Connect():
                    self._connect(modem)
        except faults.Busy:
            self._awaited = BearerError("connect-failed", "The modem was busy with something else all the time.")
            self._changed.clear()
            self._changed.wait(min(_BUSY_PAUSE, self._deadline.remaining()))
        except ModemError as error:
            if not (self._wishes.wait and _absent(error)):
                raise

    def _unlock(self, modem: Modem) -> None:
        self._done = dataclasses.replace(self._done, pin=True)
        if self._pin is not None:
            pin = self._pin
            self._watched(modem, lambda: self._manager.unlock(modem, pin, self._deadline))

    def _enable(self, modem: Modem) -> None:
        self._brought.on(modem.path, self._owner)
        self._brought.enabled = True
        try:
            self._watched(modem, lambda: self._manager.enable(modem.path, self._deadline))
        except AgentError as error:
            self._brought.enabled = not _refused(error)
            raise
        self._done = dataclasses.replace(self._done, enabled=True)

    def _connect(self, modem: Modem) -> None:
        seconds = min(CALL_TIMEOUT, max(self._deadline.remaining(), 0.05))
        if self._network_manager is not None and self._network_manager.manages(modem.path, seconds):
            self._network_manager.activate(modem.path, self._deadline, self._activated)
        else:
            self._connect_here(modem)
        self._done = dataclasses.replace(self._done, connected=True)

    def _activated(self, active: str) -> None:
        self._brought.active = active

    def _connect_here(self, modem: Modem) -> None:
        brought = self._brought
        brought.on(modem.path, self._owner)
        brought.before = tuple(bearer.path for bearer in modem.bearers)
        brought.up_before = tuple(bearer.path for bearer in modem.bearers if bearer.connected)
        brought.connecting = True
        try:
            properties = ready.bearer_properties(self._wishes)
            brought.bearer = self._watched(modem, lambda: self._manager.connect(modem.path, properties, self._deadline))
        except AgentError as error:
            if _refused(error):
                brought.connecting = False
            elif not self._deadline.expired:
                # A bearer that could not be connected stays in the list. One whose time was up may still come up.
                with contextlib.suppress(AgentError):
                    brought.bearer = self._left_behind(brought)
                    brought.connecting = False
            raise
        brought.connecting = False

    def _watched(self, modem: Modem, act: Callable[[], T]) -> T:
        """Act, and end where the modem goes meanwhile: ModemManager 1.20 then leaves the request without an answer."""
        answer: Future[T] = Future()

        def work() -> None:
            try:
                answer.set_result(act())
            except BaseException as error:  # noqa: BLE001  raised again where the answer is taken
                answer.set_exception(error)
            self._changed.set()

        Aside(work, "modem")
        while not answer.done():
            self._changed.wait()  # not for ever, for the act keeps to the deadline
            self._changed.clear()
            # An act's own signals come just before its answer, which a reading would keep waiting (5 ms as measured).
            with contextlib.suppress(TimeoutError):
                return answer.result(_MOMENT)
            if not self._deadline.expired and (gone := self._gone(modem)):
                with contextlib.suppress(TimeoutError):
                    return answer.result(_LAST_WORD)
                raise gone
        return answer.result()

    def _gone(self, modem: Modem) -> ModemError | None:
        try:
            there = any(found.path == modem.path for found in self._manager.modems(self._deadline))
            same = self._manager.owner(self._deadline) == self._owner
        except faults.NotRunning as error:
            return _left(error)
        except AgentError:  # nobody says; the act has its own end
            return None
        return None if there and same else _left(ModemError("modem-not-found", ""))

    def _left_behind(self, brought: BroughtUp) -> str:
        modems = self._manager.modems(self._deadline)
        bearers = [bearer.path for modem in modems if modem.path == brought.modem for bearer in modem.bearers]
        return next((path for path in bearers if path not in brought.before), "")


def _absent(error: ModemError) -> bool:
    return error.code == "modem-not-found" or isinstance(error, faults.NotRunning)


def _left(error: ModemError) -> ModemError:
    if isinstance(error, faults.NotRunning):
        return faults.NotRunning(error.code, "ModemManager stopped while the modem was being made ready.")
    return ModemError("modem-not-found", "The modem went away while it was being made ready.")


def _refused(error: AgentError) -> bool:
    """Whether nothing came of a request, so that there is nothing to take down."""
    return error.code == "not-authorized" or isinstance(error, faults.Busy | DeadlineExceeded)


def _same(one: Modem, other: Modem) -> bool:
    if one.imei is not None and other.imei is not None:
        return one.imei == other.imei
    return one.device == other.device
