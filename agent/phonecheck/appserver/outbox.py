"""Reports to the app server: in order, one at a time, and what each answer means for the report that it answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from phonecheck.appserver import answers
from phonecheck.appserver.answers import Answer
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ConfigError

# A credential or a proxy can be mended, a route deployed, and the last three say "later" (RFC 9110, RFC 8470).
_LATER = frozenset({401, 403, 404, 405, 407, 408, 425, 429})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one report.

    ``delivered``: the server has it. ``refused``: it never will take it. ``failed``: later, perhaps. ``error`` says why
    not, and how long to wait; None for a delivered one.
    """

    result: Literal["delivered", "refused", "failed"]
    error: AgentError | None = None


class Report(Protocol):
    """A report and the id by which the server knows one that comes twice."""

    @property
    def id(self) -> str:
        """The idempotency key."""

    @property
    def body(self) -> Mapping[str, object]:
        """A JSON object."""


Post = Callable[[str, Mapping[str, object], Deadline], Verdict]
"""Posts a report's body by its id. Raises AgentError where no answer came."""


def verdict_of(answer: Answer, asked: str, *, authenticated: bool) -> Verdict:
    """What an answer means for the report.

    Args:
        answer: of any status.
        asked: method and path, for the message.
        authenticated: whether the request held a credential.
    """
    status, wait = answer.status, answer.retry_after
    if 200 <= status < 300:
        return Verdict("delivered")
    if status == 429:
        error: AgentError = answers.too_many("report", wait)
    else:
        error = answers.refusal(answer, "report", asked, authenticated=authenticated)
    # Whoever says when to come again has not refused for good: a 413 may be of the moment (RFC 9110, 15.5.14), and a 409
    # may say that the first of two is still being worked on.
    final = 400 <= status < 500 and status not in _LATER and wait is None
    return Verdict("refused" if final else "failed", error)


def deliver(reports: Iterable[Report], post: Post, deadline: Deadline) -> Iterator[tuple[str, Verdict]]:
    """Post reports in their order up to the first that fails; each one's id and verdict, as soon as it is known.

    Args:
        reports: read one at a time.
        post: as the app server's client does.
        deadline: for all of them.

    Raises:
        ConfigError: none of them can be posted at all.
    """
    for report in reports:
        try:
            verdict = post(report.id, report.body, deadline)
        except ConfigError:
            raise
        except AgentError as error:
            verdict = Verdict("failed", error)
        yield report.id, verdict
        if verdict.result == "failed":
            return
