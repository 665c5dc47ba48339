"""Bodies, statuses and Retry-After, hostile ones too."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.appserver import answers
from phonecheck.appserver.answers import Answer
from phonecheck.errors import AgentError, ServerError
from phonecheck.model import Check

GOOD = {"check_id": "c69bc0e6-a429-11ea-bb37-0242ac130002", "check_url": "https://p.example/c/redirect", "ttl": 120}
CHECK = Check("c1", "https://p.example/", 60)
TYPES = "https://developer.tru.id/docs/reference/api-errors#"


def body(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value != "absent"}).encode()


def test_check() -> None:
    assert answers.parse_check(body(more={"is": "ignored"})) == Check(GOOD["check_id"], GOOD["check_url"], 120.0)


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("absent", 60), (None, 60), (1, 1), (0.5, 0.5), (3600, 3600), (86400, 3600), (10**400, 3600)]
)
def test_ttl(ttl: object, seconds: float) -> None:
    assert answers.parse_check(body(ttl=ttl)).ttl == seconds


@pytest.mark.parametrize(
    "changes",
    [{"check_id": value} for value in ("absent", None, "", 7, "x" * 129, "a\nb", "a\x00", "\ud800", ["c1"])]
    + [{"check_url": value} for value in ("absent", None, "", 7, ["https://p.example/"])]
    + [{"ttl": value} for value in (0, -1, "60", True, [60], {})],
)
def test_broken_checks(changes: dict[str, object]) -> None:
    with pytest.raises(ServerError) as caught:
        answers.parse_check(body(**changes))
    assert caught.value.code == "protocol-mismatch"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"OK",
        b"[]",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b"{",
        b'{"a": NaN}',
        b"[" * 60_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_not_a_json_object(text: bytes) -> None:
    for parse in (answers.parse_check, lambda text: answers.parse_match(text, CHECK)):
        with pytest.raises(ServerError) as caught:
            parse(text)
        assert caught.value.code == "protocol-mismatch"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"match": true}', True),
        ('\ufeff{"match": false, "check_id": "c1"}', False),
        ('{"match": null}', None),
        ('{"match": "true"}', None),
        ('{"match": 1}', None),
        ('{"status": "PENDING"}', None),
        ("{}", None),
    ],
)
def test_match(text: str, match: bool | None) -> None:
    assert answers.parse_match(text.encode(), CHECK) is match


@pytest.mark.parametrize("other", ["c2", None, 1])
def test_the_result_of_another_check_is_none(other: object) -> None:
    with pytest.raises(ServerError, match="another check"):
        answers.parse_match(json.dumps({"match": True, "check_id": other}).encode(), CHECK)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(["check_id", "check_url", "ttl", "match", "type", "title"])
_BODIES = st.one_of(
    st.binary(max_size=60), st.dictionaries(_KEYS, _JSON, max_size=6).map(lambda v: json.dumps(v).encode())
)


@given(_BODIES)
def test_any_body_is_a_check_or_a_mismatch(text: bytes) -> None:
    try:
        check = answers.parse_check(text)
    except ServerError as error:
        assert error.code == "protocol-mismatch"  # noqa: PT017  either end is right
        return
    assert check.id.isprintable()
    assert 0 < len(check.id) <= 128
    assert check.url
    assert 0 < check.ttl <= 3600


@given(_BODIES)
def test_any_body_is_a_match_or_none_or_a_mismatch(text: bytes) -> None:
    try:
        assert answers.parse_match(text, CHECK) in (True, False, None)
    except ServerError as error:
        assert error.code == "protocol-mismatch"  # noqa: PT017  either end is right


@given(st.integers(100, 599), _BODIES, st.sampled_from(["create", "finish"]))
def test_any_refusal_has_one_line(status: int, text: bytes, step: answers.Step) -> None:
    error = answers.refusal(Answer(status, text), step, "POST /x", authenticated=True)
    assert isinstance(error, AgentError)
    assert error.message.isprintable()
    assert len(error.message) < 400


def refusal(status: int, problem: Mapping[str, object] | None = None, step: answers.Step = "create") -> AgentError:
    text = b"<html>" if problem is None else json.dumps(problem).encode()
    return answers.refusal(Answer(status, text), step, "POST /v0.2/phone-check", authenticated=True)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (204, "protocol-mismatch", False),
        (302, "server-rejected", False),
        (308, "server-rejected", False),
        (400, "server-rejected", False),
        (401, "server-rejected", False),
        (403, "server-rejected", False),
        (404, "protocol-mismatch", False),
        (405, "protocol-mismatch", False),
        (412, "server-rejected", False),
        (500, "server-unreachable", True),
        (501, "server-unreachable", True),
        (503, "server-unreachable", True),
    ],
)
@pytest.mark.parametrize("step", ["create", "finish"])
def test_statuses(status: int, code: str, retryable: bool, step: answers.Step) -> None:
    error = refusal(status, step=step)
    assert (error.code, error.exit_status, error.retryable) == (code, 7, retryable)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("status", "anchor", "code"),
    [
        (412, "not_mobile_ip", "not-mobile-ip"),
        (409, "ip_msisdn_mismatch", "number-operator-mismatch"),
        (400, "mno_not_supported", "operator-unsupported"),
        (501, "mno_redirect_unsupported", "operator-unsupported"),
        (504, "mno_timeout", "operator-error"),
        (410, "check_expired", "check-expired"),
    ],
)
def test_what_the_platform_said_keeps_its_meaning(status: int, anchor: str, code: str) -> None:
    error = refusal(status, {"type": TYPES + anchor, "title": "Words"})
    assert (error.code, error.exit_status) == (code, 6)
    assert f"{status} ({anchor}: Words)" in error.message


def test_a_check_that_is_gone_is_told_from_a_path_that_never_was() -> None:
    gone = {"type": TYPES + "check_not_found", "title": "Not Found"}
    assert refusal(404, gone, "finish").code == "check-expired"
    assert refusal(410, None, "finish").code == "check-expired"
    assert refusal(404, {"type": "about:blank", "title": "Not Found"}, "finish").code == "protocol-mismatch"
    assert refusal(404, gone, "create").code == "protocol-mismatch"


def test_a_missing_credential_is_named() -> None:
    error = answers.refusal(Answer(401, b""), "create", "POST /x", authenticated=False)
    assert "none is configured" in error.message
    assert "server-token" in error.hint


@pytest.mark.parametrize(
    "title",
    [
        "447700900123",
        "+44 7700 900 123 is no number",
        "(0)7700-900-123",
        "token=abcdef",
        "Bearer 9abcdef",
        "?code=abcdef",
    ],
)
def test_titles_hold_no_number_and_no_secret(title: str) -> None:
    message = refusal(400, {"title": title}).message
    assert not any(secret in message.replace(" ", "") for secret in ("900", "0123", "abcdef"))


def test_a_wait_that_is_too_long_is_told() -> None:
    error = answers.too_many("create", 119.5)
    assert (error.code, error.retryable) == ("server-rejected", False)
    assert "asks to wait 120 s" in error.message
    assert "how long" in answers.too_many("finish", None).message
