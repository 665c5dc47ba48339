"""The one error of the sandbox: what is wrong, and what mends it."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot do what it was asked.

    Args:
        message: one sentence of cause.
        hint: one sentence of cure, and the end of a log where that says more.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
