"""D-Bus, polkit and ModemManager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import Bearer, Modem

Step = Literal["use", "unlock", "enable", "connect", "wait", "stop"]
"""What ``verify`` would do next with a modem: leave by its bearer; send the SIM its PIN; switch the radio on; bring a
bearer up; wait; give up."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The modem at one moment, and what that means for ``verify``.

    Attributes:
        modem: as it was last read.
        step: what comes next.
        error: of ``wait`` and ``stop``: what stands in the way; of a modem that was made ready, what that ended with.
        bearer: of ``use``: the one to leave by.
    """

    modem: Modem
    step: Step
    error: AgentError | None = None
    bearer: Bearer | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """What polkit says of an action, for this process and without asking a person.

    ``password``: only after a person gave one. ``absent``: no polkit runs. ``untold``: it does not answer, or not us.
    """

    action: str
    verdict: Literal["allowed", "denied", "password", "absent", "untold"]


class Modems(Protocol):
    """The modem, as it is and made ready."""

    def reach_bus(self, deadline: Deadline) -> None:
        """Have the system bus answer.

        Raises:
            ModemError: modem-manager-unavailable.
        """

    def bus_moved(self) -> bool:
        """Whether the environment names another system bus than the usual one."""

    def bus_spoken(self) -> bool:
        """Whether Python's libraries for it are there."""

    def permission(self, deadline: Deadline) -> Permission:
        """Whether this process may do to the modem what ``verify`` would do next.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
        """

    def installed(self) -> bool:
        """Whether there is a ModemManager to be started."""

    def running(self, deadline: Deadline) -> bool:
        """Whether a ModemManager is on the bus.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
        """

    def version(self, deadline: Deadline) -> str:
        """ModemManager's version; empty where it does not say.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized.
        """

    def modem(self) -> Modem | None:
        """The chosen modem as it was when it was first asked for, nothing changed; None where the link is none of a modem's.

        Raises:
            ModemError: modem-manager-unavailable, modem-not-found, ambiguous-modem, not-authorized.
            ConfigError: bad-setting.
        """

    def ready(self, deadline: Deadline) -> Modem | None:
        """The same made ready as ``verify`` would, where anything may be sent; else as it is.

        Raises:
            AgentError: as :meth:`modem`; SimError, BearerError: of the step where that ended.
        """

    def network_managers(self, deadline: Deadline) -> bool:
        """Whether connecting the modem is NetworkManager's business, as far as can be seen."""

    def sight(self, far_enough: Callable[[Modem], bool], deadline: Deadline) -> Sight | None:
        """The modem once it has come far enough, or is on no way that leads there; None where there is none, as above.

        Where nothing may be sent, it is the modem as it is. Else one that is not far enough is made ready, and this
        returns on the way, or at the end of it, or of the deadline.

        Raises:
            AgentError: as :meth:`modem`.
        """
