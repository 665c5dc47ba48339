"""What is behind the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import IPAddress, Path
from phonecheck.redact import Secret


@dataclass(frozen=True, slots=True)
class Said:
    """What one of the link's DNS servers said of a name.

    Attributes:
        server: the server.
        kind: ``addresses``; ``unknown``, there is no such name, or it has no address; ``failed``, as ``error`` says;
            ``silent``.
        ms: what it took to answer.
    """

    server: IPAddress
    kind: Literal["addresses", "unknown", "failed", "silent"]
    addresses: tuple[IPAddress, ...] = ()
    ms: float | None = None
    error: AgentError | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer to an unprotected request.

    Attributes:
        status: of HTTP.
        elsewhere: the host that a redirect leads to; empty where it leads nowhere.
        date: the time by whoever answered, in seconds since the epoch.
    """

    status: int
    elsewhere: str = ""
    date: float | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that came about, and its path as read back from the kernel."""

    path: Path
    ms: float


@dataclass(frozen=True, slots=True)
class Hello:
    """A handshake with packets as large as the path is said to take; nothing is verified.

    Attributes:
        answered: whether it came to an end, by whatever answer.
        stuck: which way the packets did not get through, as far as can be seen.
        segment: the most octets of a TCP segment that were sent at once.
        ms: what it took, connection included.
    """

    answered: bool
    stuck: Literal["", "sent", "received"] = ""
    segment: int = 0
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Secure:
    """A verified handshake, or what it failed of.

    Attributes:
        version: as ``TLSv1.3``; empty where it failed.
        ms: what it took, connection included.
        fault: why it failed.
        of_dates: whether it failed for the dates of a certificate, as a wrong clock makes it.
    """

    version: str = ""
    ms: float = 0.0
    fault: AgentError | None = None
    of_dates: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of HTTPS.

    Attributes:
        status: of HTTP.
        body: its JSON object; empty where it is none.
        date: the answer's own, in seconds since the epoch.
    """

    status: int
    body: Mapping[str, object] = field(default_factory=dict, repr=False)
    date: float | None = None


class Network(Protocol):
    """Names, connections and handshakes over the prepared link, and over nothing else.

    Every method raises what keeps the link from being used (Links.prepared), and interface-gone where it goes.
    """

    @property
    def host(self) -> str:
        """The platform's, of which all but :meth:`get` ask."""

    def ask_servers(self, deadline: Deadline) -> tuple[Said, ...]:
        """What each of the link's DNS servers says of the host, asked side by side; in the link's order."""

    def plain(self, deadline: Deadline) -> Plain | None:
        """Who answers a GET of ``http://HOST/``, and what; None where nobody does. No redirect is followed."""

    def connect(self, deadline: Deadline) -> Connected:
        """Connect to the platform's port.

        Raises:
            CheckError: hop-timeout; hop-refused; operator-error, it was refused. LinkError.
        """

    def lets_others(self, deadline: Deadline) -> bool | None:
        """Whether another host can be connected to over the link: the app server's, if its name is known there too.

        None where that cannot be told. Nothing is said to it.
        """

    def full_size(self, deadline: Deadline, segment: int | None = None) -> Hello:
        """Shake hands with a first message of more than one full segment; the certificates fill them the other way.

        Args:
            deadline: silence until then is an answer as well.
            segment: the most octets of a segment, both ways; None for what the link's MTU gives.
        """

    def secure(self, deadline: Deadline) -> Secure:
        """Shake hands as a check does, host name and certificates verified."""

    def date(self, deadline: Deadline) -> float | None:
        """The time by the network, in seconds since the epoch, which nobody vouches for; None where nobody tells it."""

    def get(self, url: str, token: Secret, deadline: Deadline) -> Answer:
        """One GET with a bearer token, over https, verified, no redirect followed.

        Raises:
            CheckError, LinkError: there was no answer. DeadlineExceeded.
        """
