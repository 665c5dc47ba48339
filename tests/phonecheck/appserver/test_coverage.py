"""Whether the app server is there: asked by two routes at most, and no check is created by it."""

from __future__ import annotations

import contextlib
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.appserver.client import AppServer
from phonecheck.appserver.coverage import Probe, parse_access
from phonecheck.config import Server
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, DeadlineExceeded, ServerError
from phonecheck.redact import Secret

URL = "https://api.platform.example/coverage/v0.1/device_ip"
ACCESS = json.dumps({"token": "coverage-token", "url": URL}).encode()
NO_ROUTE = httpx.Response(404, text="Not Found")
TOKEN = Secret("device-token")


class Scripted(httpx.BaseTransport):
    """Answers the coverage route with one response and the other route with another."""

    def __init__(self, coverage: httpx.Response, finish: httpx.Response | None = None) -> None:
        self.coverage, self.finish = coverage, finish
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.coverage if len(self.requests) == 1 else self.finish
        assert answer is not None, f"an unexpected {request.method} {request.url.path}"
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))


def probe(web: Scripted, *, token: Secret | None = TOKEN, **settings: str) -> Probe:
    made = Server(url="https://app.example/base", **settings)  # type: ignore[arg-type]
    with AppServer(made, token, transport=web) as client:
        return client.probe(Deadline(10))


def refusal(web: Scripted, **settings: str) -> AgentError:
    with pytest.raises(ServerError) as caught:
        probe(web, **settings)
    return caught.value


def test_a_token_and_its_url_are_all_that_is_asked_for() -> None:
    web = Scripted(httpx.Response(200, content=ACCESS))
    found = probe(web)
    assert (found.asked, found.status) == ("GET /coverage-access-token", 200)
    assert found.access is not None
    assert (found.access.url, found.access.token.value) == (URL, "coverage-token")
    (request,) = web.requests
    assert (request.method, str(request.url)) == ("GET", "https://app.example/base/coverage-access-token")
    assert request.headers["Authorization"] == "Bearer device-token"


def test_the_path_is_a_setting_and_its_query_is_not_shown() -> None:
    web = Scripted(httpx.Response(200, content=ACCESS))
    assert probe(web, coverage="/token?for=me").asked == "GET /token"
    assert web.requests[0].url.query == b"for=me"


def test_a_server_that_is_busy_is_there() -> None:
    assert probe(Scripted(httpx.Response(429))) == Probe("GET /coverage-access-token", 429)


@pytest.mark.parametrize("coverage", [404, 405, 501, 403, 302, 200, 500])
@pytest.mark.parametrize("finish", [400, 404, 409, 410, 422, 429])
def test_whatever_the_first_route_says_the_second_has_the_last_word(coverage: int, finish: int) -> None:
    web = Scripted(httpx.Response(coverage, text="<html>"), httpx.Response(finish))
    assert probe(web) == Probe("POST /v0.2/phone-check/exchange-code", finish)
    body = json.loads(web.requests[1].content)
    assert body == {"check_id": "00000000-0000-0000-0000-000000000000", "code": "none"}


def test_v01_reads_a_result_that_nobody_has() -> None:
    web = Scripted(NO_ROUTE, httpx.Response(202, json={"status": "PENDING"}))
    assert probe(web, protocol="v0.1") == Probe("GET /v0.1/phone-check", 202)
    assert web.requests[1].method == "GET"
    assert web.requests[1].url.params["check_id"] == "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("finish", "code", "words"),
    [
        (httpx.Response(401), "server-rejected", "refused: 401"),
        (httpx.Response(403), "server-rejected", "refused: 403"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example/"}), "server-rejected", "elsewhere: 302"),
        (httpx.Response(500), "server-unreachable", "failed: 500"),
        (httpx.Response(405), "protocol-mismatch", "has no POST /v0.2/phone-check/exchange-code: 405"),
        (httpx.Response(200, text="<html>"), "protocol-mismatch", "not JSON"),
    ],
)
def test_a_server_that_verify_could_not_use_is_told_apart(finish: httpx.Response, code: str, words: str) -> None:
    error = refusal(Scripted(httpx.Response(finish.status_code, content=finish.content), finish))
    assert error.code == code
    assert words in error.message


def test_a_refusal_for_want_of_a_token_says_so() -> None:
    with pytest.raises(ServerError, match="none is configured"):
        probe(Scripted(httpx.Response(401), httpx.Response(401)), token=None)


@pytest.mark.parametrize(
    "body",
    [
        {"token": "t", "url": "http://api.platform.example/coverage"},
        {"token": "t", "url": "https://user@api.platform.example/coverage"},
        {"token": "t", "url": "https:///coverage"},
        {"token": "t", "url": "https://api.platform.example:99999/"},
        {"token": "t", "url": "https://api.platform.example/a b"},
        {"token": "t", "url": "https://api.platform.example/#here"},
        {"token": "t"},
        {"token": "", "url": URL},
        {"token": "t\r\nX-Evil: 1", "url": URL},
        {"token": 7, "url": URL},
        {"url": URL},
    ],
)
def test_a_token_is_sent_nowhere_odd(body: dict[str, object]) -> None:
    error = refusal(Scripted(httpx.Response(200, json=body)))
    assert error.code == "protocol-mismatch"
    assert "X-Evil" not in error.message


def test_nothing_is_asked_when_the_time_is_over() -> None:
    web = Scripted(httpx.Response(200, content=ACCESS))
    with AppServer(Server(url="https://app.example"), None, transport=web) as client, pytest.raises(DeadlineExceeded):
        client.probe(Deadline(0))
    assert web.requests == []


def test_neither_url_nor_token_is_printed() -> None:
    shown = repr(parse_access(ACCESS))
    assert "coverage-token" not in shown
    assert "platform.example" not in shown


@given(st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.text() | st.floats(), st.lists).map(repr)))
def test_a_body_is_a_token_or_none_or_a_mismatch(body: bytes | str) -> None:
    as_is(body if isinstance(body, bytes) else body.encode(errors="replace"))


@given(st.text(max_size=40), st.text(max_size=40).map("https://host/{}".format) | st.text(max_size=40))
def test_any_token_and_url_are_fit_for_a_request_or_refused(token: str, url: str) -> None:
    as_is(json.dumps({"token": token, "url": url}).encode())


def as_is(body: bytes) -> None:
    access = None
    with contextlib.suppress(ServerError):
        access = parse_access(body)
    if access is not None:
        request = httpx.Request("GET", access.url, headers={"Authorization": f"Bearer {access.token.value}"})
        assert request.url.scheme == "https"
        assert request.url.host
