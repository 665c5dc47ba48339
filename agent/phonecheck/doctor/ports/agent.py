"""The service on this device."""

from __future__ import annotations

from typing import Protocol


class Agent(Protocol):
    """The service, as any user may see it."""
