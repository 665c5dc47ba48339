"""The link in the kernel."""

from __future__ import annotations

from typing import Protocol


class Links(Protocol):
    """The chosen modem's link, as it is and made ready."""
