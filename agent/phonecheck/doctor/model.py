"""The ladder's facts: what a rung is, what it finds, and what becomes of that among the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError

if TYPE_CHECKING:
    from phonecheck.doctor.device import Device

Fact = str | int | float | bool | None | list[str]
"""A value of ``--json``: redacted already."""
Found = Literal["well", "failed", "unseen", "idle"]
State = Literal["well", "failed", "unseen", "idle", "hidden"]
"""``unseen``: this user, or this moment, does not let us see. ``idle``: nothing is there to be looked at, and nothing
needs to be. ``hidden``: not looked at, or not shown as a fault, because another rung's failure explains it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rung found.

    Attributes:
        state: how it is.
        words: a few words of what was seen, or why nothing was; empty where the error says it.
        error: of a rung that failed: cause, cure, code.
        command: what a person can type to see or mend it, one line that can be pasted; empty where there is none.
        facts: the same for programs, by names in snake_case.
    """

    state: Found
    words: str
    error: AgentError | None = None
    command: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)


def well(words: str, **facts: Fact) -> Finding:
    """Nothing is wrong here."""
    return Finding("well", words, facts=facts)


def failed(error: AgentError, command: str = "", **facts: Fact) -> Finding:
    """This is wrong."""
    return Finding("failed", "", error, command, facts)


def unseen(words: str, command: str = "", **facts: Fact) -> Finding:
    """It could not be seen; ``words`` say why, ``command`` how it could be."""
    return Finding("unseen", words, command=command, facts=facts)


def idle(words: str, **facts: Fact) -> Finding:
    """There is nothing here that anybody needs; ``words`` say why."""
    return Finding("idle", words, facts=facts)


Look = Callable[["Device", Deadline], Finding]
"""An AgentError that it raises is a failure."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One small check.

    Attributes:
        slug: its name, that of its file.
        title: a few words for people.
        look: does it.
        needs: slugs; it is not looked at where one of these failed, or is hidden.
        explained_by: slugs; it is looked at all the same, and where it fails as well as one of these, that one is the
            cause. Those come before it, too.
        traffic: about how many bytes it sends and receives over the link; 0 for none.
    """

    slug: str
    title: str
    look: Look
    needs: tuple[str, ...] = ()
    explained_by: tuple[str, ...] = ()
    traffic: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A rung as it was found among the others; ``because`` is the slug whose failure hides it, ``ms`` what it took."""

    rung: Rung
    state: State
    words: str = ""
    error: AgentError | None = None
    command: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    because: str = ""
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All readings, in the ladder's order; ``traffic`` is what went over the link meanwhile, in bytes, None if unknown."""

    readings: tuple[Reading, ...]
    ms: float = 0.0
    traffic: int | None = None

    @property
    def cause(self) -> Reading | None:
        """The first rung that failed."""
        return next((reading for reading in self.readings if reading.state == "failed"), None)
