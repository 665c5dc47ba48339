"""The kernel's and the clock's side."""

from __future__ import annotations

from typing import Protocol


class Kernel(Protocol):
    """What this process may do."""
