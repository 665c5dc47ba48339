"""Knows at once when a bearer goes that an exchange is on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from phonecheck.errors import LinkError, ModemError
from phonecheck.modem import faults, names
from phonecheck.modem.manager import Bus

_SECONDS = 1.0
"""For a reading. It takes a millisecond; a ModemManager that hangs says nothing of the bearer, and must not hold up what
it does say later."""


class BearerWatch:
    """Looks at a bearer now and at each signal, until it is lost or the watch is closed.

    Args:
        bus: to hear and to ask.
        modem_path: the modem.
        bearer_path: its bearer.
        lost: called once, from the bus's thread or from this one, with interface-gone; not after :meth:`close`.

    Raises:
        ModemError: modem-manager-unavailable, the bus cannot be reached.
    """

    def __init__(self, bus: Bus, modem_path: str, bearer_path: str, lost: Callable[[LinkError], None]) -> None:
        self._bus, self._modem, self._bearer, self._lost = bus, modem_path, bearer_path, lost
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._end = bus.watch(self._look, _SECONDS)
        self._look()

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._end()

    def _look(self) -> None:
        with self._turn:
            if self._over.is_set() or (loss := self._gone()) is None or self._over.is_set():
                return
            self._over.set()
        self._lost(loss)

    def _gone(self) -> LinkError | None:
        """What became of the bearer; None where it is up, or where nobody says."""
        try:
            bearer = self._bus.get_all(self._bearer, names.BEARER, _SECONDS)
        except faults.Late:
            return None
        except ModemError as error:
            return self._unreadable(error)
        if bearer.get("Connected") is not True:
            return _loss("The modem's bearer was disconnected.")
        if bearer.get("Suspended") is True:
            return _loss(
                "The modem's bearer was suspended, as it is during a voice call.",
                hint="Ask for a new check when the call is over.",
            )
        return None

    def _unreadable(self, error: ModemError) -> LinkError:
        if isinstance(error, faults.NotRunning):
            return _loss(
                "ModemManager stopped, and nobody knows the state of the modem's bearer any more.",
                hint="See why: systemctl status ModemManager. When it runs again, ask for a new check.",
            )
        if error.code != "modem-not-found":
            return _loss(f"Nobody knows the state of the modem's bearer any more. {error.message}", hint=error.hint)
        return _loss("The modem's bearer was removed." if self._modem_is_there() else "The modem is gone.")

    def _modem_is_there(self) -> bool:
        try:
            self._bus.get_all(self._modem, names.MODEM, _SECONDS)
        except ModemError as error:
            return error.code != "modem-not-found"
        return True


def _loss(words: str, hint: str | None = None) -> LinkError:
    return LinkError("interface-gone", words, hint=hint)
