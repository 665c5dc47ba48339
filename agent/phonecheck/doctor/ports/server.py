"""The app server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from phonecheck.deadline import Deadline
from phonecheck.redact import Secret


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where the platform says what it knows of an address, and the token that opens this and nothing else."""

    url: str = field(repr=False)
    token: Secret


@dataclass(frozen=True, slots=True)
class Reached:
    """An app server that answered, and took this device for one of its own.

    Attributes:
        asked: method and path of the question that it answered last.
        status: of that answer.
        busy: whether it asks to come later (429), so that nothing more is known.
        coverage: None where it hands out no such token.
    """

    asked: str
    status: int
    busy: bool = False
    coverage: Coverage | None = None


class Server(Protocol):
    """The app server, asked what costs nothing."""

    def credential(self) -> Literal["here", "none", "withheld"]:
        """Whether this process has something to prove the device by; ``withheld``: there is, and this user may not read it.

        Raises:
            ConfigError: missing-credential, unsafe-file-mode.
        """

    def reach(self, deadline: Deadline) -> Reached:
        """Ask it, over the link where it is reached there; no check is created.

        Raises:
            ServerError: it cannot be reached, or refuses. ConfigError: of the credential or a certificate.
            AgentError: of the link that it is reached over.
        """

    def coverage(self, deadline: Deadline) -> Coverage | None:
        """The token for the question about the mobile address; None where the server has no such route.

        Raises:
            AgentError: as :meth:`reach`.
        """
