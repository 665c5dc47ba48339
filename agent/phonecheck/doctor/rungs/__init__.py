"""The ladder. One file a rung; the rung's slug is the file's name, with hyphens."""

from __future__ import annotations

import importlib

from phonecheck.doctor.model import Rung

_ORDER = (
    *("kernel", "clock", "bus", "polkit", "modem_manager", "modem", "sim", "registration", "signal", "bearer"),
    *("address", "rules", "route", "rp_filter"),
    *("dns", "captive", "platform", "mtu", "tls"),
    *("server", "mobile_address", "service", "outbox"),
)
"""From the foot up: what comes first is the likelier cause of what comes later."""

RUNGS: tuple[Rung, ...] = tuple(importlib.import_module(f"{__name__}.{name}").RUNG for name in _ORDER)
