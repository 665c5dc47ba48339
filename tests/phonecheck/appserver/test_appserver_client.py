"""The client against a real server on loopback: TLS, credentials, redirects, time, and bytes on the wire."""

import json
import logging
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme

from phonecheck.appserver import tls
from phonecheck.appserver.client import AppServer
from phonecheck.config import Server
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, CheckError, ConfigError, DeadlineExceeded, LinkError, ServerError
from phonecheck.model import ChainEnd, Check, PhoneNumber
from phonecheck.redact import Secret

NUMBER = PhoneNumber("447700900123")
TOKEN = Secret("device-token-1")
CHECK = Check("c 1&x", "https://platform.example/c/redirect", 60)
END = ChainEnd((), 200, Secret("94dae426fg"), "c 1&x", "ref-1")
CREATED = {"check_id": CHECK.id, "check_url": CHECK.url, "ttl": 60}


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


Reply = bytes | Callable[[socket.socket], None]


@dataclass
class Peer:
    """A server that answers each request with the next of its replies, the last again and again."""

    replies: list[Reply]
    context: ssl.SSLContext | None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    failures: list[OSError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            raw.settimeout(5)
            try:
                with self.context.wrap_socket(raw, server_side=True) if self.context else raw as connection:
                    self._answer(connection)
            except OSError as error:
                self.failures.append(error)
            finally:
                raw.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as incoming:
            while line := incoming.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (line := incoming.readline().decode().strip()) != "":
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                body = incoming.read(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, target, headers, body))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if callable(reply):
                    reply(connection)
                    return
                connection.sendall(reply)


def reply(status: int, content: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode() if content is not None else b""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(text)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Words\r\n{head}\r\n".encode() + text


class Time:
    """A clock that moves by being slept on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture(scope="module")
def good(ca: trustme.CA) -> ssl.SSLContext:
    return server_context(ca.issue_cert("localhost", "127.0.0.1"))


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


class Lab:
    """Starts peers, and makes clients for them."""

    def __init__(self, good: ssl.SSLContext, ca_file: Path) -> None:
        self.good, self.ca_file = good, ca_file
        self.time = Time()
        self.peers: list[Peer] = []
        self.clients: list[AppServer] = []

    def peer(self, *replies: Reply, context: ssl.SSLContext | None = None) -> Peer:
        self.peers.append(Peer(list(replies), context or self.good))
        return self.peers[-1]

    def client(self, peer: Peer, *, token: Secret | None = TOKEN, **settings: object) -> AppServer:
        settings = {"url": f"https://localhost:{peer.port}", "ca_file": self.ca_file, **settings}
        made = AppServer(
            Server(**settings),  # type: ignore[arg-type]
            token,
            sleep=self.time.sleep,
            clock=self.time.clock,
            jitter=lambda: 0.0,
        )
        self.clients.append(made)
        return made

    def deadline(self, seconds: float = 30.0) -> Deadline:
        return Deadline(seconds, self.time.clock)


@pytest.fixture
def lab(good: ssl.SSLContext, ca_file: Path) -> Iterator[Lab]:
    lab = Lab(good, ca_file)
    yield lab
    for client in lab.clients:
        client.close()
    for peer in lab.peers:
        peer.close()


def create(lab: Lab, *replies: Reply, context: ssl.SSLContext | None = None, **settings: object) -> AgentError:
    """The error of a creation."""
    with pytest.raises(AgentError) as caught:
        lab.client(lab.peer(*replies, context=context), **settings).create(NUMBER, lab.deadline())
    return caught.value


def test_create(lab: Lab) -> None:
    peer = lab.peer(reply(201, CREATED))
    assert lab.client(peer).create(NUMBER, lab.deadline()) == CHECK
    (request,) = peer.requests
    assert (request.method, request.target) == ("POST", "/v0.2/phone-check")
    assert request.json == {"phone_number": "447700900123"}
    assert request.headers["authorization"] == "Bearer device-token-1"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"


def test_paths_of_the_settings_below_a_base(lab: Lab) -> None:
    peer = lab.peer(reply(200, CREATED))
    url = f"https://localhost:{peer.port}/device/"
    lab.client(peer, url=url, create="/checks?v=2", token=None).create(NUMBER, lab.deadline())
    assert peer.requests[0].target == "/device/checks?v=2"
    assert "authorization" not in peer.requests[0].headers


def test_v02_hands_the_code_over_in_the_body_on_the_same_connection(lab: Lab) -> None:
    peer = lab.peer(reply(201, CREATED), reply(200, {"match": True, "check_id": CHECK.id}))
    client = lab.client(peer)
    client.create(NUMBER, lab.deadline())
    assert client.finish(CHECK, END, lab.deadline()) is True
    request = peer.requests[1]
    assert (request.method, request.target) == ("POST", "/v0.2/phone-check/exchange-code")
    assert request.json == {"check_id": CHECK.id, "code": "94dae426fg", "reference_id": "ref-1"}
    assert peer.connections == 1


def test_v02_without_a_match_is_a_mismatch_and_the_code_is_sent_once(lab: Lab) -> None:
    for answer in (reply(200, {"match": None}), reply(202, {"status": "PENDING"})):
        peer = lab.peer(answer)
        with pytest.raises(ServerError) as caught:
            lab.client(peer).finish(CHECK, END, lab.deadline())
        assert caught.value.code == "protocol-mismatch"
        assert len(peer.requests) == 1


def test_v01_asks_again_while_there_is_no_result(lab: Lab) -> None:
    peer = lab.peer(
        reply(202), reply(200, {"status": "PENDING"}), reply(202, {}), reply(202), reply(200, {"match": False})
    )
    assert lab.client(peer, protocol="v0.1").finish(CHECK, ChainEnd((), 200), lab.deadline()) is False
    assert [request.target for request in peer.requests] == ["/v0.1/phone-check?check_id=c%201%26x"] * 5
    assert {request.method for request in peer.requests} == {"GET"}
    assert lab.time.slept == [0.5, 1.0, 2.0, 2.0]


def test_v01_waits_as_long_as_a_202_asks(lab: Lab) -> None:
    peer = lab.peer(reply(202, None, {"Retry-After": "7"}), reply(200, {"match": True}))
    assert lab.client(peer, protocol="v0.1", finish="/r?x=1").finish(CHECK, END, lab.deadline()) is True
    assert lab.time.slept == [7.0]
    assert peer.requests[0].target == "/r?x=1&check_id=c%201%26x"


def test_v01_never_answered_ends_with_the_deadline(lab: Lab) -> None:
    peer = lab.peer(reply(202))
    with pytest.raises(DeadlineExceeded) as caught:
        lab.client(peer, protocol="v0.1").finish(CHECK, END, lab.deadline(10))
    assert caught.value.exit_status == 7
    assert sum(lab.time.slept) == 10
    assert len(peer.requests) == 7


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_its_target_not_contacted(lab: Lab, status: int) -> None:
    other = lab.peer(reply(201, CREATED))
    error = create(lab, reply(status, None, {"Location": f"https://localhost:{other.port}/v0.2/phone-check"}))
    assert error.code == "server-rejected"
    assert str(status) in error.message
    assert other.connections == 0


def test_401(lab: Lab) -> None:
    error = create(lab, reply(401, {"type": "about:blank", "title": "Unauthorized"}))
    assert error.code == "server-rejected"
    assert error.message == "The app server, asked to create the check, refused: 401 (Unauthorized)."


def in_thirty_days(seconds: int) -> str:
    when = datetime(2027, 2, 14, 8, tzinfo=UTC) + timedelta(seconds=seconds)
    return when.strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 1.0),
        # Against the server's clock, not the device's.
        ({"Retry-After": in_thirty_days(4), "Date": in_thirty_days(0)}, 4.0),
        # 1_800_000_000 is 2027-01-15 08:00:00 UTC.
        ({"Retry-After": "Fri, 15 Jan 2027 08:00:05 GMT"}, 5.0),
    ],
)
def test_429_is_waited_for(lab: Lab, headers: dict[str, str], waited: float) -> None:
    peer = lab.peer(reply(429, None, headers), reply(201, CREATED))
    assert lab.client(peer).create(NUMBER, lab.deadline()) == CHECK
    assert lab.time.slept == [waited]


def test_429_that_does_not_fit_the_deadline_says_how_long(lab: Lab) -> None:
    error = create(lab, reply(429, None, {"Retry-After": "30"}))
    assert error.code == "server-rejected"
    assert "429" in error.message
    assert "30 s" in error.message
    assert lab.time.slept == []


def test_429_for_ever_ends_with_the_deadline(lab: Lab) -> None:
    with pytest.raises(AgentError) as caught:
        lab.client(lab.peer(reply(429, None, {"Retry-After": "0"}))).create(NUMBER, lab.deadline(3))
    assert caught.value.code == "deadline-exceeded"
    assert caught.value.exit_status == 7


def test_500_is_not_asked_again(lab: Lab) -> None:
    peer = lab.peer(reply(500, b"<html>"))
    client = lab.client(peer, protocol="v0.1")
    for ask in (lambda: client.create(NUMBER, lab.deadline()), lambda: client.finish(CHECK, END, lab.deadline())):
        with pytest.raises(ServerError, match="failed: 500") as caught:
            ask()
        assert caught.value.code == "server-unreachable"
    assert len(peer.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_refusal_that_asks_to_wait_says_so_in_the_error(lab: Lab, status: int) -> None:
    peer = lab.peer(reply(status, None, {"Retry-After": "120"}))
    client = lab.client(peer)
    for ask in (lambda: client.create(NUMBER, lab.deadline()), lambda: client.finish(CHECK, END, lab.deadline())):
        with pytest.raises(ServerError) as caught:
            ask()
        assert caught.value.retry_after == 120
    assert lab.time.slept == []


def test_platform_problems_pass(lab: Lab) -> None:
    problem = {
        "type": "https://developer.tru.id/docs/reference/api-errors#not_mobile_ip",
        "title": "Precondition Failed",
    }
    error = create(lab, reply(412, problem, {"Content-Type": "application/problem+json"}))
    assert isinstance(error, CheckError)
    assert error.code == "not-mobile-ip"


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"OK"),
        reply(200, b"[]"),
        reply(204),
        reply(201, {"check_id": "c"}),
        reply(200, b"x" * 65_537),
        reply(200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b" " * 0x1000 + b"\r\n" + b"zz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
    ids=["text", "list", "empty", "no-url", "oversize", "gzip", "broken-chunks", "ssh"],
)
def test_other_protocols(lab: Lab, answer: bytes) -> None:
    assert create(lab, answer).code == "protocol-mismatch"


def test_an_endless_body_is_cut_at_the_cap(lab: Lab) -> None:
    sent = []

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b" " * 65_536)
            sent.append(65_536)

    assert "longer than" in create(lab, endless).message
    assert sum(sent) < 20_000_000


REPORT = {"report": "a1", "outcome": {"outcome": "match"}}


def test_a_report_is_posted_once_under_its_key(lab: Lab) -> None:
    peer = lab.peer(reply(503), reply(201))
    client = lab.client(peer, report="/reports?v=2")
    assert client.report("a1", REPORT, lab.deadline()).result == "failed"
    assert client.report("a1", REPORT, lab.deadline()).result == "delivered"
    assert peer.connections == 1
    for request in peer.requests:
        assert (request.method, request.target, request.json) == ("POST", "/reports?v=2", REPORT)
        assert request.headers["idempotency-key"] == "a1"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == "Bearer device-token-1"


@pytest.mark.parametrize(
    "answer",
    [reply(204), reply(200, b"OK"), reply(200, b"x" * 65_537), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"],
    ids=["empty", "text", "oversize", "broken off"],
)
def test_a_report_is_taken_by_the_status_whatever_the_body_is(lab: Lab, answer: bytes) -> None:
    def once(connection: socket.socket) -> None:
        connection.sendall(answer)

    assert lab.client(lab.peer(once), report="/r").report("a1", REPORT, lab.deadline()).result == "delivered"


def test_a_report_whose_answer_is_lost_is_not_posted_again_here(lab: Lab) -> None:
    peer = lab.peer(lambda connection: None)
    with pytest.raises(ServerError, match="closed the connection"):
        lab.client(peer, report="/r").report("a1", REPORT, lab.deadline())
    assert len(peer.requests) == 1


def test_without_a_route_nothing_is_reported(lab: Lab) -> None:
    peer = lab.peer(reply(201))
    with pytest.raises(ConfigError, match=r"server\.report is not set"):
        lab.client(peer).report("a1", REPORT, lab.deadline())
    assert peer.connections == 0


def test_a_report_is_not_begun_when_the_time_is_over(lab: Lab) -> None:
    peer = lab.peer(reply(201))
    with pytest.raises(DeadlineExceeded):
        lab.client(peer, report="/r").report("a1", REPORT, lab.deadline(0))
    assert peer.connections == 0


@pytest.mark.parametrize("partial", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"])
def test_a_connection_closed_early(lab: Lab, partial: bytes) -> None:
    def close(connection: socket.socket) -> None:
        connection.sendall(partial)

    error = create(lab, close)
    assert error.code == "server-unreachable"
    assert "closed the connection" in error.message


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


@pytest.mark.parametrize("breaks", [lambda connection: None, reset], ids=["closed", "reset"])
def test_a_code_is_not_sent_again_when_the_connection_breaks(lab: Lab, breaks: Callable[[socket.socket], None]) -> None:
    # In the clear, as TLS turns a reset into an end.
    peer = Peer([breaks], None)
    lab.peers.append(peer)
    with pytest.raises(ServerError, match="closed the connection"):
        lab.client(peer, url=f"http://127.0.0.1:{peer.port}").finish(CHECK, END, lab.deadline())
    assert len(peer.requests) == 1


class Slow:
    """Answers for five seconds, unless it is released, with bytes that keep a time-out from the last one from ending."""

    def __init__(self, byte: bytes) -> None:
        self.byte = byte
        self.released = threading.Event()
        self.outlasted = False

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(250):
            connection.sendall(self.byte)
            if self.released.wait(0.02):
                return
        self.outlasted = True


@pytest.mark.parametrize("byte", [b"x", b""], ids=["drip", "silent"])
def test_slow_ends_with_the_deadline(lab: Lab, byte: bytes) -> None:
    slow = Slow(byte)
    peer = lab.peer(slow)
    with pytest.raises(DeadlineExceeded) as caught:
        lab.client(peer).create(NUMBER, Deadline(0.25))
    assert not slow.outlasted
    slow.released.set()
    assert caught.value.exit_status == 7
    assert "before the app server had created the check" in caught.value.message
    assert len(peer.requests) == 1


def test_nothing_is_sent_after_the_deadline(lab: Lab) -> None:
    peer = lab.peer(reply(201, CREATED))
    with pytest.raises(DeadlineExceeded):
        lab.client(peer).create(NUMBER, lab.deadline(0))
    assert peer.connections == 0


def test_unknown_ca(lab: Lab) -> None:
    context = server_context(trustme.CA().issue_cert("localhost"))
    error = create(lab, reply(201, CREATED), context=context)
    assert (error.code, error.retryable) == ("server-unreachable", True)
    assert "CA that this device does not know" in error.message
    assert "server.ca_file" in error.hint


def test_wrong_host(lab: Lab, ca: trustme.CA) -> None:
    error = create(lab, reply(201, CREATED), context=server_context(ca.issue_cert("other.example")))
    assert error.code == "server-unreachable"
    assert "another host name" in error.message


@pytest.mark.parametrize(("from_day", "to_day", "words"), [(-20, -10, "has expired"), (10, 20, "not valid yet")])
def test_out_of_date(lab: Lab, ca: trustme.CA, from_day: int, to_day: int, words: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    made = ca.issue_cert("localhost", not_before=now + timedelta(from_day), not_after=now + timedelta(to_day))
    error = create(lab, reply(201, CREATED), context=server_context(made))
    assert error.code == "server-unreachable"
    assert words in error.message
    assert "clock" in error.hint


def test_ssl_cert_file_is_honoured(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.ca_file))
    assert lab.client(lab.peer(reply(201, CREATED)), ca_file=None).create(NUMBER, lab.deadline()) == CHECK


@pytest.fixture
def mutual(ca: trustme.CA) -> ssl.SSLContext:
    context = server_context(ca.issue_cert("localhost"))
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_asked_for(lab: Lab, mutual: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    mutual.maximum_version = version
    error = create(lab, reply(201, CREATED), context=mutual)
    assert error.code == "server-unreachable"
    # TLS 1.3 refuses after the client has begun to write: what it reads then may be the alert, or the reset after it.
    assert "client certificate" in error.message or "closed the connection" in error.message


def test_a_client_certificate_is_shown(lab: Lab, mutual: ssl.SSLContext, ca: trustme.CA, tmp_path: Path) -> None:
    device = ca.issue_cert("device-1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    device.cert_chain_pems[0].write_to_path(str(cert))
    device.private_key_pem.write_to_path(str(key))
    client = lab.client(lab.peer(reply(201, CREATED), context=mutual), token=None, client_cert=cert, client_key=key)
    assert client.create(NUMBER, lab.deadline()) == CHECK


@pytest.mark.parametrize("setting", ["ca_file", "client_cert"])
@pytest.mark.parametrize("content", [None, "not PEM"])
def test_certificate_files_that_cannot_be_used(lab: Lab, tmp_path: Path, setting: str, content: str | None) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    settings = {setting: file, **({"client_key": file} if setting == "client_cert" else {})}
    error = create(lab, reply(201, CREATED), **settings)
    assert isinstance(error, ConfigError)
    assert f"server.{setting}" in error.message


def test_an_encrypted_key_is_refused_without_a_prompt(ca: trustme.CA, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    device = ca.issue_cert("device-1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    device.cert_chain_pems[0].write_to_path(str(cert))
    plain = serialization.load_pem_private_key(device.private_key_pem.bytes(), None)
    key.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="client_key cannot be used"):
        tls.context(Server(url="https://localhost", client_cert=cert, client_key=key))


def test_no_tls_on_that_port(lab: Lab) -> None:
    def plain(raw: socket.socket) -> None:
        with raw:
            raw.recv(100)
            raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: plain(listener.accept()[0]))
        thread.start()
        client = AppServer(Server(url=f"https://localhost:{listener.getsockname()[1]}"), TOKEN)
        with client, pytest.raises(ServerError, match="does not speak TLS"):
            client.create(NUMBER, lab.deadline())
        thread.join()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_ends_a_creation_and_is_tried_again_for_a_result(lab: Lab) -> None:
    settings = Server(url=f"http://127.0.0.1:{unused_port()}")
    with AppServer(settings, TOKEN, sleep=lab.time.sleep, jitter=lambda: 1.0) as client:
        with pytest.raises(ServerError, match="refuses the connection") as caught:
            client.create(NUMBER, lab.deadline())
        assert caught.value.code == "server-unreachable"
        assert lab.time.slept == []
        with pytest.raises(ServerError, match="refuses the connection"):
            client.finish(CHECK, END, lab.deadline())
        assert lab.time.slept == [0.5, 1.0]


def test_a_name_that_does_not_exist(lab: Lab) -> None:
    with AppServer(Server(url="https://no-such-host.invalid"), TOKEN) as client:
        with pytest.raises(ServerError, match="has a name that") as caught:
            client.create(NUMBER, Deadline(10))
        assert caught.value.code == "server-unreachable"


def test_http_to_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    proxy, peer = lab.peer(reply(201, CREATED)), Peer([reply(201, CREATED)], None)
    lab.peers.append(peer)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert lab.client(peer, url=f"http://127.0.0.1:{peer.port}").create(NUMBER, lab.deadline()) == CHECK
    assert proxy.connections == 0


def test_https_goes_through_the_proxy_which_sees_the_host_alone(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    proxy = Peer([reply(407)], None)
    lab.peers.append(proxy)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    error = create(lab, reply(201, CREATED))
    assert error.code == "server-unreachable"
    assert "proxy" in error.message
    assert proxy.requests[0].method == "CONNECT"
    assert "authorization" not in proxy.requests[0].headers


def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks9://user:hidden@x")
    error = create(lab, reply(201, CREATED))
    assert isinstance(error, ConfigError)
    assert "hidden" not in error.message + error.hint


class Stub(httpx.BaseTransport):
    """A transport over the link, as far as the client can see."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.outcome = outcome
        self.deadlines: list[Deadline] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.deadlines.append(request.extensions["deadline"])
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def over(transport: Stub) -> AppServer:
    return AppServer(Server(url="https://app.example", over="modem"), TOKEN, transport=transport)


def test_a_transport_that_is_handed_in_gets_the_deadline() -> None:
    stub = Stub(httpx.Response(201, stream=httpx.ByteStream(json.dumps(CREATED).encode())))
    with over(stub) as client:
        assert client.create(NUMBER, Deadline(5)) == CHECK
    assert 4 < stub.deadlines[0].remaining() <= 5


def test_link_errors_pass_and_the_words_of_hops_do_not() -> None:
    with over(Stub(LinkError("interface-gone", "wwan0 is gone."))) as client, pytest.raises(LinkError, match="gone"):
        client.create(NUMBER, Deadline(5))
    with over(Stub(CheckError("tls-failed", "Words."))) as client, pytest.raises(ServerError) as caught:
        client.create(NUMBER, Deadline(5))
    assert (caught.value.code, caught.value.message) == ("server-unreachable", "Words.")


def test_the_core_librarys_exceptions_are_told_by_name() -> None:
    import httpcore

    with over(Stub(httpcore.ReadTimeout())) as client, pytest.raises(ServerError, match="did not answer in time"):
        client.create(NUMBER, Deadline(5))
    with over(Stub(ZeroDivisionError())) as client, pytest.raises(ZeroDivisionError):
        client.create(NUMBER, Deadline(5))


def test_the_log_tells_the_request_and_no_secret(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        test_v02_hands_the_code_over_in_the_body_on_the_same_connection(lab)
        test_v01_waits_as_long_as_a_202_asks(lab)
    assert {record.name for record in caplog.records} == {"phonecheck.appserver"}
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("POST /v0.2/phone-check: 201, ")
    assert lines[2].startswith("GET /r: 202, ")
    for secret in (NUMBER.digits, TOKEN.value, "94dae426fg", "check_id", "ref-1"):
        assert secret not in caplog.text
