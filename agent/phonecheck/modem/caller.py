"""A D-Bus method called: what the parts that speak to other programs need of the bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from phonecheck.errors import AgentError
from phonecheck.modem import names


class Caller(Protocol):
    """:class:`~phonecheck.modem.bus.ModemBus` is the real one."""

    def call(
        self,
        path: str,
        interface: str,
        method: str,
        timeout: float,
        signature: str = "()",
        args: tuple[Any, ...] = (),
        *,
        reply: str | None = None,
        service: str = names.SERVICE,
        fault: Callable[[str, str], AgentError] | None = None,
        start: bool = False,
    ) -> tuple[Any, ...]:
        """Call a method."""
