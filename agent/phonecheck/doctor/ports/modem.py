"""D-Bus, polkit and ModemManager."""

from __future__ import annotations

from typing import Protocol


class Modems(Protocol):
    """The modem, as it is and made ready."""
