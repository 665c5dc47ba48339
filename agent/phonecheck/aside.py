"""A blocking call in a thread of its own, so that whoever waits for it can stop waiting.

What C libraries do cannot be interrupted: a D-Bus call, a TLS handshake and getaddrinfo hold up Python's signal handlers
until they return, and connecting to a bus or looking a name up takes no time-out at all. Waiting on a queue is free of
both. A thread that was given up ends by itself, or with the process: it is a daemon.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """A call that goes on from now.

    Args:
        work: the call; what it raises is raised again where the result is awaited.
        name: of the thread, for whoever looks at a process that hangs.
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._done: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"phonecheck-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._done.put((self._work(), None))
        except BaseException as error:  # noqa: BLE001  raised again where the result is awaited
            self._done.put((None, error))

    def give_up(self, error: BaseException) -> None:
        """Have the result raise this error, if the call is not done before; from any thread."""
        self._done.put((None, error))

    def result(self, seconds: float | None = None) -> T:
        """What the call returned; to be asked for once.

        Args:
            seconds: how long to wait, None for as long as it takes.

        Raises:
            TimeoutError: it is not done in that time.
        """
        try:
            value, error = self._done.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # without an error there is a value
