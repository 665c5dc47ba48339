"""What this process may do, asked before it is tried."""

from __future__ import annotations

import re
from pathlib import Path

# linux/capability.h
NET_ADMIN = 12
NET_RAW = 13


def holds(capability: int, status: Path = Path("/proc/self/status")) -> bool:
    """Whether a capability is in force here; true where that cannot be read, so that the kernel itself decides."""
    try:
        text = status.read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", text, re.MULTILINE)
    return found is None or bool(int(found[1], 16) >> capability & 1)
