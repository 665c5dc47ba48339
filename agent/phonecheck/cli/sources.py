"""Where `phonecheck monitor` gets its news from: modem, service, terminal and reader, each in a thread of its own."""

from __future__ import annotations

import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from phonecheck.errors import AgentError
    from phonecheck.model import Modem
    from phonecheck.modem.manager import ModemManager

Word = Literal["modem", "service", "resized", "resumed", "left"]
Event = tuple[Word, Any]
"""What it is about, and the facts of modem and service: a Modem or why there is none, the D-Bus properties or None."""
Put = Callable[[Word, Any], None]

TERMINAL_SIGNALS = {signal.SIGWINCH, signal.SIGCONT}
"""To be blocked in every thread."""
_FIRST, _LONGEST = 1.0, 30.0
"""Seconds before a bus that is away, or a program that hangs, is asked again; doubled each time."""
_SECONDS = 5.0


def open_all(wanted: str | None, put: Put) -> None:
    """Have whatever happens put, from now on for as long as the process lives.

    Args:
        wanted: the modem, as :func:`~phonecheck.modem.select.select` takes it.
        put: called from threads.
    """
    for name, hear in (("terminal", hear_terminal), ("reader", hear_reader)):
        threading.Thread(target=hear, args=(put,), name=f"phonecheck-{name}", daemon=True).start()
    _watch_modem(wanted, put)
    _watch_service(put)


class Source:
    """Something that is read now and whenever it may be another, in a thread of its own, for as long as the process lives.

    Args:
        name: of the thread.
        watch: has a callable called when it may be another; raises an AgentError where that cannot be.
        read: what there is to be told; raises an AgentError where nobody will tell when to read again.
        tell: told each reading, or why there was none.
    """

    def __init__(
        self,
        name: str,
        watch: Callable[[Callable[[], None]], object],
        read: Callable[[], Any],
        tell: Callable[[Any], None],
    ) -> None:
        self._watch, self._read, self._tell = watch, read, tell
        self._changed = threading.Event()
        threading.Thread(target=self._run, name=f"phonecheck-{name}", daemon=True).start()

    def _run(self) -> None:
        from phonecheck.errors import AgentError

        watched, failures = False, 0
        while True:
            self._changed.clear()
            wait = None
            try:
                # Watched first and read afterwards, so that no change is missed between the two.
                if not watched:
                    self._watch(self._changed.set)
                    watched = True
                facts: Any = self._read()
                failures = 0
            except AgentError as error:
                facts = error
                wait = min(_LONGEST, _FIRST * 2**failures)
                failures = min(failures + 1, 10)
            self._tell(facts)
            self._changed.wait(wait)


def _watch_modem(wanted: str | None, put: Put) -> None:
    from phonecheck.deadline import Deadline
    from phonecheck.modem import names
    from phonecheck.modem.bus import ModemBus
    from phonecheck.modem.manager import ModemManager

    # NetworkManager's changes are none of the modem's.
    hears = tuple(rule for rule in names.CHANGES if names.NETWORK_MANAGER not in (rule.sender, rule.first))
    manager = ModemManager(ModemBus(None, hears))
    choice = ChosenModem(manager, wanted)
    Source(
        "modem",
        lambda changed: manager.watch(changed, Deadline(_SECONDS)),
        choice.read,
        lambda facts: put("modem", facts),
    )


def _watch_service(put: Put) -> None:
    from phonecheck.service.client import AgentClient

    agent = AgentClient()

    def read() -> dict[str, Any] | None:
        return agent.properties() if agent.running() else None

    Source("service", agent.watch, read, lambda facts: put("service", facts))


class ChosenModem:
    """The modem that is watched: the one that is wanted, else the first that was the only one, also when others come.

    Args:
        manager: ModemManager.
        wanted: as :func:`~phonecheck.modem.select.select` takes it.
    """

    def __init__(self, manager: ModemManager, wanted: str | None) -> None:
        self._manager, self._wanted = manager, wanted
        self._chosen: Modem | None = None

    def read(self) -> Modem | AgentError:
        """The modem, or why there is none where a signal will tell when there is.

        Raises:
            AgentError: where no signal will: the bus is away, or ModemManager does not answer.
        """
        from phonecheck.deadline import Deadline
        from phonecheck.errors import ModemError
        from phonecheck.modem import faults
        from phonecheck.modem.select import select

        try:
            modems = self._manager.modems(Deadline(_SECONDS))
            if self._wanted is None and self._chosen is not None:
                modems = tuple(modem for modem in modems if _same(modem, self._chosen)) or modems
            self._chosen = select(modems, self._wanted)
        except faults.NotRunning as error:
            return error
        except ModemError as error:
            if error.code not in ("modem-not-found", "ambiguous-modem"):
                raise
            return error
        return self._chosen


def _same(one: Modem, other: Modem) -> bool:
    if one.imei and other.imei:
        return one.imei == other.imei
    return one.device == other.device


def hear_terminal(put: Put) -> None:
    """Tell when the terminal has another size, and when the process was stopped and goes on.

    By sigwait in a thread, and not by handlers: one that the main thread runs would end its wait in leaving.guarded.
    """
    while True:
        resized = signal.sigwait(TERMINAL_SIGNALS) == signal.SIGWINCH
        put("resized" if resized else "resumed", None)


def hear_reader(put: Put) -> None:
    """Tell when nobody reads stdout any more: the next change, which would find out, may be hours away."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        # POLLERR is a pipe's, POLLHUP a socket's and a terminal's; both come unasked.
        if poll.poll():
            put("left", None)
    except (OSError, ValueError):
        return  # no descriptor: there is nothing to be told of it
