"""TLS of a hop: who is trusted, and the one second try for boxes that choke on the first hello."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import threading

import pytest
import trustme

from phonecheck.chain import tls
from phonecheck.errors import CheckError
from scripted_web import MNO, PLATFORM, Opener, Web, answer

URL = f"https://{PLATFORM}/"


def failure(opener: Opener, url: str = URL, **limits: object) -> CheckError:
    with pytest.raises(CheckError) as caught:
        opener(url, **limits)  # type: ignore[arg-type]
    return caught.value


def test_a_certificate_for_another_host_is_refused(web: Web, opener: Opener) -> None:
    web.certificates[PLATFORM] = web.context(MNO)
    error = failure(opener)
    assert error.code == "tls-failed"
    assert "certificate is not valid for" in error.message
    assert not web.requests


def test_an_expired_certificate_is_refused(web: Web, opener: Opener) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    web.ca.issue_cert(PLATFORM, not_after=past).configure_cert(context)
    web.certificates[PLATFORM] = context
    assert "expired" in failure(opener).message


def test_an_unknown_authority_is_refused_and_not_tried_again(web: Web, opener: Opener) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(PLATFORM).configure_cert(context)
    web.certificates[PLATFORM] = context
    assert failure(opener).code == "tls-failed"
    assert web.connections == 1


def test_a_box_that_resets_the_first_hello_is_asked_again_with_tls_1_2(
    web: Web, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second context reads the system's roots; SSL_CERT_FILE is how a device, and this test, adds one.
    with web.ca.cert_pem.tempfile() as ca_file:
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        front = _Front(web, refuse=_offers_tls13)
        opener.dial = lambda port, seconds: front.connect()
        web.handler = lambda seen: answer(200)
        assert opener(URL).http_status == 200
    assert front.refused == 1
    assert opener.hops[0].tls_version == "TLSv1.2"


def test_the_first_try_leaves_time_for_the_second(web: Web, opener: Opener) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    opened: list[float] = []

    def dial(port: int, seconds: float) -> socket.socket:
        opened.append(seconds)
        return socket.create_connection(silent.getsockname(), seconds)

    opener.dial = dial
    assert failure(opener, hop_timeout=0.4).code == "hop-timeout"
    silent.close()
    assert len(opened) == 2
    assert opened[1] > 0.1


def test_the_first_hello_fits_one_packet() -> None:
    outgoing = ssl.MemoryBIO()
    connection = tls.first_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="start.mno.example")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    assert len(outgoing.read()) < 1000


def _offers_tls13(hello: bytes) -> bool:
    return struct.pack(">HHB", 43, 5, 4) in hello or struct.pack(">HHB", 43, 3, 2) in hello or b"\x00\x2b\x00" in hello


class _Front:
    """Stands before the web's TLS port, looks at each ClientHello, and resets those that `refuse` says."""

    def __init__(self, web: Web, refuse) -> None:  # type: ignore[no-untyped-def]
        self._web = web
        self._refuse = refuse
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._run, daemon=True).start()

    def connect(self) -> socket.socket:
        return socket.create_connection(self._listener.getsockname())

    def _run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            hello = client.recv(65536)
            if self._refuse(hello):
                self.refused += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._web.port(443)))
            server.sendall(hello)
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()
