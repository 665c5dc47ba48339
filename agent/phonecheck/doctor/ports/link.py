"""The link in the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import Family, IPAddress, Link

Owner = Literal["address", "rules", "route", "rp-filter", "dns"]


@dataclass(frozen=True, slots=True)
class Barrier:
    """A policy rule that ends the way of the exchange's packets (``out``) or of the answers' (``back``).

    Attributes:
        rule: as ``ip rule`` writes it.
        refusal: what it or its table does: ``blackhole``, ``unreachable`` or ``prohibit``.
    """

    way: Literal["out", "back"]
    family: Family
    rule: str
    refusal: str

    @property
    def command(self) -> str:
        """What shows it."""
        return "ip -6 rule" if self.family == 6 else "ip rule"


@dataclass(frozen=True, slots=True)
class Survey:
    """The link in the kernel, as it was before phonecheck changed anything.

    Attributes:
        link: what the modem or the kernel says of it, less what the settings leave out.
        up: whether the interface is.
        carrier: without it, the kernel discards what is sent.
        mtu: the interface's.
        missing: those of the link's addresses that the interface has not.
        routed: families that find a way out of the link.
        filter: the reverse path filter in force: 0 none, 1 strict, 2 loose.
        barriers: the rules in the way, as far as there are such.
        lacks: commands; what phonecheck will have done for the time of an exchange, or, with an obstacle, cannot.
        obstacle: what keeps the exchange from the link and is not mended by that.
    """

    link: Link
    up: bool = True
    carrier: bool = True
    mtu: int | None = None
    missing: tuple[IPAddress, ...] = ()
    routed: tuple[Family, ...] = ()
    filter: int = 0
    barriers: tuple[Barrier, ...] = ()
    lacks: tuple[str, ...] = ()
    obstacle: AgentError | None = None

    @property
    def mended(self) -> bool:
        """Whether phonecheck sets something up for the exchange."""
        return bool(self.lacks) and self.obstacle is None

    def barrier(self, error: AgentError) -> Barrier | None:
        """The rule that an obstacle comes from."""
        way = {"no-route": "out", "reply-filtered": "back"}.get(error.code)
        return next((barrier for barrier in self.barriers if barrier.way == way), None)

    def owner(self, error: AgentError) -> Owner:
        """The rung that an obstacle belongs to: each has one."""
        if error.code == "bad-setting":  # no name servers are known
            return "dns"
        if error.code == "wrong-path":
            return "rules"
        if error.code == "reply-filtered":
            return "rules" if self.barrier(error) else "rp-filter"
        if error.code == "no-route" and self.up and self.link.addresses and not self.missing:
            return "rules" if self.barrier(error) else "route"
        return "address"


class Links(Protocol):
    """The chosen modem's link, as it is and made ready."""

    def look(self, deadline: Deadline) -> Link:
        """The link as the modem, or the kernel for a link that is none of a modem's, tells it; nothing is changed for it.

        Raises:
            AgentError: there is none, and why.
        """

    def survey(self, deadline: Deadline) -> Survey | None:
        """How the kernel has it, before anything is changed.

        None where there is no link until the modem is connected, and it is not to be.

        Raises:
            AgentError: as :meth:`look`; interface-gone, no-route.
        """

    def prepared(self, deadline: Deadline) -> Link:
        """The link, made ready for an exchange as for a check.

        Raises:
            AgentError: it cannot be.
        """

    def obstacle(self, deadline: Deadline) -> AgentError | None:
        """What keeps the exchange from the link: by :meth:`prepared`, or by looking alone where nothing may be sent."""
