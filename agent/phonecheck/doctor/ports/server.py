"""The app server."""

from __future__ import annotations

from typing import Protocol


class Server(Protocol):
    """The app server, asked what costs nothing."""
