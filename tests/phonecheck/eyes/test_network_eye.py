"""What the eye on the network sees behind the sandbox's link, and that it looks nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import namespaces, world
from phonecheck_sandbox.box import Box

pytestmark = pytest.mark.sandbox

INSIDE = Path(__file__).with_name("inside_network_eye.py")
SERVERS = [str(server) for server in world.CARRIER_DNS]
PRIVATE = ("platform", "mno", "carrier-dns")
"""Where all of it leads."""
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    reason = namespaces.unavailable()
    if reason:
        pytest.skip(reason)
    with Box() as box:
        yield box


@pytest.fixture
def ask(box: Box) -> Iterator[Ask]:
    """Ask questions under conditions. Nothing of it may have left by the LAN when the test is over."""

    def ask(*questions: str, **conditions: object) -> dict[str, Any]:
        if conditions:
            box.ctl("set", *(f"{key}={value}" for key, value in conditions.items()))
        done = box.exec(["python3", str(INSIDE), *questions], timeout=60)
        assert done.returncode == 0, done.stderr
        answers: dict[str, Any] = json.loads(done.stdout)
        return answers

    box.ctl("reset")
    box.ctl("counters", "reset")
    yield ask
    lan0 = box.ctl("counters")["counters"]["lan0"]
    assert not any(lan0[to] for to in PRIVATE), lan0


def test_an_open_network(ask: Ask) -> None:
    began = time.time()
    said = ask("ask_servers", "plain", "connect", "full_size", "full_size=536", "secure", "date")
    assert [(s["server"], s["kind"]) for s in said["ask_servers"]] == [(s, "addresses") for s in SERVERS]
    assert said["plain"]["elsewhere"] in ("", "api.platform.example")
    path = said["connect"]["path"]
    assert (path["bound_to"], path["peer"], path["peer_port"]) == ("wwan0", str(world.PLATFORM), 443)
    assert said["full_size"]["answered"]
    assert said["full_size"]["segment"] > 1300
    assert said["full_size=536"]["answered"]
    assert said["full_size=536"]["segment"] <= 536
    assert (said["secure"]["version"], said["secure"]["fault"]) == ("TLSv1.3", None)
    assert abs(said["date"] - began) < 60


def test_get(ask: Ask) -> None:
    url = "https://api.platform.example/coverage/v0.1/device_ip"
    said = ask(f"get={url}", "get=http://api.platform.example/", f"get=https://nobody.{'platform.example'}/")
    answer = said[f"get={url}"]
    # The token is none of the platform's; that it says so is an answer.
    assert answer["status"] == 401
    assert isinstance(answer["body"], dict)
    assert said["get=http://api.platform.example/"] == {"code": "bad-check-url"}
    assert said["get=https://nobody.platform.example/"] == {"code": "name-not-found"}


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("first-silent", ["silent", "addresses"]),
        ("silent", ["silent", "silent"]),
        ("nxdomain", ["unknown", "unknown"]),
        ("servfail", ["failed", "failed"]),
        ("truncated", ["addresses", "addresses"]),
    ],
)
def test_servers_are_asked_side_by_side(ask: Ask, fault: str, kinds: list[str]) -> None:
    said = ask("ask_servers", dns_fault=fault)
    assert [s["kind"] for s in said["ask_servers"]] == kinds


@pytest.mark.parametrize(("access", "code"), [("portal", "operator-error"), ("portal-tls", "tls-failed")])
def test_a_portal(ask: Ask, access: str, code: str) -> None:
    said = ask("plain", "secure", apn_access=access)
    assert said["plain"]["elsewhere"] not in ("", "api.platform.example") or said["plain"]["status"] == 200
    assert (said["secure"]["fault"], said["secure"]["of_dates"]) == ({"code": code}, False)


def test_a_silent_platform(ask: Ask) -> None:
    said = ask("plain", "connect", platform_down="yes")
    assert said == {"plain": None, "connect": {"code": "hop-timeout"}}


def test_a_path_that_loses_large_packets(ask: Ask, box: Box) -> None:
    said = ask("connect", "full_size", "full_size=1240", "full_size=536", radio_mtu=1000)
    assert [said[q]["answered"] for q in ("full_size", "full_size=1240", "full_size=536")] == [False, False, True]
    assert said["full_size"]["stuck"] == "sent"
    # What was held back comes now, retransmitted, and must find nobody who would answer it by the LAN (measured: 3 resets).
    box.ctl("reset")
    time.sleep(2)


@pytest.mark.parametrize(
    ("certificate", "of_dates"),
    [("expired", True), ("not-yet-valid", True), ("other-host", False), ("other-ca", False)],
)
def test_a_certificate_that_is_refused(ask: Ask, certificate: str, of_dates: bool) -> None:
    said = ask("secure", "date", platform_cert=certificate)
    assert said["secure"]["fault"] == {"code": "tls-failed"}
    assert said["secure"]["of_dates"] == of_dates
    assert abs(said["date"] - time.time()) < 60
