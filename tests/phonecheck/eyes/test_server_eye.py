"""The app server of the settings, asked for real over loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from phonecheck.config import Server, Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.server import Coverage
from phonecheck.errors import AgentError, BearerError, ConfigError, LinkError, ServerError
from phonecheck.eyes.server import RealServer
from phonecheck.model import Link
from phonecheck.redact import Secret
from phonecheck.session import Session

URL = "https://api.platform.example/coverage/v0.1/device_ip"


@dataclass
class Site:
    """An app server; what it answers to the coverage route, and what it saw."""

    status: int = 200
    requests: list[tuple[str, str]] = field(default_factory=list)

    def start(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append((f"GET {self.path}", self.headers.get("Authorization", "")))
                self._answer(site.status, {"token": "coverage-token", "url": URL})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                site.requests.append((f"POST {self.path}", self.headers.get("Authorization", "")))
                self._answer(404 if site.status == 404 else site.status, {})

            def _answer(self, status: int, values: object) -> None:
                body = json.dumps(values).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Links:
    """A link that is never ready."""

    asked = 0

    def prepared(self, deadline: Deadline) -> Link:
        self.asked += 1
        raise BearerError("not-connected", "No bearer is connected.")


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    file = tmp_path / "token"
    file.write_text("device-token\n")
    file.chmod(0o600)
    return file


def eye(links: Links | None = None, **server: object) -> tuple[RealServer, Session]:
    settings = Settings(server=Server(**server))  # type: ignore[arg-type]
    session = Session(settings, None)
    return RealServer(session, settings, links or Links()), session


def test_it_is_asked_once_with_the_devices_token_by_the_devices_own_routes(site: Site, token_file: Path) -> None:
    server, _ = eye(url=site.url, token_file=token_file)
    found = server.reach(Deadline(10))
    assert found is server.reach(Deadline(10))
    assert (found.asked, found.status, found.busy) == ("GET /coverage-access-token", 200, False)
    assert server.coverage(Deadline(10)) == Coverage(URL, Secret("coverage-token"))
    assert site.requests == [("GET /coverage-access-token", "Bearer device-token")]


def test_a_server_without_the_route_hands_out_nothing(site: Site, token_file: Path) -> None:
    site.status = 404
    server, _ = eye(url=site.url, token_file=token_file)
    assert server.coverage(Deadline(10)) is None
    assert [asked for asked, _ in site.requests] == [
        "GET /coverage-access-token",
        "POST /v0.2/phone-check/exchange-code",
    ]


def test_a_busy_server_is_known_as_one(site: Site, token_file: Path) -> None:
    site.status = 429
    server, _ = eye(url=site.url, token_file=token_file)
    assert server.reach(Deadline(10)).busy


def test_a_refusal_is_remembered_too(site: Site, token_file: Path) -> None:
    site.status = 401
    server, _ = eye(url=site.url, token_file=token_file)
    for ask in (server.reach, server.coverage):
        with pytest.raises(ServerError) as caught:
            ask(Deadline(10))
        assert caught.value.code == "server-rejected"
    assert len(site.requests) == 2


def test_whether_there_is_a_credential(token_file: Path, tmp_path: Path) -> None:
    assert eye(url="https://app.example", token_file=token_file)[0].credential() == "here"
    assert eye(url="https://app.example", client_cert=token_file, client_key=token_file)[0].credential() == "here"
    assert eye(url="https://app.example")[0].credential() == "none"
    with pytest.raises(ConfigError) as caught:
        eye(url="https://app.example", token_file=tmp_path / "none")[0].credential()
    assert caught.value.code == "missing-credential"


def test_a_credential_that_this_user_may_not_read_is_withheld(token_file: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    token_file.chmod(0)
    assert eye(url="https://app.example", token_file=token_file)[0].credential() == "withheld"


def test_a_token_that_others_can_read_is_not_sent(site: Site, token_file: Path) -> None:
    token_file.chmod(0o644)
    server, _ = eye(url=site.url, token_file=token_file)
    with pytest.raises(ConfigError) as caught:
        server.reach(Deadline(10))
    assert caught.value.code == "unsafe-file-mode"
    assert site.requests == []


def test_nor_is_a_client_key_used_that_others_can_read(site: Site, token_file: Path) -> None:
    token_file.chmod(0o644)
    server, _ = eye(url=site.url, client_cert=token_file, client_key=token_file)
    with pytest.raises(ConfigError, match=r"server\.client_key"):
        server.reach(Deadline(10))


def test_over_the_modem_it_needs_the_link_and_goes_no_other_way(site: Site, token_file: Path) -> None:
    links = Links()
    server, _ = eye(links, url=site.url, token_file=token_file, over="modem")
    for _ in range(2):
        with pytest.raises(BearerError):
            server.reach(Deadline(10))
    assert links.asked == 1
    assert site.requests == []


def test_by_the_devices_own_routes_it_needs_no_link(site: Site, token_file: Path) -> None:
    links = Links()
    server, _ = eye(links, url=site.url, token_file=token_file)
    server.reach(Deadline(10))
    assert links.asked == 0


def test_a_link_that_went_is_the_cause_of_whatever_the_question_ended_with(site: Site, token_file: Path) -> None:
    site.status = 500
    server, session = eye(url=site.url, token_file=token_file)
    session.loss.tell(LinkError("interface-gone", "It went."))
    with pytest.raises(AgentError) as caught:
        server.reach(Deadline(10))
    assert caught.value.code == "interface-gone"
