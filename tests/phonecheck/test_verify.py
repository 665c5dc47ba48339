"""The flow's order and its ends, every part a fake."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from ipaddress import IPv4Interface
from typing import Any

import pytest

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError, CheckError, ConfigError, DeadlineExceeded, LinkError, ServerError
from phonecheck.model import ChainEnd, Check, Hop, Link, Modem, Outcome, PhoneNumber
from phonecheck.redact import Secret
from phonecheck.verify import Parts, open_url, verify

NUMBER = PhoneNumber("447700900123")
MODEM = Modem("/modem/0", own_numbers=(NUMBER,))
LINK = Link("wwan0", (IPv4Interface("10.64.0.2/30"),))
CHECK = Check("c69bc0e6", "https://api.platform.example/c", 60.0)
END = ChainEnd((), 200, Secret("94dae426fg"), "c69bc0e6")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclasses.dataclass
class Server:
    """An app server that says `match`, and notes what it was asked."""

    calls: list[object]
    match: bool = True
    check: Check = CHECK
    on_create: Callable[[], None] = lambda: None
    on_finish: Callable[[], None] = lambda: None

    def create(self, number: PhoneNumber, deadline: Deadline) -> Check:
        self.calls.append(("create", number))
        self.on_create()
        return self.check

    def finish(self, check: Check, end: ChainEnd, deadline: Deadline) -> bool:
        self.calls.append(("finish", check.id, end.code.value if end.code else None))
        self.on_finish()
        return self.match

    def close(self) -> None:
        self.calls.append("closed")


class World:
    """The parts as fakes, and what came of a run."""

    def __init__(self, end: ChainEnd = END, **server: Any) -> None:
        self.calls: list[object] = []
        self.server = Server(self.calls, **server)
        self.progress: list[tuple[str, str, str]] = []
        self.clock = Clock()
        self.end = end
        self.parts = Parts(
            read_modem=self.read_modem,
            find_link=lambda modem, deadline: LINK,
            number=NUMBER,
            sim_number=lambda modem: modem.own_numbers[0] if modem else NUMBER,
            app_server=self.app_server,
            server_needs_link=False,
            check_url=lambda url: None,
            open_chain=self.open_chain,
            code_expected=True,
        )

    def app_server(self, link: Link | None) -> Server:
        self.calls.append(("server over", link.interface if link else None))
        return self.server

    def read_modem(
        self, deadline: Deadline, near: Callable[[], None], say: Callable[[str], None], saw: Any
    ) -> Modem | None:
        self.calls.append("modem")
        near()
        return MODEM

    def open_chain(
        self, url: str, link: Link, modem: Modem | None, deadline: Deadline, on_hop: Callable[[Hop], None]
    ) -> ChainEnd:
        self.calls.append(("open", url, link.interface))
        on_hop(Hop(1, url, 200))
        return self.end

    def run(self, **changes: Any) -> Outcome:
        parts = dataclasses.replace(self.parts, **changes)
        return verify(parts, Deadline(30, self.clock), lambda *event: self.progress.append(event))


def raising(error: Exception) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> Any:
        raise error

    return call


def test_a_match_is_what_the_app_server_says() -> None:
    world = World()
    outcome = world.run()
    assert (outcome.word, outcome.match, outcome.error) == ("match", True, None)
    assert world.calls[-3:] == [("open", CHECK.url, "wwan0"), ("finish", "c69bc0e6", "94dae426fg"), "closed"]
    assert (outcome.check_id, outcome.modem, outcome.link, outcome.http_status) == ("c69bc0e6", MODEM, LINK, 200)


def test_a_code_is_no_match_until_the_app_server_says_so() -> None:
    outcome = World(match=False).run()
    assert (outcome.word, outcome.match) == ("no_match", False)


def test_the_modem_is_read_while_the_app_server_creates_the_check() -> None:
    both = threading.Barrier(2, timeout=5)
    world = World(on_create=lambda: both.wait() and None)

    def read_modem(deadline: Deadline, near: Callable[[], None], say: Callable[[str], None], saw: Any) -> Modem:
        near()
        both.wait()
        return MODEM

    # Either alone would wait for the other until the barrier breaks.
    assert world.run(read_modem=read_modem).word == "match"


@pytest.mark.parametrize("changes", [{}, {"number": None}, {"server_needs_link": True}])
def test_the_chain_is_warmed_up_while_the_app_server_creates_the_check(changes: dict[str, Any]) -> None:
    both = threading.Barrier(2, timeout=5)
    world = World(on_create=lambda: both.wait() and None)
    assert world.run(warm_up=both.wait, **changes).word == "match"


def test_without_a_number_the_sims_own_is_read_first() -> None:
    world = World()
    outcome = world.run(number=None)
    assert world.calls[:3] == ["modem", ("server over", None), ("create", NUMBER)]
    assert outcome.number == NUMBER


def test_a_sim_that_stores_no_number_is_an_error_before_a_check_is_created() -> None:
    world = World()
    error = ConfigError("number-unknown", "No number.")
    assert world.run(number=None, sim_number=raising(error)).error is error
    assert world.calls == ["modem"]


def test_an_app_server_over_the_modem_is_given_the_link() -> None:
    world = World()
    world.run(server_needs_link=True)
    assert world.calls[:3] == ["modem", ("server over", "wwan0"), ("create", NUMBER)]


def test_a_modem_that_cannot_be_used_ends_the_command_without_waiting_for_the_app_server() -> None:
    never = threading.Event()
    world = World(on_create=lambda: never.wait(5) and None)
    error = BearerError("not-connected", "It is not.")
    outcome = world.run(read_modem=raising(error))
    assert not never.is_set()
    assert (outcome.word, outcome.match, outcome.error) == ("inconclusive", None, error)
    assert not any(isinstance(call, tuple) and call[0] == "open" for call in world.calls)
    never.set()


def test_a_modem_without_a_link_is_evidence_all_the_same() -> None:
    outcome = World().run(find_link=raising(BearerError("not-connected", "It is not.")))
    assert (outcome.modem, outcome.link) == (MODEM, None)


def test_an_app_server_that_fails_spends_no_check() -> None:
    error = ServerError("server-unreachable", "Refused.")
    world = World(on_create=raising(error))
    assert world.run().error is error
    assert not any(isinstance(call, tuple) and call[0] == "open" for call in world.calls)


def test_a_check_url_that_no_chain_may_begin_with_is_not_opened() -> None:
    error = CheckError("bad-check-url", "It is http.")
    world = World()
    assert world.run(check_url=raising(error)).error is error
    assert not any(isinstance(call, tuple) and call[0] == "open" for call in world.calls)


def test_the_code_of_another_check_is_not_handed_over() -> None:
    world = World(dataclasses.replace(END, check_id="another"))
    outcome = world.run()
    assert outcome.error is not None
    assert outcome.error.code == "platform-error"
    assert not any(isinstance(call, tuple) and call[0] == "finish" for call in world.calls)


def test_a_v02_chain_without_a_code_is_a_mismatch_of_protocols() -> None:
    world = World(ChainEnd((), 200))
    outcome = world.run()
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_status) == ("protocol-mismatch", 7)
    assert world.run(code_expected=False).word == "match"


def test_hops_of_a_chain_that_failed_are_evidence() -> None:
    world = World()

    def fails(url: str, link: Link, modem: Modem | None, deadline: Deadline, on_hop: Callable[[Hop], None]) -> ChainEnd:
        on_hop(Hop(1, url, 302))
        on_hop(Hop(2, url, None))
        raise CheckError("hop-timeout", "Too long.")

    outcome = world.run(open_chain=fails)
    assert [hop.status for hop in outcome.hops] == [302, None]
    assert outcome.error is not None


def test_the_checks_own_end_and_the_commands_are_told_apart() -> None:
    world = World(check=dataclasses.replace(CHECK, ttl=2.0))

    def expires(seconds: float) -> Callable[..., ChainEnd]:
        def call(*args: object) -> ChainEnd:
            world.clock.now += seconds
            raise DeadlineExceeded("Too late.")

        return call

    outcome = world.run(open_chain=expires(3))
    assert outcome.error is not None
    assert outcome.error.code == "check-expired"
    outcome = world.run(open_chain=expires(40))
    assert outcome.error is not None
    assert outcome.error.code == "deadline-exceeded"


def test_the_chain_is_given_no_more_than_the_ttl() -> None:
    world = World(check=dataclasses.replace(CHECK, ttl=7.0))
    seen: list[float] = []

    def look(url: str, link: Link, modem: Modem | None, deadline: Deadline, on_hop: Callable[[Hop], None]) -> ChainEnd:
        seen.append(deadline.remaining())
        return END

    world.run(open_chain=look)
    assert 6.0 < seen[0] <= 7.0


def test_progress_tells_each_step_and_the_one_that_failed() -> None:
    world = World(on_finish=raising(ServerError("server-rejected", "401.")))
    world.run()
    steps = [(step, state) for step, state, _ in world.progress]
    # The chain's second "started" is its first hop: on a slow link the hops are counted as they end.
    assert steps[-5:] == [*[("chain", "started")] * 2, ("chain", "done"), ("result", "started"), ("result", "failed")]
    assert world.progress[-1][2] == "server-rejected"


def test_open_asks_no_app_server() -> None:
    world = World()
    outcome = open_url(world.parts, CHECK.url, Deadline(30), lambda *event: None)
    assert (outcome.word, outcome.match, outcome.http_status) == ("opened", None, 200)
    assert world.calls == ["modem", ("open", CHECK.url, "wwan0")]


def test_open_refuses_a_bad_url_before_it_reads_the_modem() -> None:
    world = World()
    parts = dataclasses.replace(world.parts, check_url=raising(CheckError("bad-check-url", "It is ftp.")))
    outcome = open_url(parts, "ftp://x", Deadline(30), lambda *event: None)
    assert outcome.error is not None
    assert outcome.error.code == "bad-check-url"
    assert world.calls == []


def test_no_check_is_created_before_the_modem_has_nothing_to_wait_for() -> None:
    world = World()

    def read_modem(deadline: Deadline, near: Callable[[], None], say: Callable[[str], None], saw: Any) -> Modem:
        say("searching for a network")
        assert not [call for call in world.calls if call[0] == "create"]
        near()
        return MODEM

    assert world.run(read_modem=read_modem).word == "match"
    assert ("modem", "waiting", "searching for a network") in world.progress


def test_time_that_was_waited_for_the_modem_is_not_the_chains() -> None:
    world = World()

    def read_modem(deadline: Deadline, near: Callable[[], None], say: Callable[[str], None], saw: Any) -> Modem:
        world.clock.now += 100
        deadline.postpone(100)
        near()
        return MODEM

    assert world.run(read_modem=read_modem).word == "match"


GONE = LinkError("interface-gone", "The network interface wwan0 is down.")


@pytest.mark.parametrize(
    "error",
    [CheckError("hop-timeout", "Silent."), LinkError("name-not-found", "None."), CheckError("tls-failed", "Cut.")],
)
def test_a_link_that_has_gone_explains_whatever_the_chain_ended_with(error: AgentError) -> None:
    outcome = World().run(open_chain=raising(error), lost=lambda: GONE)
    assert outcome.error is GONE


def test_a_lost_link_is_no_excuse_of_an_app_server_that_is_reached_otherwise() -> None:
    error = ServerError("server-rejected", "No.")
    assert World(on_finish=raising(error)).run(lost=lambda: GONE).error is error
    assert World(on_finish=raising(error)).run(lost=lambda: GONE, server_needs_link=True).error is GONE


def test_a_link_that_goes_ends_the_wait_for_the_check() -> None:
    never = threading.Event()
    world = World(on_create=lambda: never.wait(5) and None)
    told: list[Callable[[LinkError], None]] = []

    def on_loss(callback: Callable[[LinkError], None]) -> None:
        told.append(callback)
        threading.Timer(0.01, callback, [GONE]).start()

    try:
        assert world.run(on_loss=on_loss).error is GONE
    finally:
        never.set()


def test_a_modem_that_was_seen_is_shown_with_the_error_that_it_ended_in() -> None:
    def read_modem(deadline: Deadline, near: Any, say: Any, saw: Callable[[Modem], None]) -> Modem:
        saw(MODEM)
        raise BearerError("connect-failed", "No.")

    assert World().run(read_modem=read_modem).modem is MODEM
