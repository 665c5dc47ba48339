"""A modem on its way to be ready, seen by everybody who waits for some point of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import Modem

_GRACE = 0.5
"""Seconds after the deadline for whoever makes it ready to say himself what he waited for; the ladder gives a second."""


class Way:
    """The way begins at once, in a thread of its own.

    Args:
        go: goes it; tells each reading of the modem, and returns the last one or raises why there is no more.
    """

    def __init__(self, go: Callable[[Callable[[Modem], None]], Modem | None]) -> None:
        self._go = go
        self._moved = threading.Condition()
        self._ended = False
        self.last: Modem | None = None
        self.error: AgentError | None = None
        Aside(self._run, "way")

    def wait(self, far_enough: Callable[[Modem], bool], deadline: Deadline) -> bool:
        """Wait until the modem has come far enough or its way has ended; false where the time was up before."""

        def there() -> bool:
            return self._ended or (self.last is not None and far_enough(self.last))

        with self._moved:
            return self._moved.wait_for(there, deadline.remaining() + _GRACE)

    def result(self) -> Modem | None:
        """The modem at the end of the way.

        Raises:
            AgentError: why it did not get there.
        """
        if self.error is not None:
            raise self.error
        return self.last

    def _run(self) -> None:
        try:
            modem = self._go(self._saw)
            if modem is not None:
                self._saw(modem)
        except AgentError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  a bug here must not keep everybody waiting
            kind = type(error).__name__
            self.error = AgentError("internal-error", f"Unexpected {kind} while the modem was made ready.")
        with self._moved:
            self._ended = True
            self._moved.notify_all()

    def _saw(self, modem: Modem) -> None:
        with self._moved:
            self.last = modem
            self._moved.notify_all()
