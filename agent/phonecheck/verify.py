"""The flow, and nothing else: the one file that knows the order of the steps.

make the modem ready ∥ [app server] create the check, once nothing is left to wait for
→ open the check URL over the link, every hop → [app server] finish
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, CheckError, DeadlineExceeded, LinkError, ServerError
from phonecheck.model import ChainEnd, Check, Hop, Link, Modem, Outcome, OutcomeWord, PhoneNumber

Step = Literal["modem", "check", "chain", "result"]
State = Literal["started", "waiting", "done", "failed"]
Progress = Callable[[Step, State, str], None]
"""Told of each step as it starts, waits and ends, with a few words of what came of it; from any thread."""
Loss = Callable[[LinkError], None]


class AppServer(Protocol):
    """The customer's application server."""

    def create(self, number: PhoneNumber, deadline: Deadline) -> Check:
        """Ask for a check. Raises ServerError, CheckError."""

    def finish(self, check: Check, end: ChainEnd, deadline: Deadline) -> bool:
        """Ask whether the number matched. Raises ServerError, CheckError."""

    def close(self) -> None:
        """Close its connections."""


ReadModem = Callable[[Deadline, Callable[[], None], Callable[[str], None], Callable[[Modem], None]], Modem | None]
"""Deadline, near, say, saw → the modem, made ready as far as that is allowed; None for an interface that ModemManager does
not manage. ``near`` is called once as soon as there is no more waiting ahead, ``say`` with the words of each wait, ``saw``
with each reading. Raises ModemError. Time that was allowed for waiting alone is added to the deadline."""
OpenChain = Callable[[str, Link, Modem | None, Deadline, Callable[[Hop], None]], ChainEnd]
"""Check URL, link, modem, deadline, on_hop → how the chain ended. Raises CheckError, LinkError."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the flow is made of; wiring.py puts the real ones together, tests hand in fakes.

    Attributes:
        read_modem: finds the modem and makes it ready.
        find_link: its link, proven to be one that the kernel can take the exchange over, and watched from then on. Raises
            ModemError, LinkError.
        number: the number that was asked for, or None for the SIM's own.
        sim_number: the SIM's own number. Raises ConfigError.
        app_server: its client; given the link where it is reached over the link, else None.
        server_needs_link: whether it is.
        check_url: refuses a URL that no chain may begin with. Raises CheckError.
        open_chain: the HTTP exchange.
        code_expected: whether the chain must yield a code (v0.2).
        warm_up: does ahead what ``open_chain`` would begin with, while the app server creates the check.
        on_loss: has a function called when the link goes, also if it has gone; from any thread.
        lost: the error of a link that has gone, which explains every other error of the exchange.
        settle: waits until the exchange's connections are closed at both ends, and takes down what was set up for it; to be
            called when the answer is out, for what ends before could leave the kernel to answer by another interface.
        linger: the same for a command that is ended in the middle; to be called in a process that was forked off.
    """

    read_modem: ReadModem
    find_link: Callable[[Modem | None, Deadline], Link]
    number: PhoneNumber | None
    sim_number: Callable[[Modem | None], PhoneNumber]
    app_server: Callable[[Link | None], AppServer]
    server_needs_link: bool
    check_url: Callable[[str], object]
    open_chain: OpenChain
    code_expected: bool
    warm_up: Callable[[], object] = lambda: None
    on_loss: Callable[[Loss], None] = lambda _: None
    lost: Callable[[], LinkError | None] = lambda: None
    settle: Callable[[], None] = lambda: None
    linger: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Story:
    """What is known so far; an Outcome is made of it at any point, also of a failure."""

    started: float
    number: PhoneNumber | None = None
    check: Check | None = None
    modem: Modem | None = None
    link: Link | None = None
    http_status: int | None = None
    hops: tuple[Hop, ...] = ()

    def outcome(self, word: OutcomeWord, error: AgentError | None = None) -> Outcome:
        return Outcome(
            word,
            self.number,
            self.check.id if self.check else None,
            self.modem,
            self.link,
            self.hops,
            self.http_status,
            (time.monotonic() - self.started) * 1000,
            error,
        )


def verify(parts: Parts, deadline: Deadline, progress: Progress) -> Outcome:
    """Verify a number: match, no match, or inconclusive with its error. Never raises an AgentError."""
    story = _Story(time.monotonic(), parts.number)
    try:
        server, check, until = _prepare(parts, story, deadline, progress)
        with closing(server), _within_ttl(check, deadline, until):
            end = _open(parts, story, check.url, until, progress)
            match = _finish(parts, server, check, end, until, progress)
        return story.outcome("match" if match else "no_match")
    except AgentError as error:
        return story.outcome("inconclusive", error)


def open_url(parts: Parts, url: str, deadline: Deadline, progress: Progress) -> Outcome:
    """Step 5 alone: open a check URL over the link. Never raises an AgentError."""
    story = _Story(time.monotonic())
    try:
        parts.check_url(url)
        _read_link(parts, story, deadline, progress)
        _open(parts, story, url, deadline, progress)
        return story.outcome("opened")
    except AgentError as error:
        return story.outcome("inconclusive", error)


def _prepare(parts: Parts, story: _Story, deadline: Deadline, progress: Progress) -> tuple[AppServer, Check, Deadline]:
    """Make the modem ready and create the check, side by side where neither needs the other.

    A check lives for its ttl, so it is not created before the modem has nothing to wait for any more.
    """
    modem_first = parts.number is None or parts.server_needs_link
    creating: Aside[tuple[AppServer, Check, Deadline]] | None = None

    def create() -> tuple[AppServer, Check, Deadline]:
        number = story.number = parts.number or parts.sim_number(story.modem)
        server = parts.app_server(story.link if parts.server_needs_link else None)
        return server, *_create(parts, server, story, number, deadline, progress)

    def begin() -> None:
        nonlocal creating
        creating = creating or Aside(create, "create")

    # A modem that cannot be used ends the command at once; the check being created then runs out unused.
    _read_link(parts, story, deadline, progress, near=(lambda: None) if modem_first else begin)
    begin()
    assert creating is not None  # noqa: S101  for the type checker
    parts.on_loss(creating.give_up)
    parts.warm_up()
    return creating.result()


def _read_link(
    parts: Parts, story: _Story, deadline: Deadline, progress: Progress, near: Callable[[], None] = lambda: None
) -> None:
    def saw(modem: Modem) -> None:
        story.modem = modem

    with _step(parts, "modem", progress) as done:
        story.modem = parts.read_modem(deadline, near, lambda words: progress("modem", "waiting", words), saw)
        story.link = parts.find_link(story.modem, deadline)
        done(_describe(story.modem, story.link))


def _create(
    parts: Parts, server: AppServer, story: _Story, number: PhoneNumber, deadline: Deadline, progress: Progress
) -> tuple[Check, Deadline]:
    """The check, and the end of its life: the ttl counts from the request, for the server's clock cannot be seen."""
    with _step(parts, "check", progress) as done:
        asked = time.monotonic()
        check = story.check = server.create(number, deadline)
        parts.check_url(check.url)
        done(f"{check.id}, lives {check.ttl:.0f} s")
        return check, deadline.within(check.ttl - (time.monotonic() - asked))


def _open(parts: Parts, story: _Story, url: str, deadline: Deadline, progress: Progress) -> ChainEnd:
    assert story.link is not None  # noqa: S101  for the type checker: _read_link set it or raised
    with _step(parts, "chain", progress) as done:

        def on_hop(hop: Hop) -> None:
            story.hops += (hop,)
            story.http_status = hop.status
            progress("chain", "started", f"{len(story.hops)} hops")

        end = parts.open_chain(url, story.link, story.modem, deadline, on_hop)
        done(f"{len(story.hops)} hops in {sum(hop.timings.total for hop in story.hops):.0f} ms")
        return end


def _finish(
    parts: Parts, server: AppServer, check: Check, end: ChainEnd, deadline: Deadline, progress: Progress
) -> bool:
    with _step(parts, "result", progress) as done:
        if end.check_id is not None and end.check_id != check.id:
            raise CheckError("platform-error", "The chain ended with the code of another check.")
        if parts.code_expected and end.code is None:
            raise ServerError(
                "protocol-mismatch",
                "The chain ended without a code, which a v0.2 check always yields.",
                hint='If the app server creates v0.1 checks, set server.protocol = "v0.1".',
            )
        match = server.finish(check, end, deadline)
        done("match" if match else "no match")
        return match


@contextmanager
def _step(parts: Parts, step: Step, progress: Progress) -> Iterator[Callable[[str], None]]:
    progress(step, "started", "")
    try:
        yield lambda words: progress(step, "done", words)
    except AgentError as error:
        # A connection that broke, a name that was not found, a hop that was silent: with the link gone, all of one cause.
        over_link = step == "chain" or (parts.server_needs_link and step in ("check", "result"))
        cause = (parts.lost() if over_link else None) or error
        progress(step, "failed", cause.code)
        if cause is not error:
            raise cause from None
        raise


@contextmanager
def _within_ttl(check: Check, deadline: Deadline, until: Deadline) -> Iterator[None]:
    """Tell the check's own end from the command's: the one wants a new check, the other more time."""
    try:
        yield
    except DeadlineExceeded:
        if until.expired and not deadline.expired:
            raise CheckError("check-expired", f"The check's {check.ttl:.0f} s passed before it was done.") from None
        raise


def _describe(modem: Modem | None, link: Link) -> str:
    if modem is None:
        return link.interface
    facts = [modem.operator_name or modem.operator_code, "/".join(modem.technologies), link.interface]
    return ", ".join(fact for fact in facts if fact)
