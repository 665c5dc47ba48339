"""The kernel's and the clock's side."""

from __future__ import annotations

from typing import Protocol

from phonecheck.errors import LinkError


class Kernel(Protocol):
    """What this process may do, and what time it is here."""

    def release(self) -> str:
        """The kernel's release, as ``uname -r`` has it."""

    def binding_refused(self) -> LinkError | None:
        """Why this process may not bind a socket to an interface, tried on the loopback; None where it may."""

    def net_admin(self) -> bool:
        """Whether it may set addresses, routes and rules."""

    def now(self) -> float:
        """The clock, in seconds since the epoch."""

    def synchronised(self) -> bool | None:
        """Whether somebody keeps the clock right, as the kernel was told; None where it does not say."""
