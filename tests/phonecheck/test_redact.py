from __future__ import annotations

import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck import redact
from phonecheck.redact import Identity, RedactingFormatter, Secret, last_four

NUMBER, ICCID = "447700900123", "8944001012345678909"
# Text with what an operator, a server or a modem may put into it.
hostile = st.lists(
    st.text(max_size=8)
    | st.from_regex(r"\d{1,20}")
    | st.sampled_from(
        ["?", "&", "=", "://", "@", "#", "/", "Bearer ", "code=", "cookie: ", "token", " ", "\n", "'", '"']
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("value", "shown"), [(NUMBER, "…0123"), ("1234567", "…4567"), ("123456", "…"), ("1234", "…"), ("", "…")]
)
def test_last_four(value, shown):
    assert last_four(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"the number +{NUMBER} was tried", "the number +…0123 was tried"),
        (f"ICCID {ICCID}.", "ICCID …8909."),
        ("HTTP 412 in 12345 ms", "HTTP 412 in 12345 ms"),
        ("Authorization: Bearer device-token", "Authorization: …"),
        ("authorization: Basic dXNlcjpwdw==", "authorization: …"),
        ("Proxy-Authorization: Bearer x\nHost: h", "Proxy-Authorization: …\nHost: h"),
        ("Cookie: a=b; session=secret", "Cookie: …"),
        ("Set-Cookie: session=secret; Path=/; Secure", "Set-Cookie: …"),
        ("{'cookie': 'a=b; c=d'}", "{'cookie': …"),
        ("(b'Authorization', b'Bearer x.y')", "(b'Authorization', …"),
        ("sent Bearer eyJhbGciOi.payload to it", "sent Bearer … to it"),
        ("refresh_token=abc&x=1", "refresh_token=…&x=1"),
        ('{"access_token": "a b", "ttl": 60}', '{"access_token": …, "ttl": 60}'),
        ("client_secret: s3cret", "client_secret: …"),
        ("code=abc-def", "code=…"),
        ("PIN=1234", "PIN=…"),
        ("password: hunter2", "password: …"),
        ("https://user:pw@host.example/path", "https://…@host.example/path"),
        ("https://a@secret@host.example/", "https://…@host.example/"),
        ("GET /redirect?check_id=c1&code=xyz HTTP/1.1", "GET /redirect?… HTTP/1.1"),
        ("why? because", "why? because"),
    ],
)
def test_text(value, shown):
    assert redact.text(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        "the bearer is not connected",
        "Bearer suspended.",
        "bearer /org/freedesktop/ModemManager1/Bearer/0",
        "two bearers, basics of the token ring",
        "wwan0 10.64.0.2/30 via 2001:db8::1",
    ],
)
def test_text_leaves_what_is_no_secret(value):
    assert redact.text(value) == value


@given(hostile)
def test_no_long_run_of_digits_survives_in_text(value):
    assert not re.search(r"\d{6,}", redact.text(value))


@given(st.from_regex(r"[^\s][^\r\n]{0,20}", fullmatch=True))
def test_nothing_of_a_credential_header_survives_but_its_name(token):
    for name in ("Authorization: Bearer ", "authorization: ", "Cookie: a=b; c=", "Set-Cookie: "):
        line = redact.text(f"before\n{name}{token}\nafter")
        assert line == f"before\n{name.partition(' ')[0]} …\nafter"


@pytest.mark.parametrize("piece", ["a", "token", " ", "bearer ", "cookie ", "//a", "?", 'code"', "pin  ", "9"])
def test_text_of_any_length_takes_linear_time(piece):
    # Quadratic matching of these would run for minutes.
    assert redact.text(piece * (400_000 // len(piece)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://mno.example/start?msisdn=1#f", "https://mno.example/start?…"),
        (f"https://mno.example/{NUMBER}/x", "https://mno.example/…0123/x"),
        (f"https://mno.example/%2B{NUMBER}", "https://mno.example/%2B…0123"),
        (f"https://mno.example/id-{NUMBER}a", "https://mno.example/id-…0123a"),
        (f"https://{NUMBER}.mno.example/", "https://…0123.mno.example/"),
        ("https://user:pw@mno.example:8443/a", "https://…@mno.example:8443/a"),
        ("https://a@b@mno.example", "https://…@mno.example"),
        ("/relative/path?x", "/relative/path?…"),
        (
            "https://api.example/checks/550e8400-e29b-41d4-a716-446655440000/redirect",
            "https://api.example/checks/550e8400-e29b-41d4-a716-446655440000/redirect",
        ),
    ],
)
def test_url(value, shown):
    assert redact.url(value) == shown


@given(hostile, hostile)
def test_a_url_keeps_neither_query_nor_long_digits(path, query):
    shown = redact.url(f"https://host.example/{path}?{query}")
    assert not re.search(r"\d{6,}", shown)
    assert "#" not in shown
    assert shown.partition("?")[2] in ("", "…")


def test_identities_and_secrets_are_short_wherever_they_are_printed():
    identity, secret = Identity(ICCID), Secret("device-token")
    for shown in (str(identity), repr(identity), f"{identity}", f"{[identity]}", "%s" % identity):  # noqa: UP031  on purpose
        assert ICCID not in shown
        assert "…8909" in shown
    for shown in (str(secret), repr(secret), f"{secret}", f"{{{secret!r}}}"):
        assert "token" not in shown
    assert identity == Identity(ICCID)


def test_a_log_line_is_redacted_with_its_arguments_and_its_traceback():
    try:
        int(f"no such number {NUMBER}")
    except ValueError:
        trouble = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "asked for %s", (f"https://h/?n={NUMBER}",), trouble)
    line = RedactingFormatter("%(levelname)s %(message)s").format(record)
    assert line.startswith("ERROR asked for https://h/?…\nTraceback")
    assert "no such number …0123'" in line
    assert NUMBER not in line
