"""Scenarios: situations of a device that have a name, for ``--scenario`` and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """A situation to start a sandbox in.

    Attributes:
        does: one line for whoever chooses.
        conditions: knobs that it turns (conditions.py); what it leaves out stays ordinary.
        plan: fields of the Plan that it sets (plan.py): what cannot be changed while the sandbox runs.
        acts: control requests that are carried out, in this order, before the sandbox is ready: ``"lock-sim"``.
    """

    does: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    acts: tuple[str, ...] = ()
