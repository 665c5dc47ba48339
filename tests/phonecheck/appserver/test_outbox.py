"""What an answer means for a report, and the order of many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.appserver.answers import Answer
from phonecheck.appserver.outbox import Verdict, deliver, verdict_of
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ConfigError, ServerError

ASKED = "POST /v0.2/phone-check/report"


def verdict(status: int, *, wait: float | None = None, body: bytes = b"", authenticated: bool = True) -> Verdict:
    return verdict_of(Answer(status, body, wait), ASKED, authenticated=authenticated)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert verdict(status) == Verdict("delivered")


@pytest.mark.parametrize(
    ("status", "result", "code"),
    [
        (302, "failed", "server-rejected"),
        (400, "refused", "server-rejected"),
        (401, "failed", "server-rejected"),
        (403, "failed", "server-rejected"),
        (404, "failed", "protocol-mismatch"),
        (405, "failed", "protocol-mismatch"),
        (407, "failed", "server-rejected"),
        (408, "failed", "server-rejected"),
        (409, "refused", "server-rejected"),
        (410, "refused", "server-rejected"),
        (413, "refused", "server-rejected"),
        (415, "refused", "server-rejected"),
        (422, "refused", "server-rejected"),
        (425, "failed", "server-rejected"),
        (429, "failed", "server-rejected"),
        (500, "failed", "server-unreachable"),
        (501, "failed", "protocol-mismatch"),
        (503, "failed", "server-unreachable"),
    ],
)
def test_each_refusal_is_for_good_or_for_now(status: int, result: str, code: str) -> None:
    found = verdict(status)
    assert found.error is not None
    assert (found.result, found.error.code, found.error.retry_after) == (result, code, None)
    assert str(status) in found.error.message


@pytest.mark.parametrize("status", [403, 409, 413, 429, 500, 503])
def test_whoever_says_when_to_come_again_has_not_refused_for_good(status: int) -> None:
    found = verdict(status, wait=90.0)
    assert found.result == "failed"
    assert found.error is not None
    assert found.error.retry_after == 90.0
    assert "--timeout" not in found.error.hint


def test_a_missing_route_names_the_setting() -> None:
    found = verdict(404)
    assert found.error is not None
    assert found.error.message == f"The app server has no {ASKED}: 404."
    assert "server.report" in found.error.hint


def test_the_platform_has_no_part_in_a_report() -> None:
    problem = b'{"type": "https://developer.tru.id/docs/reference/api-errors#not_mobile_ip", "title": "No"}'
    found = verdict(412, body=problem)
    assert found.error is not None
    assert (found.result, found.error.code) == ("refused", "server-rejected")


@given(st.integers(100, 999), st.binary(max_size=80), st.none() | st.floats(0, 1e9), st.booleans())
def test_every_answer_has_a_verdict(status: int, body: bytes, wait: float | None, authenticated: bool) -> None:
    found = verdict(status, wait=wait, body=body, authenticated=authenticated)
    assert (found.result == "delivered") == (200 <= status < 300) == (found.error is None)


@dataclass(frozen=True)
class Report:
    id: str
    body: Mapping[str, object] = field(default_factory=dict)


@dataclass
class Server:
    """Answers each report with what is said of it, and remembers what it was posted."""

    says: Mapping[str, Verdict | AgentError] = field(default_factory=dict)
    posted: list[str] = field(default_factory=list)

    def post(self, key: str, body: Mapping[str, object], deadline: Deadline) -> Verdict:
        self.posted.append(key)
        said = self.says.get(key, Verdict("delivered"))
        if isinstance(said, AgentError):
            raise said
        return said


REPORTS = [Report(key) for key in "abcd"]
DOWN = ServerError("server-unreachable", "The app server does not answer.", retry_after=7.0)


def results(server: Server) -> list[tuple[str, str]]:
    return [(key, found.result) for key, found in deliver(REPORTS, server.post, Deadline(60))]


def test_reports_are_posted_in_order() -> None:
    server = Server()
    assert results(server) == [(key, "delivered") for key in "abcd"]
    assert server.posted == list("abcd")


def test_what_is_refused_holds_nothing_up() -> None:
    assert [result for _, result in results(Server({"b": Verdict("refused", DOWN)}))] == [
        "delivered",
        "refused",
        "delivered",
        "delivered",
    ]


@pytest.mark.parametrize("said", [DOWN, Verdict("failed", DOWN)], ids=["no answer", "an answer"])
def test_nothing_is_posted_after_one_that_failed(said: Verdict | AgentError) -> None:
    server = Server({"b": said})
    found = list(deliver(REPORTS, server.post, Deadline(60)))
    assert [(key, verdict.result) for key, verdict in found] == [("a", "delivered"), ("b", "failed")]
    assert found[1][1].error is DOWN
    assert server.posted == ["a", "b"]


def test_each_verdict_is_there_before_the_next_report_is_posted() -> None:
    server = Server()
    told = deliver(REPORTS, server.post, Deadline(60))
    next(told)
    assert server.posted == ["a"]


def test_what_no_report_can_get_over_is_no_reports_verdict() -> None:
    server = Server({"a": ConfigError("bad-setting", "server.ca_file cannot be used.")})
    with pytest.raises(ConfigError):
        results(server)
