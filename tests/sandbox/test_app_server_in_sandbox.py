"""The app server and the platform on a bad day, over the real path."""

from __future__ import annotations

from typing import Any

import pytest

from phonecheck_sandbox import world


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("down", 7, "server-unreachable"),
        ("401", 7, "server-rejected"),
        ("403", 7, "server-rejected"),
        ("404", 7, "protocol-mismatch"),
        ("429", 7, "server-rejected"),
        ("429-once", 0, None),
        ("500", 7, "server-unreachable"),
        ("not-json", 7, "protocol-mismatch"),
        ("not-object", 7, "protocol-mismatch"),
        ("redirect", 7, "server-rejected"),
        ("oversize", 7, "protocol-mismatch"),
        ("check-url-http", 6, "bad-check-url"),
        ("check-url-userinfo", 6, "bad-check-url"),
        ("check-url-no-host", 6, "bad-check-url"),
        ("check-url-loopback", 6, "hop-refused"),
        ("check-url-missing", 7, "protocol-mismatch"),
        ("finish-500", 7, "server-unreachable"),
        ("finish-redirect", 7, "server-rejected"),
    ],
)
def test_each_fault_of_the_app_server_is_named(device: Any, fault: str, status: int, code: str | None) -> None:
    device.set(app_fault=fault)
    answer = device.verify()
    assert (answer.status, answer.code) == (status, code), answer.json["error"]


@pytest.mark.parametrize(
    ("at_redirect", "code"),
    [
        (400, "operator-unsupported"),
        (404, "check-expired"),
        (409, "number-operator-mismatch"),
        (412, "not-mobile-ip"),
        (429, "rate-limited"),
        (500, "platform-error"),
        (501, "operator-unsupported"),
    ],
)
@pytest.mark.parametrize("protocol", ["v0.1", "v0.2"])
def test_each_refusal_of_the_platform_is_named(
    device: Any, settings: Any, at_redirect: int, code: str, protocol: str
) -> None:
    device.set(platform_status=at_redirect)
    answer = device.verify(env=settings("", protocol=protocol))
    assert (answer.status, answer.code) == (6, code), answer.json["error"]


@pytest.mark.parametrize(("at_create", "code"), [(409, "number-operator-mismatch"), (412, "not-mobile-ip")])
def test_a_refusal_at_creation_keeps_its_meaning(device: Any, at_create: int, code: str) -> None:
    device.set(platform_create_status=at_create)
    answer = device.verify()
    assert (answer.status, answer.code) == (6, code), answer.json["error"]
    assert answer.json["hops"] == []


def test_a_number_of_another_operator_is_told_apart_from_no_match(device: Any) -> None:
    answer = device.verify("+447700901000")
    assert (answer.status, answer.code) == (6, "number-operator-mismatch")


@pytest.mark.parametrize("word", ["mno_redirect_unsupported", "mno_timeout"])
def test_an_error_at_http_200_is_no_success(device: Any, word: str) -> None:
    device.set(platform_error=word)
    assert device.verify().code in ("operator-unsupported", "platform-error")


def test_a_check_that_outlives_its_ttl_is_expired(device: Any) -> None:
    device.set(platform_ttl=1, radio_rtt=150)
    answer = device.verify()
    assert (answer.status, answer.code) == (6, "check-expired"), answer.json["error"]


def test_a_v01_check_that_never_gets_a_result_is_expired(device: Any, settings: Any) -> None:
    device.set(platform_ttl=2, platform_pending=1000)
    answer = device.verify(env=settings("", protocol="v0.1"))
    assert (answer.status, answer.code) == (6, "check-expired"), answer.json["error"]


def test_the_deadline_of_the_command_is_the_last_word(device: Any) -> None:
    device.set(mno_hang=True)
    answer = device.verify("+" + world.SUBSCRIBER.msisdn, "--timeout", "1")
    assert (answer.status, answer.code) == (6, "deadline-exceeded"), answer.json["error"]


def test_a_missing_certificate_authority_stops_the_app_server_call(device: Any) -> None:
    answer = device.phonecheck("verify", "+" + world.SUBSCRIBER.msisdn, env={"SSL_CERT_FILE": "/etc/hostname"})
    assert answer.status in (3, 7), answer.json["error"]
    assert "certificate" in answer.json["error"]["message"].lower()
