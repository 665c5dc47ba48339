"""The lab over loopback: real sockets, real TLS, and clients that see the bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from phonecheck_sandbox import pki, world
from phonecheck_sandbox.carrier.lab import Boxes, Lab

HOSTS = [name for name, address in world.CARRIER_NAMES.items() if address == world.LAB]


@dataclass(frozen=True)
class Running:
    """The lab's ports, and a context that trusts its CA."""

    http: int
    https: int
    certificates: pki.Pki

    def connect(self, host: str | None = None, context: ssl.SSLContext | None = None) -> socket.socket:
        """A connection; TLS to ``host``, or plain where it is None."""
        plain = socket.create_connection(("127.0.0.1", self.https if host else self.http), timeout=5)
        if host is None:
            return plain
        try:
            return (context or self.certificates.client_context()).wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def get(self, path: str, *headers: str, host: str | None = None) -> bytes:
        """All bytes of one answer, to the end of the connection."""
        with self.connect(host) as connection:
            lines = [f"GET {path} HTTP/1.1", f"Host: {host or world.LAB_HOST}", *headers, "", ""]
            connection.sendall("\r\n".join(lines).encode("latin-1"))
            connection.settimeout(5)
            data = b""
            while not complete(data):
                received = connection.recv(65536)
                if not received:
                    break
                data += received
            return data


def complete(data: bytes) -> bool:
    """Whether an answer with a Content-Length, or in chunks, is whole."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
        if name.lower() == b"transfer-encoding":
            return body.endswith(b"\r\n\r\n")
    return head.split(b" ")[1] in (b"204", b"304")


def fields(answer: bytes) -> dict[str, str]:
    """Header names as sent, and their values; the status under ``""``."""
    first, *lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return {"": first.split(" ")[1], **{n: v.strip() for n, _, v in (line.partition(":") for line in lines)}}


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    certificates = pki.create(tmp_path_factory.mktemp("run"), {host: IPv4Address("127.0.0.1") for host in HOSTS})
    contexts = {host: certificates.server_context(host) for host in HOSTS}
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    http, https = (listener.getsockname()[1] for listener in listeners)
    boxes = Boxes(world.TLS13_RESET_HOST, world.TLS13_SILENT_HOST, world.SLOW_TLS_HOST, delay=0.05)
    served = Lab(contexts, world.LAB_HOST, boxes, http_port=http, https_port=https)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        tasks = [
            asyncio.create_task(served.serve_plain(listeners[0])),
            asyncio.create_task(served.serve_tls(listeners[1])),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # The connections' own tasks are cancelled with them, and need a turn to close their sockets.
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield Running(http, https, certificates)
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()
    for listener in listeners:
        listener.close()


def test_redirects_count_down_to_done(lab: Running) -> None:
    assert fields(lab.get("/redirects/2"))["Location"] == "/redirects/1"
    assert json.loads(body(lab.get("/redirects/0"))) == {"lab": "done"}


def test_the_loop_closes_and_the_endless_chain_does_not(lab: Running) -> None:
    assert fields(lab.get("/loop"))["Location"] == "/loop/back"
    assert fields(lab.get("/loop/back"))["Location"] == "/loop"
    assert fields(lab.get("/endless"))["Location"] == "/endless/1"
    assert fields(lab.get("/endless/41"))["Location"] == "/endless/42"


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("to=/a%20b?x=1%26y", b"\r\nLocation: /a b?x=1&y\r\n"),
        ("to=%C3%A9", b"\r\nLocation: \xc3\xa9\r\n"),
        ("to=/a&case=upper", b"\r\nLOCATION: /a\r\n"),
        ("to=/a&case=mixed&space=0", b"\r\nLoCaTiOn:/a\r\n"),
        ("to=&case=lower", b"\r\nlocation: \r\n"),
        ("to=/a&status=303", b"HTTP/1.1 303 "),
    ],
)
def test_a_location_is_sent_to_the_byte(lab: Running, query: str, line: bytes) -> None:
    assert line in lab.get(f"/location?{query}")


def test_the_downgrade_goes_down_and_up_again(lab: Running) -> None:
    down = fields(lab.get("/downgrade", host=world.LAB_HOST))["Location"]
    assert down == f"http://{world.LAB_HOST}:{lab.http}/downgrade/plain"
    assert fields(lab.get("/downgrade/plain"))["Location"] == f"https://{world.LAB_HOST}:{lab.https}/downgrade/done"
    assert json.loads(body(lab.get("/downgrade/done", host=world.LAB_HOST))) == {"lab": "done"}


def test_the_code_in_cleartext_ends_on_http(lab: Running) -> None:
    assert fields(lab.get("/code-in-cleartext", host=world.LAB_HOST))["Location"].startswith("http://")
    answer = lab.get("/code-in-cleartext/end")
    assert fields(answer)["Content-Type"] == "application/hal+json"
    assert json.loads(body(answer))["code"]


def test_cookies_are_echoed_by_name_as_often_as_they_came(lab: Running) -> None:
    echo = json.loads(body(lab.get("/cookies/deep/echo", "Cookie: a=1; b=2; a=3")))
    assert echo == {"cookies": ["a", "b", "a"], "values": {"a": "3", "b": "2"}}
    assert json.loads(body(lab.get("/cookiesother/echo")))["cookies"] == []


def test_cookies_are_set_in_every_way_and_taken_back(lab: Running) -> None:
    answer = lab.get("/cookies/set?to=/cookies/deep/echo").decode()
    assert "Location: /cookies/deep/echo\r\n" in answer
    for attribute in (
        "Path=/cookies/deep",
        "Domain=mno.example",
        "Domain=platform.example",
        "; Secure",
        "Max-Age=0",
        "Expires=",
    ):
        assert attribute in answer
    assert "lab_host=2" in lab.get("/cookies/replace").decode()
    assert "lab_host=; Max-Age=0" in lab.get("/cookies/expire").decode()


def test_headers_are_listed(lab: Running) -> None:
    assert json.loads(body(lab.get("/headers", "X-One: 1", "x-two: 2"))) == {"headers": ["host", "x-one", "x-two"]}


def test_statuses_and_problems(lab: Running) -> None:
    assert fields(lab.get("/status/451"))[""] == "451"
    assert body(lab.get("/status/204")) == b""
    answer = lab.get("/problem/412")
    assert (fields(answer)[""], fields(answer)["Content-Type"]) == ("412", "application/problem+json")
    assert fields(lab.get("/no-such-path"))[""] == "404"
    assert json.loads(body(lab.get("/json"))) == {"lab": "json"}


@pytest.mark.parametrize("path", ["/drip?ms=0", "/split"])
def test_pieces_make_a_whole(lab: Running, path: str) -> None:
    with lab.connect(world.LAB_HOST) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        pieces = []
        while not complete(b"".join(pieces)):
            pieces.append(connection.recv(65536))
    assert len(pieces) > 10
    assert json.loads(body(b"".join(pieces)))["lab"] == "pieces"


def test_chunks_have_sizes_extensions_and_a_trailer(lab: Running) -> None:
    rest, text = body(lab.get("/chunked")), b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        text, rest = text + rest[:length], rest[length + 2 :]
    assert json.loads(text)["lab"] == "pieces"
    assert rest == b"Lab-Trailer: 1\r\n\r\n"


def test_the_bomb_is_small_and_swells(lab: Running) -> None:
    answer = lab.get("/gzip-bomb")
    assert fields(answer)["Content-Encoding"] == "gzip"
    assert len(answer) < 100_000
    assert len(zlib.decompressobj(31).decompress(body(answer), 10 << 20)) == 10 << 20


@pytest.mark.parametrize("path", ["/oversize", "/endless-body", "/header-flood"])
def test_too_much_really_comes(lab: Running, path: str) -> None:
    with lab.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = 0
        while received < 2 << 20:
            received += len(connection.recv(1 << 20))


def test_a_hang_is_silent(lab: Running) -> None:
    with lab.connect() as connection:
        connection.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_reset_is_one_and_a_close_says_nothing(lab: Running) -> None:
    with pytest.raises(ConnectionResetError):
        lab.get("/reset")
    assert lab.get("/close") == b""


def test_keepalive_close_says_the_one_and_does_the_other(lab: Running) -> None:
    with lab.connect() as connection:
        connection.sendall(b"GET /keepalive-close HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while received := connection.recv(65536):
            data += received
    assert fields(data)["Connection"] == "keep-alive"


def test_other_answers_keep_the_connection(lab: Running) -> None:
    with lab.connect(world.LAB_HOST) as connection:
        for _ in range(2):
            connection.sendall(b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            while not complete(data):
                data += connection.recv(65536)
            assert data.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /drip?ms=x HTTP/1.1\r\n\r\n",
        b"\xff" * 70_000,
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
def test_nonsense_ends_its_connection_and_nothing_else(lab: Running, nonsense: bytes) -> None:
    with lab.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(nonsense)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert fields(lab.get("/json"))[""] == "200"


@pytest.mark.parametrize("host", [world.LAB_HOST, world.LAB_OTHER_HOST, world.SLOW_TLS_HOST])
def test_good_hosts_are_verified(lab: Running, host: str) -> None:
    with lab.connect(host) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        assert connection.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (world.WRONG_HOST, "Hostname mismatch"),
        (world.EXPIRED_HOST, "certificate has expired"),
        (world.UNKNOWN_CA_HOST, "unable to get local issuer"),
    ],
)
def test_bad_certificates_are_bad_for_their_own_reason(lab: Running, host: str, reason: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        lab.connect(host)


def test_boxes_let_a_tls_12_hello_through_and_no_modern_one(lab: Running) -> None:
    old = lab.certificates.client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for host in (world.TLS13_RESET_HOST, world.TLS13_SILENT_HOST):
        with lab.connect(host, old) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.version() == "TLSv1.2"
    with pytest.raises(ConnectionResetError):
        lab.connect(world.TLS13_RESET_HOST)
    plain = socket.create_connection(("127.0.0.1", lab.https), timeout=0.2)
    with plain, pytest.raises(TimeoutError):
        lab.certificates.client_context().wrap_socket(plain, server_hostname=world.TLS13_SILENT_HOST)


def test_a_hello_that_comes_in_two_pieces_is_waited_for(lab: Running) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = lab.certificates.client_context().wrap_bio(incoming, outgoing, server_hostname=world.LAB_HOST)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    with socket.create_connection(("127.0.0.1", lab.https), timeout=5) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.sendall(hello[:100])
        plain.settimeout(0.05)
        with pytest.raises(TimeoutError):
            plain.recv(1)
        plain.settimeout(5)
        plain.sendall(hello[100:])
        assert plain.recv(1) == b"\x16"


def test_certificates_stay_private(lab: Running) -> None:
    directory: Path = lab.certificates.directory
    assert directory.stat().st_mode & 0o077 == 0
