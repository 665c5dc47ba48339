"""App server, mobile address, service and reports: what each makes of what it is told."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck import redact
from phonecheck.appserver.client import AppServer
from phonecheck.config import Server, Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding
from phonecheck.doctor.ports.agent import LastCheck, Service
from phonecheck.doctor.ports.network import Answer
from phonecheck.doctor.ports.server import Coverage, Reached
from phonecheck.doctor.rungs import mobile_address, outbox, server, service
from phonecheck.errors import AgentError, BearerError, ConfigError, LinkError, ServerError, ServiceError
from phonecheck.model import Link, Modem, Sim
from phonecheck.redact import Secret

T = TypeVar("T")

URL = "https://api.platform.example/coverage/v0.1/device_ip"
COVERAGE = Coverage(URL, Secret("coverage-token"))
KNOWN = {
    "network_id": "23410",
    "network_name": "O2 UK",
    "country_code": "GB",
    "mobile_data_ip": "203.0.113.64",
    "products": [{"product_id": "PCK", "product_name": "Phone Check"}],
}


@dataclass
class World:
    """All sides of a device as these rungs see them; an error in place of an answer is raised."""

    settings: Settings = field(default_factory=lambda: Settings(server=Server(url="https://app.example")))
    traffic: bool = True
    link: Link | AgentError = field(default_factory=lambda: Link("wwan0"))
    modem: Modem | None = field(default_factory=lambda: Modem("/modem/1", operator_code="23410"))
    shown: Literal["here", "none", "withheld"] = "here"
    reached: Reached | AgentError = field(default_factory=lambda: Reached("GET /x", 200, coverage=COVERAGE))
    answer: Answer | AgentError = field(default_factory=lambda: Answer(200, KNOWN))
    agent: Service | AgentError = field(default_factory=lambda: Service("idle"))
    here: bool = True
    later: int = 0
    waited: list[float] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)

    # Links
    def prepared(self, deadline: Deadline) -> Link:
        return told(self.link)

    # Modems
    def ready(self, deadline: Deadline) -> Modem | None:
        return self.modem

    # Server
    def credential(self) -> Literal["here", "none", "withheld"]:
        return self.shown

    def reach(self, deadline: Deadline) -> Reached:
        return told(self.reached)

    def coverage(self, deadline: Deadline) -> Coverage | None:
        return told(self.reached).coverage

    # Network
    def get(self, url: str, token: Secret, deadline: Deadline) -> Answer:
        self.sent.append((url, token.value))
        return told(self.answer)

    # Agent
    def installed(self, deadline: Deadline) -> bool:
        return self.here

    def read(self, deadline: Deadline) -> Service:
        return told(self.agent)

    def waiting_after(self, seconds: float, deadline: Deadline) -> int:
        self.waited.append(seconds)
        return self.later

    def look(self, rung: Any) -> Finding:
        sides = [cast(Any, self)] * 6
        found = rung.RUNG.look(Device(self.settings, self.traffic, *sides), Deadline(10))
        assert isinstance(found, Finding)
        return found

    def cause(self, rung: Any) -> AgentError:
        """The error of a rung that failed."""
        try:
            found = self.look(rung)
        except AgentError as error:
            return error
        assert found.state == "failed", found
        assert found.error is not None
        return found.error


def told(answer: T | AgentError) -> T:
    if isinstance(answer, AgentError):
        raise answer
    return answer


def asks(**settings: object) -> World:
    """A device whose app server is set up so."""
    return World(Settings(server=Server(url="https://app.example", **settings)))  # type: ignore[arg-type]


# The app server


def test_a_server_that_takes_the_device_is_well() -> None:
    found = World().look(server)
    assert (found.state, found.words) == ("well", "app.example takes this device")
    assert found.facts == {
        "host": "app.example",
        "over": "auto",
        "asked": "GET /x",
        "http_status": 200,
        "coverage_token": True,
    }


def test_that_it_hands_out_no_token_is_said_and_no_fault() -> None:
    found = World(reached=Reached("POST /y", 404)).look(server)
    assert (found.state, found.words) == ("well", "app.example takes this device; hands out no coverage token")
    assert found.facts["coverage_token"] is False


def test_a_busy_server_is_well() -> None:
    found = World(reached=Reached("GET /x", 429, busy=True)).look(server)
    assert (found.state, found.words) == ("well", "app.example is there, and busy (429)")


def test_without_a_server_the_words_are_those_of_verify() -> None:
    from phonecheck import wiring

    with pytest.raises(ConfigError) as verify:
        wiring.wire(Settings(), with_server=True)
    error = World(Settings()).cause(server)
    assert (error.code, error.message, error.hint) == (verify.value.code, verify.value.message, verify.value.hint)


@pytest.mark.parametrize("code", ["server-unreachable", "server-rejected", "protocol-mismatch"])
def test_a_server_that_does_not_take_it_fails_with_a_line_to_try(code: str) -> None:
    found = World(reached=ServerError(code, "It says no.")).look(server)
    assert found.state == "failed"
    assert found.error is not None
    assert found.error.code == code
    assert found.command == server.by_hand(Server(url="https://app.example"))


@pytest.mark.parametrize("protocol", ["v0.1", "v0.2"])
@pytest.mark.parametrize("finish", [None, "/mine?x=1"])
def test_the_line_to_try_asks_what_the_probe_asks(protocol: Literal["v0.1", "v0.2"], finish: str | None) -> None:
    made = Server(url="https://app.example/api/", protocol=protocol, finish=finish)
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(404, stream=httpx.ByteStream(b""))

    with AppServer(made, None, transport=httpx.MockTransport(answer)) as client:
        client.probe(Deadline(10))
    words = shlex.split(server.by_hand(made))
    assert words[-1] == str(asked[1].url)
    assert words[2:-1] == (["--json", asked[1].read().decode()] if asked[1].method == "POST" else [])


def test_the_line_to_try_keeps_the_token_out_of_the_process_list() -> None:
    made = Server(
        url="https://app.example",
        protocol="v0.1",
        token_file=Path("/etc/my token"),
        ca_file=Path("/ca.pem"),
        client_cert=Path("/c.pem"),
        client_key=Path("/k.pem"),
    )
    line = server.by_hand(made, "wwan0")
    assert line == (
        "{ printf oauth2-bearer=; cat '/etc/my token'; } | curl -i --interface wwan0 --cacert /ca.pem --cert /c.pem"
        " --key /k.pem -K - 'https://app.example/v0.1/phone-check?check_id=00000000-0000-0000-0000-000000000000'"
    )
    # It is in --json and in a report, too; there, the query alone is cut.
    assert redact.text(line) == line.partition("?")[0] + "?…'"


def test_a_credential_that_is_missing_is_told_as_it_is() -> None:
    missing = ConfigError("missing-credential", "server.token_file names /x, which cannot be read.")
    assert World(reached=missing).cause(server) is missing


def test_a_credential_that_this_user_may_not_read_is_not_seen() -> None:
    world = World(shown="withheld", reached=AgentError("internal-error", "was asked"))
    found = world.look(server)
    assert (found.state, found.command) == ("unseen", "sudo phonecheck doctor")
    world.reached = ConfigError("missing-credential", "It cannot be read.")
    assert world.look(mobile_address).state == "unseen"


def test_what_a_server_refuses_to_who_has_no_credential_the_service_may_have() -> None:
    world = World(
        shown="none", reached=ServerError("server-rejected", "It wants a credential, and none is configured.")
    )
    found = world.look(server)
    assert (found.state, found.command.split()[:2]) == ("unseen", ["sudo", "systemd-run"])
    assert redact.text(found.command) == found.command
    assert "LoadCredential=server-token:phonecheck.server-token" in shlex.split(found.command)
    assert world.look(mobile_address).state == "unseen"
    world.here = False
    assert world.cause(server).code == "server-rejected"


def test_over_the_modem_it_waits_for_the_link_and_leaves_its_faults_to_others() -> None:
    world = asks(over="modem")
    assert world.look(server).state == "well"
    world.link = BearerError("not-connected", "No bearer is connected.")
    found = world.look(server)
    assert found.state == "unseen"
    assert "No bearer is connected." in found.words


def test_over_the_modem_nothing_is_sent_where_nothing_may_be() -> None:
    world = asks(over="modem")
    world.traffic = False
    world.reached = world.link = AgentError("internal-error", "was asked")
    assert world.look(server).state == "idle"


def test_over_the_modem_only_the_servers_own_name_is_its_fault() -> None:
    world = asks(over="modem")
    world.reached = LinkError("resolver-silent", "None of the servers answered.")
    assert world.look(server).state == "unseen"
    world.reached = LinkError("name-not-found", "There is no name app.example.")
    assert world.cause(server).code == "name-not-found"


# The mobile address


def test_an_address_that_the_platform_knows_is_well() -> None:
    world = World()
    found = world.look(mobile_address)
    assert (found.state, found.words) == ("well", "O2 UK (23410), PhoneCheck covered: yes, seen as 203.0.113.64")
    assert found.facts == {
        "operator": "O2 UK",
        "network_id": "23410",
        "mobile_data_ip": "203.0.113.64",
        "covered": True,
        "operator_matches": True,
    }
    assert world.sent == [(URL, "coverage-token")]


@pytest.mark.parametrize(
    ("modem", "aliases", "matches"),
    [
        (Modem("/m", operator_code="23411"), ["23411"], True),
        (Modem("/m", operator_code="26201", sim=Sim("/s", operator_code="23410")), [], True),  # roaming
        (Modem("/m", operator_code="26201"), ["23411", 7, "x"], False),
        (Modem("/m"), [], None),
        (None, [], None),
    ],
)
def test_whose_network_the_modem_is_with_is_a_fact(modem: Modem | None, aliases: list[object], matches: bool) -> None:
    found = World(modem=modem, answer=Answer(200, KNOWN | {"network_aliases": aliases})).look(mobile_address)
    assert (found.state, found.facts["operator_matches"]) == ("well", matches)
    assert ("the modem is with 26201" in found.words) is (matches is False)


@pytest.mark.parametrize(
    ("status", "code", "command"),
    [
        (412, "not-mobile-ip", True),
        (400, "operator-unsupported", True),
        (401, "server-rejected", False),
        (403, "server-rejected", False),
        (429, "rate-limited", False),
        (302, "platform-error", False),
        (404, "platform-error", False),
        (500, "platform-error", False),
    ],
)
def test_each_refusal_has_its_cause(status: int, code: str, command: bool) -> None:
    found = World(answer=Answer(status)).look(mobile_address)
    assert found.error is not None
    assert (found.error.code, found.facts["http_status"]) == (code, status)
    by_hand = "curl -i --interface wwan0 https://api.platform.example/public/coverage/v0.1/device_ip"
    assert found.command == (by_hand if command else "")


def test_an_operator_without_phone_check_is_unsupported() -> None:
    found = World(answer=Answer(200, KNOWN | {"products": [{"product_id": "SCK"}, 3]})).look(mobile_address)
    assert found.error is not None
    assert (found.error.code, found.facts["covered"]) == ("operator-unsupported", False)
    assert "O2 UK (23410)" in found.error.message


def test_products_that_are_not_told_are_no_fault() -> None:
    body = {key: value for key, value in KNOWN.items() if key != "products"}
    found = World(answer=Answer(200, body)).look(mobile_address)
    assert (found.state, found.facts["covered"]) == ("well", None)
    assert "covered: not said" in found.words


def test_an_answer_about_something_else_is_the_platforms_error() -> None:
    assert World(answer=Answer(200, {"hello": "world"})).cause(mobile_address).code == "platform-error"


def test_without_a_token_it_cannot_be_seen() -> None:
    world = World(reached=Reached("POST /y", 404))
    found = world.look(mobile_address)
    assert (found.state, "hands out no coverage token" in found.words) == ("unseen", True)
    world.reached = Reached("GET /x", 429, busy=True)
    assert "is busy" in world.look(mobile_address).words
    assert world.sent == []


_json: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*KNOWN, "network_aliases"]), _json | st.just("447700900123 \x1b[31m")))
def test_whatever_the_platform_says_what_is_shown_is_plain_and_holds_no_number(body: dict[str, object]) -> None:
    found = World(answer=Answer(200, body)).look(mobile_address)
    shown = found.words + (found.error.message if found.error else "") + str(dict(found.facts))
    assert shown.isprintable()
    assert "447700900123" not in shown


# The service


def test_a_service_at_work_tells_of_its_last_check() -> None:
    world = World(agent=Service("idle", "0.1.0", last=LastCheck("match", age=300)))
    found = world.look(service)
    assert (found.state, found.words) == ("well", "idle; last: match, 5 min ago")
    assert found.facts == {
        "service_state": "idle",
        "version": "0.1.0",
        "last_outcome": "match",
        "last_code": None,
        "last_age_seconds": 300,
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Service("idle"), "idle; no check yet"),
        (Service("checking", last=LastCheck("no_match", age=7)), "checking now; last: no match, 7 s ago"),
        (
            Service("waiting", last=LastCheck("inconclusive", "not-registered", 36000)),
            "waiting to try again; last: inconclusive (not-registered), 10 h ago",
        ),
        (Service("idle", last=LastCheck("inconclusive", "clock-wrong")), "idle; last: inconclusive (clock-wrong)"),
        (Service("idle", last=LastCheck("match", age=864000)), "idle; last: match, 10 d ago"),
    ],
)
def test_that_its_last_check_failed_is_no_failure_of_the_service(given: Service, words: str) -> None:
    found = World(agent=given).look(service)
    assert (found.state, found.words) == ("well", words)


AWAY = ServiceError("agent-unavailable", "The service does not run.")


def test_one_that_is_installed_and_does_not_run_fails_and_one_that_is_not_is_not_missed() -> None:
    found = World(agent=AWAY).look(service)
    assert (found.state, found.error, found.command) == ("failed", AWAY, "systemctl restart phonecheck-agent")
    assert World(agent=AWAY, here=False).look(service).state == "idle"


def test_who_may_not_ask_does_not_see() -> None:
    denied = World(agent=ServiceError("not-allowed", "This user may not ask the service."))
    assert denied.look(service).state == denied.look(outbox).state == "unseen"


def test_a_problem_of_the_service_is_told_in_its_own_words() -> None:
    problem = "The configuration was not taken over: Unknown setting server.ulr."
    error = World(agent=Service("idle", problem=problem)).cause(service)
    assert (error.code, error.message) == ("bad-setting", problem)
    error = World(agent=Service("unconfigured", problem=problem)).cause(service)
    assert (error.code, error.message) == ("not-configured", problem)


def test_one_that_waits_for_a_server_is_a_fault_where_this_command_knows_one() -> None:
    world = World(agent=Service("unconfigured"))
    assert world.cause(service).code == "not-configured"
    world.settings = Settings()
    assert world.look(service).state == "idle"


# Reports


def reporting(agent: Service, later: int = 0) -> World:
    world = asks(report="/report")
    return dataclasses.replace(world, agent=agent, later=later)


def test_nothing_waits() -> None:
    found = reporting(Service("idle")).look(outbox)
    assert (found.state, found.words, found.facts) == ("well", "nothing waits", {"waiting": 0, "dropped": 0})


def test_what_was_given_up_long_ago_is_said_and_no_fault_of_today() -> None:
    found = reporting(Service("idle", dropped=3)).look(outbox)
    assert (found.state, found.words) == ("well", "nothing waits; 3 given up so far")


def test_reports_that_go_are_well() -> None:
    assert reporting(Service("idle", waiting=3), later=2).look(outbox).words == "2 waiting, on their way"
    assert reporting(Service("idle", waiting=1), later=0).look(outbox).words == "the last was just delivered"


@pytest.mark.parametrize("later", [2, 5])
def test_reports_that_stay_are_the_fault(later: int) -> None:
    found = reporting(Service("idle", waiting=2, dropped=1), later).look(outbox)
    assert found.error is not None
    assert found.error.code == "reports-waiting"
    assert found.error.message == f"{later} reports wait for the app server; 1 given up so far."
    assert found.facts == {"waiting": later, "dropped": 1}


@pytest.mark.parametrize(("age", "patience"), [(None, 1), (2, 3), (600, 1)])
def test_a_fresh_report_has_more_time_to_go(age: float | None, patience: float) -> None:
    world = reporting(Service("idle", waiting=1, last=LastCheck("match", age=age)))
    world.look(outbox)
    assert world.waited == [patience]


def test_without_a_path_nothing_is_reported_and_what_waits_stays() -> None:
    assert World().look(outbox).state == "idle"
    error = World(agent=Service("idle", waiting=1), later=1).cause(outbox)
    assert error.message == "1 report waits for the app server, and server.report is not set."
    assert "server.report =" in error.hint


def test_without_a_service_there_are_no_reports() -> None:
    assert World(agent=AWAY, here=False).look(outbox).state == "idle"
    assert World(agent=AWAY).cause(outbox) is AWAY
