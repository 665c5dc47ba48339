"""The courier with processes that a test makes up, and with the real one."""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from phonecheck import config
from phonecheck.config import Settings
from phonecheck.service import postbag
from phonecheck.service.courier import ChildCourier
from phonecheck.service.model import Delivery, Finished, Report

REPORTS = [Report(key, {"report": key}) for key in ("a", "b", "c")]


@dataclass
class Accepted:
    raw: bytes = b""

    @property
    def settings(self) -> Settings:
        return config.read(self.raw, "the file")


@dataclass
class Cancel:
    def cancel(self) -> None:
        pass


@dataclass
class Loop:
    """Does at once what it is to do soon; a courier has no other use for it."""

    def soon(self, do: Callable[[], None]) -> None:
        do()

    def now(self) -> float:
        raise NotImplementedError

    def wall(self) -> float:
        raise NotImplementedError

    def later(self, seconds: float, do: Callable[[], None]) -> Cancel:
        raise NotImplementedError

    def readable(self, fd: int, do: Callable[[], None]) -> Cancel:
        raise NotImplementedError


@dataclass
class Children:
    """Ends each process as it is told to; keeps what it was started with."""

    end: Callable[[bytes], Finished] = lambda stdin: Finished(status=0)
    argv: list[str] = field(default_factory=list)
    configuration: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0
    loop: Loop = field(default_factory=Loop)

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes,
        env: Mapping[str, str],
        fds: Sequence[int],
        seconds: float,
        done: Callable[[Finished], None],
    ) -> Cancel:
        self.argv, self.env, self.seconds = list(argv), env, seconds
        (fd,) = fds
        with open(f"/proc/self/fd/{fd}", "rb") as file:  # noqa: PTH123  as the process opens it
            self.configuration = file.read()
        done(self.end(stdin))
        return Cancel()


def bring(
    children: Children, reports: Sequence[Report] = REPORTS, courier: ChildCourier | None = None
) -> list[Delivery]:
    heard: list[Sequence[Delivery]] = []
    (courier or ChildCourier(children, Accepted)).start(reports, heard.append)
    (once,) = heard
    return list(once)


def lines(*told: tuple[str, str]) -> bytes:
    return "".join(
        postbag.verdict_line(key, result, code="x" * (result != "delivered")) + "\n" for key, result in told
    ).encode()


def test_each_report_has_what_its_line_says() -> None:
    said = lines(("a", "delivered"), ("b", "refused"), ("c", "delivered"))
    assert bring(Children(lambda _: Finished(status=0, stdout=said))) == [
        Delivery("a", "delivered"),
        Delivery("b", "refused", "x"),
        Delivery("c", "delivered"),
    ]


def test_it_ends_with_the_first_that_failed() -> None:
    said = lines(("a", "delivered"), ("b", "failed"), ("c", "delivered"))
    assert [d.result for d in bring(Children(lambda _: Finished(status=0, stdout=said)))] == ["delivered", "failed"]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ({"signal": 9}, "delivery-killed"),
        ({"signal": 15, "hung": True}, "delivery-hung"),
        ({"signal": 15, "cancelled": True}, "delivery-cancelled"),
        ({"status": 70}, "delivery-crashed"),
        ({"status": 0}, "delivery-crashed"),
        ({"failed": "Cannot allocate memory"}, "delivery-crashed"),
    ],
)
def test_a_line_counts_however_the_process_ended_and_the_next_report_has_failed(
    ending: dict[str, object], code: str
) -> None:
    # The last line was cut off in the middle: whether it is there at the app server, its key will tell.
    said = lines(("a", "delivered"), ("b", "delivered"))[:-20]
    finished = Finished(stdout=said, **ending)  # type: ignore[arg-type]
    assert bring(Children(lambda _: finished)) == [Delivery("a", "delivered"), Delivery("b", "failed", code)]


@pytest.mark.parametrize("said", [b"hello\n", b"\x00\xff", lines(("b", "delivered")), lines(("a", "eaten"))])
def test_a_line_that_says_nothing_of_the_report_delivers_nothing(said: bytes) -> None:
    assert bring(Children(lambda _: Finished(status=0, stdout=said))) == [Delivery("a", "failed", "delivery-crashed")]


def test_what_could_not_work_at_all_says_why() -> None:
    error = {"code": "modem-not-found", "message": "No modem.", "hint": "Plug one in.", "retry_after": 40}
    said = json.dumps({"schema": 1, "error": error}).encode() + b"\n"
    found = bring(Children(lambda _: Finished(status=4, stdout=said)))
    assert found == [Delivery("a", "failed", "modem-not-found", 40.0)]


def test_the_process_list_shows_no_report_and_no_setting() -> None:
    children = Children()
    accepted = Accepted(b'[server]\nurl = "https://app.example"\nreport = "/r"\n')
    bring(children, courier=ChildCourier(children, lambda: accepted))
    assert children.argv[1:-1] == ["-P", "-m", "phonecheck", "deliver", "--config"]
    assert children.argv[-1].startswith("/proc/self/fd/")
    assert children.configuration == accepted.raw


def test_the_process_has_the_environment_that_it_is_given_and_no_other() -> None:
    children = Children()
    bring(children, courier=ChildCourier(children, Accepted, environ={"PHONECHECK_BROUGHT": "/state/brought.json"}))
    assert children.env == {"PHONECHECK_BROUGHT": "/state/brought.json"}


def test_without_a_descriptor_to_spare_it_comes_again_later() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    children = Children()
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        found = bring(children)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == [Delivery("a", "failed", "delivery-crashed")]
    assert children.argv == []


def test_no_descriptor_is_left(tmp_path: object) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count
    for _ in range(5):
        bring(Children())
    # Not equal: threads that other tests left behind open and close some too.
    assert len(os.listdir("/proc/self/fd")) < before + 5  # noqa: PTH208


def test_a_server_behind_the_modem_gets_the_modems_time() -> None:
    near, far = Children(), Children()
    bring(near)
    text = b'[server]\nover = "modem"\n[modem]\nwait = 100\n[chain]\ntimeout = 40\n'
    bring(far, courier=ChildCourier(far, lambda: Accepted(text)))
    assert far.seconds == near.seconds + 140


def test_a_report_of_no_size_that_a_server_takes_is_refused_in_its_turn() -> None:
    large = Report("l", {"text": "x" * postbag.LINE_CAP})
    seen: list[bytes] = []

    def end(stdin: bytes) -> Finished:
        seen.append(stdin)
        return Finished(status=0, stdout=lines(("a", "delivered"), ("b", "failed")))

    found = bring(Children(end), [REPORTS[0], large, REPORTS[1], REPORTS[2]])
    assert found == [
        Delivery("a", "delivered"),
        Delivery("l", "refused", "report-too-large"),
        Delivery("b", "failed", "x"),
    ]
    assert len(seen[0]) < 1000


def test_what_is_the_same_for_days_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    missing = {"id": "a", "result": "failed", "code": "protocol-mismatch", "message": "It has no such path: 404."}
    said = [json.dumps(missing).encode(), json.dumps(missing).encode(), lines(("a", "delivered"))]
    said.append(said[0])
    children = Children(lambda _: Finished(status=0, stdout=said.pop(0)))
    courier = ChildCourier(children, Accepted)
    with caplog.at_level(logging.WARNING):
        counts = []
        for _ in range(4):
            bring(children, REPORTS[:1], courier)
            counts.append(len(caplog.records))
    # Delivered in between, it is news again.
    assert counts == [1, 1, 1, 2]
    assert "404" in caplog.text


def test_a_crash_shows_the_end_of_its_log_redacted(caplog: pytest.LogCaptureFixture) -> None:
    stderr = b"Traceback\nValueError: 447700900123 token=abcdef\n"
    with caplog.at_level(logging.WARNING):
        bring(Children(lambda _: Finished(status=1, stderr=stderr)))
    assert "status 1. ValueError: …0123" in caplog.text
    assert "abcdef" not in caplog.text


# With the real process, and a server on loopback


class RealChildren(Children):
    def start(
        self, argv: Sequence[str], *, fds: Sequence[int], done: Callable[[Finished], None], **more: object
    ) -> Cancel:
        ran = subprocess.run(
            argv,
            input=more["stdin"],  # type: ignore[arg-type]
            env={**more["env"], "NO_PROXY": "*"},  # type: ignore[dict-item]
            pass_fds=fds,
            capture_output=True,
            timeout=60,
            check=False,
        )
        done(Finished(status=ran.returncode, stdout=ran.stdout, stderr=ran.stderr))
        return Cancel()


@contextmanager
def app_server(*answers: tuple[int, dict[str, str]]) -> Iterator[tuple[str, list[tuple[str, dict[str, str], object]]]]:
    """A server that answers so, and its URL and what it was asked."""
    asked: list[tuple[str, dict[str, str], object]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = left.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_reports_reach_a_server_in_order_each_under_its_key(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with app_server((201, {}), (422, {}), (503, {"Retry-After": "90"})) as (url, asked):
        accepted = Accepted(f'[server]\nurl = "{url}"\nreport = "/reports?of=devices"\n'.encode())
        found = bring(Children(), courier=ChildCourier(RealChildren(), lambda: accepted))
    assert found == [
        Delivery("a", "delivered"),
        Delivery("b", "refused", "server-rejected"),
        Delivery("c", "failed", "server-unreachable", 90.0),
    ]
    assert [(path, headers["idempotency-key"], body) for path, headers, body in asked] == [
        ("/reports?of=devices", key, {"report": key}) for key in "abc"
    ]


def test_a_configuration_without_a_route_for_reports_fails_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    accepted = Accepted(b'[server]\nurl = "http://127.0.0.1:9"\n')
    with caplog.at_level(logging.WARNING):
        found = bring(Children(), courier=ChildCourier(RealChildren(), lambda: accepted))
    assert found == [Delivery("a", "failed", "bad-setting")]
    assert "server.report" in caplog.text
