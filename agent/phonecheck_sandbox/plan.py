"""What the user asked the sandbox to be."""

from __future__ import annotations

from dataclasses import dataclass, field

from phonecheck_sandbox.conditions import Conditions


@dataclass(frozen=True, slots=True)
class Plan:
    """A sandbox to start."""

    conditions: Conditions = field(default_factory=Conditions)
    modems: int = 1
    connect: bool = True
    """Whether the modems' data sessions are up when the sandbox is ready."""
    command: tuple[str, ...] = ()
    """What runs on the device. Without one the sandbox says that it is ready and waits for its end."""
    welcome: str = ""
    """Said on standard error before the command starts."""
    verbose: bool = False
    while_stdin: bool = False
    """End when standard input does: the sandbox of a program that was killed goes with it."""
