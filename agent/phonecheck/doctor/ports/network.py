"""What is behind the link."""

from __future__ import annotations

from typing import Protocol


class Network(Protocol):
    """Names, connections and handshakes over the link, and over nothing else."""
