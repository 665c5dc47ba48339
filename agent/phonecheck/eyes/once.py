"""An answer that is found once: several rungs ask, each from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from phonecheck.errors import AgentError

T = TypeVar("T")


class Once(Generic[T]):
    """The first answer to a question, for whoever asks it again; an AgentError is one as well.

    Whoever asks while it is being found waits for it.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._found: list[T | AgentError] = []

    def __call__(self, ask: Callable[[], T]) -> T:
        """The answer, which ``ask`` finds where nobody has yet.

        Raises:
            AgentError: that was the answer.
        """
        with self._turn:
            if not self._found:
                try:
                    self._found.append(ask())
                except AgentError as error:
                    self._found.append(error)
        found = self._found[0]
        if isinstance(found, AgentError):
            # Not with the trace of whoever had it before: threads would add to one and the same.
            raise found.with_traceback(None)
        return found
