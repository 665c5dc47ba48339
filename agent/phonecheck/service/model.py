"""The service's facts: what was asked for, how a child ended, what is remembered and what is still to be reported.

Times named ``at`` are wall-clock seconds since the epoch, for people; the service reckons in seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from phonecheck.model import PhoneNumber

Trigger = Literal["start", "sim-change", "schedule", "retry", "request", "signal"]
"""Why a check is made: the service's start, another SIM, ``service.every``, a failure before, D-Bus, SIGUSR1."""
AUTOMATIC: frozenset[Trigger] = frozenset({"start", "sim-change", "schedule", "retry"})
"""Those that nobody waits for, and that keep to what an app server's Retry-After says."""
State = Literal["queued", "running", "done"]
DueName = Literal["schedule", "retry", "hold", "delivery"]
"""What may be due: the next check of ``service.every``, another try, the end of a Retry-After, the outbox's next try."""
Document = dict[str, Any]
"""What ``phonecheck verify --json`` prints (docs/json.md)."""


def new_id() -> str:
    """An id for a request, which is its report's idempotency key too: 32 hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Request:
    """A check that is to be made. What is None is as the configuration has it; ``timeout`` is in seconds."""

    trigger: Trigger
    modem: str | None = None
    number: PhoneNumber | None = None
    timeout: float | None = None
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child process ended.

    Attributes:
        status: its exit status; None where a signal ended it.
        signal: the signal that ended it.
        stdout: what it printed, up to the cap.
        stderr: the end of what it logged, for the journal.
        hung: it was ended because its time was up.
        cancelled: it was ended because we asked for it.
        overflow: it printed more than the cap.
        failed: why it could not be started at all; empty where it was.
    """

    status: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    hung: bool = False
    cancelled: bool = False
    overflow: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A check that was made: history's row."""

    id: str
    trigger: Trigger
    at: float
    document: Document


@dataclass(frozen=True, slots=True)
class Report:
    """What the app server is still to be told; ``id`` is the idempotency key, ``body`` the JSON object to post."""

    id: str
    body: Document


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of posting one report.

    ``delivered``: the server has it. ``refused``: it never will take it. ``failed``: later, perhaps; nothing after it was
    tried. ``retry_after`` is in seconds, None where the server said nothing.
    """

    id: str
    result: Literal["delivered", "refused", "failed"]
    code: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """Something that is to happen, in a form that survives a reboot and a clock that was wrong.

    Attributes:
        at: when, by the wall clock.
        left: seconds that were left when this was written, for a wall clock that cannot be believed.
        tries: failures in a row behind it; 0 for a scheduled check.
        code: the error code of the last of them.
    """

    at: float
    left: float
    tries: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class SeenSim:
    """A SIM in a modem, as the service remembers it: fingerprints, for the state directory holds no identity in clear.

    ``shown`` is what people may see of it: ``iccid:…1234``.
    """

    modem: str
    fingerprint: str
    shown: str
