"""The runner over real TLS on loopback: the fifteen points of the protocol page, and what shipped SDKs got wrong."""

from __future__ import annotations

import gzip
import logging
import threading
from ipaddress import IPv4Address, IPv6Address

import pytest

from phonecheck.errors import AgentError, CheckError, DeadlineExceeded
from scripted_web import ENRICH, MNO, PLATFORM, Opener, Reply, Seen, Web, answer, redirect

CHECK_URL = f"https://{PLATFORM}/phone_check/v0.2/checks/c69bc0e6/redirect"
CODE = answer(200, b'{"check_id":"c69bc0e6","code":"94dae426fg"}', "Content-Type: application/hal+json")


def failure(opener: Opener, url: str = CHECK_URL, **kwargs: object) -> AgentError:
    with pytest.raises(AgentError) as caught:
        opener(url, **kwargs)  # type: ignore[arg-type]
    return caught.value


def test_a_v02_chain_yields_its_code_with_evidence_of_every_hop(web: Web, opener: Opener) -> None:
    def hosts(seen: Seen) -> Reply:
        return {
            f"{PLATFORM}/phone_check/v0.2/checks/c69bc0e6/redirect": redirect(f"https://{MNO}/start"),
            f"{MNO}/start": redirect(f"http://{ENRICH}/he?a=b", "X-Orange-Trace-Id: 4711-abc", status=307),
            f"{ENRICH}/he?a=b": redirect(f"https://{PLATFORM}/return?token=t", status=303),
            f"{PLATFORM}/return?token=t": CODE,
        }[seen.host + seen.target]

    web.handler = hosts
    end = opener(CHECK_URL)
    assert end.code is not None
    assert end.code.value == "94dae426fg"
    assert (end.check_id, end.http_status) == ("c69bc0e6", 200)
    first, start, enrich, last = opener.hops
    assert [hop.status for hop in opener.hops] == [302, 307, 303, 200]
    assert [hop.cleartext for hop in opener.hops] == [False, False, True, False]
    assert first.path is not None
    assert first.path.bound_to == "wwan0"
    assert first.dns_server == IPv4Address("10.0.0.53")
    assert None not in (first.timings.dns, first.timings.connect, first.timings.tls, first.timings.first_byte)
    assert start.trace_ids == (("x-orange-trace-id", "4711-abc"),)
    assert enrich.timings.tls is None
    # The connection to the platform was kept: nothing to resolve, to connect, to shake hands on.
    assert last.reused
    assert (last.timings.dns, last.timings.connect, last.timings.tls) == (None, None, None)
    assert last.path is not None
    assert last.tls_version == first.tls_version is not None
    assert web.requests[0].connection == web.requests[-1].connection


def test_the_platforms_headers_go_to_the_platform_over_https_and_to_nobody_else(web: Web, opener: Opener) -> None:
    targets = {"/redirect": f"https://{MNO}/1", "/1": f"http://{PLATFORM}/plain", "/plain": f"https://{PLATFORM}/end"}
    web.handler = lambda seen: redirect(targets[seen.target]) if seen.target in targets else answer(200)
    opener(f"https://{PLATFORM}/redirect")
    assert ["x-tru-sdk-request" in seen.headers for seen in web.requests] == [True, False, False, True]
    assert all("authorization" not in seen.headers and "referer" not in seen.headers for seen in web.requests)
    assert {seen.headers["accept-encoding"] for seen in web.requests} == {"identity"}


@pytest.mark.parametrize(("redirects", "code"), [(9, None), (10, None), (11, "too-many-redirects")])
def test_ten_redirects_are_followed_and_the_eleventh_is_an_error(
    web: Web, opener: Opener, redirects: int, code: str | None
) -> None:
    def count(seen: Seen) -> Reply:
        n = int(seen.target[1:])
        return redirect(f"/{n + 1}") if n < redirects else answer(200)

    web.handler = count
    if code is None:
        assert opener(f"https://{PLATFORM}/0").http_status == 200
        assert len(opener.hops) == redirects + 1
    else:
        assert failure(opener, f"https://{PLATFORM}/0").code == code
        assert len(web.requests) == 11


def test_a_loop_is_found_at_once(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: redirect("/b" if seen.target == "/a" else "/a")
    assert failure(opener, f"https://{PLATFORM}/a").code == "redirect-loop"
    assert len(web.requests) == 2


def test_a_url_that_comes_back_with_a_cookie_set_is_no_loop(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: answer(200) if "cookie" in seen.headers else redirect("/a", "Set-Cookie: tried=1")
    assert opener(f"https://{PLATFORM}/a").http_status == 200


def test_cookies_stay_with_their_host(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: {
        "/a": redirect(f"https://{MNO}/b", "Set-Cookie: platform=1; Secure"),
        "/b": redirect(f"http://{MNO}/c", "Set-Cookie: secret=2; Secure", "Set-Cookie: plain=3; Domain=mno.example"),
        "/c": redirect(f"https://{MNO}/d"),
        "/d": redirect(f"https://{PLATFORM}/e"),
    }.get(seen.target, answer(200))
    opener(f"https://{PLATFORM}/a")
    assert [seen.headers.get("cookie") for seen in web.requests] == [
        None,
        None,
        "plain=3",
        "secret=2; plain=3",
        "platform=1",
    ]


@pytest.mark.parametrize(
    "head",
    ["LOCATION: /end?q=a b", "location:/end?q=a b", "Location:   /end?q=a b   "],
    ids=["upper", "no-space", "padded"],
)
def test_locations_in_any_case_relative_and_with_raw_spaces(web: Web, opener: Opener, head: str) -> None:
    web.handler = lambda seen: answer(302, b"", head) if seen.target == "/a" else answer(200)
    opener(f"https://{PLATFORM}/a")
    assert web.requests[-1].target == "/end?q=a%20b"


@pytest.mark.parametrize("status", [200, 201, 300, 304])
def test_a_location_is_followed_only_behind_a_redirect(web: Web, opener: Opener, status: int) -> None:
    web.handler = lambda seen: answer(status, b"", "Location: /trap")
    if status < 300:
        assert opener(CHECK_URL).http_status == status
    else:
        assert failure(opener).code == "platform-error"
    assert len(web.requests) == 1


def test_bodies_come_chunked_and_in_pieces(web: Web, opener: Opener) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b'{"check_id":"c69bc0e6","code":"94dae426fg"}'
    pieces = [chunked, b"10\r\n", body[:16], b"\r\n%x\r\n" % len(body[16:]), body[16:], b"\r\n0\r\n\r\n"]
    web.handler = lambda seen: [bytes([octet]) for octet in b"".join(pieces)]
    end = opener(CHECK_URL)
    assert end.code is not None


def test_a_body_without_end_is_cut_off(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: [answer(200, length=False), *[b"x" * 8192] * 20]
    assert failure(opener).code == "response-too-large"


def test_a_gzip_bomb_is_not_unpacked(web: Web, opener: Opener) -> None:
    bomb = gzip.compress(b'{"code":"' + b"0" * 20_000_000)
    web.handler = lambda seen: answer(200, bomb, "Content-Encoding: gzip", "Content-Type: application/json")
    assert opener(CHECK_URL).code is None


def test_headers_without_end_are_cut_off(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: [b"HTTP/1.1 200 OK\r\n", *[b"X-Filler: " + b"x" * 8000 + b"\r\n"] * 20]
    assert failure(opener).code == "response-too-large"


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\r\n\r\n", None], ids=["not-http", "closed"])
def test_what_is_no_answer_is_an_error_of_whoever_gave_it(web: Web, opener: Opener, reply: Reply) -> None:
    web.keep = False
    web.handler = lambda seen: reply
    assert failure(opener).code == "platform-error"
    web.handler = lambda seen: redirect(f"https://{MNO}/") if seen.host == PLATFORM else reply
    assert failure(opener).code == "operator-error"
    assert opener.hops[-1].status is None


def test_a_kept_connection_that_was_closed_is_replaced_but_the_check_url_is_never_sent_twice(
    web: Web, opener: Opener
) -> None:
    def closes_when_used_again(seen: Seen) -> Reply:
        if seen.target == "/a":
            return redirect("/b")
        return None if [s.target for s in web.requests].count("/b") == 1 else answer(200)

    web.handler = closes_when_used_again
    assert opener(f"https://{PLATFORM}/a").http_status == 200
    assert [seen.target for seen in web.requests] == ["/a", "/b", "/b"]
    web.requests.clear()
    web.handler = lambda seen: None
    assert failure(opener, f"https://{PLATFORM}/a").code == "platform-error"
    assert len(web.requests) == 1


def test_a_hop_that_never_answers_ends_with_the_hops_time(web: Web, opener: Opener) -> None:
    silent = threading.Event()
    web.handler = lambda seen: answer(200) if silent.wait(2) else None
    error = failure(opener, hop_timeout=0.2)
    silent.set()
    assert (error.code, error.exit_status, error.retryable) == ("hop-timeout", 6, True)


def test_a_hop_that_drips_cannot_outlast_its_time(web: Web, opener: Opener) -> None:
    stop = threading.Event()

    def drip(seen: Seen) -> Reply:
        class Dripping(list[bytes]):
            def __iter__(self):  # type: ignore[no-untyped-def]
                yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
                while not stop.wait(0.02):
                    yield b"x"

        return Dripping()

    web.handler = drip
    assert failure(opener, hop_timeout=0.3).code == "hop-timeout"
    stop.set()


def test_the_one_deadline_ends_the_chain_whatever_a_hop_is_allowed(web: Web, opener: Opener) -> None:
    silent = threading.Event()
    web.handler = lambda seen: answer(200) if silent.wait(2) else None
    error = failure(opener, seconds=0.2, hop_timeout=5)
    silent.set()
    assert isinstance(error, DeadlineExceeded)


def test_a_redirects_slow_body_does_not_cost_the_chain(web: Web, opener: Opener) -> None:
    held = threading.Event()

    def slow_body(seen: Seen) -> Reply:
        if seen.target != "/redirect":
            held.set()
            return answer(200)
        return redirect("/end").replace(b"Content-Length: 0", b"Content-Length: 100000")

    web.handler = slow_body
    assert opener(f"https://{PLATFORM}/redirect", hop_timeout=5).http_status == 200


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (412, b"", "not-mobile-ip"),
        (409, b"", "number-operator-mismatch"),
        (400, b"", "operator-unsupported"),
        (400, b'{"type":"https://x/api-errors#bad_request"}', "platform-error"),
        (400, b'{"type":"https://x/api-errors#mno_not_supported"}', "operator-unsupported"),
        (501, b"", "operator-unsupported"),
        (429, b"", "rate-limited"),
        (404, b"", "check-expired"),
        (410, b"", "check-expired"),
        (500, b"<html>", "platform-error"),
        (302, b"no location", "platform-error"),
        (200, b'{"check_id":"c","error":"mno_redirect_unsupported"}', "operator-unsupported"),
        (200, b'{"check_id":"c","error":"ip_mismatch"}', "platform-error"),
        (200, b'{"check_id":"c","error":"!! \\n"}', "platform-error"),
    ],
)
def test_what_the_platform_answers_is_named(web: Web, opener: Opener, status: int, body: bytes, code: str) -> None:
    web.handler = lambda seen: answer(status, body, "Content-Type: application/problem+json")
    assert failure(opener).code == code


@pytest.mark.parametrize("status", [429, 503])
def test_whoever_is_told_to_wait_by_the_platform_knows_how_long(web: Web, opener: Opener, status: int) -> None:
    web.handler = lambda seen: answer(status, b"", "Retry-After: 90")
    assert failure(opener).retry_after == 90
    web.handler = lambda seen: answer(status, b"")
    assert failure(opener).retry_after is None


def test_an_operators_hop_does_not_say_when_the_next_check_may_be(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: answer(503, b"", "Retry-After: 90") if seen.host == MNO else redirect(f"https://{MNO}/1")
    assert failure(opener).retry_after is None


def test_the_same_statuses_at_an_operators_hop_are_the_operators(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: redirect(f"https://{MNO}/") if seen.host == PLATFORM else answer(412)
    error = failure(opener)
    assert error.code == "operator-error"
    assert MNO in error.message


def test_a_code_in_cleartext_is_not_taken(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: CODE if not seen.tls else redirect(f"http://{ENRICH}/end")
    assert failure(opener).code == "hop-refused"


def test_cleartext_hops_can_be_refused(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: redirect(f"http://{ENRICH}/end")
    assert failure(opener, cleartext="refuse").code == "hop-refused"
    assert [seen.host for seen in web.requests] == [PLATFORM]
    assert opener.hops[-1].url == f"http://{ENRICH}/end"


def test_the_app_servers_own_redirect_url_is_not_requested(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: redirect("https://app.customer.example/done?code=94dae426fg&check_id=c69bc0e6")
    end = opener(CHECK_URL, redirect_url="https://app.customer.example/done")
    assert end.code is not None
    assert (end.code.value, end.check_id) == ("94dae426fg", "c69bc0e6")
    assert len(web.requests) == 1


def test_an_error_to_the_redirect_url_is_the_platforms(web: Web, opener: Opener) -> None:
    web.handler = lambda seen: redirect("https://app.customer.example/done?error=mno_redirect_unsupported&check_id=c")
    assert failure(opener, redirect_url="https://app.customer.example/done").code == "operator-unsupported"


def test_a_host_that_only_begins_like_the_redirect_url_is_a_hop(web: Web, opener: Opener) -> None:
    def hosts(seen: Seen) -> Reply:
        return redirect("https://app.customer.example.evil/done?code=x") if seen.host == PLATFORM else answer(200)

    web.handler = hosts
    assert opener(CHECK_URL, redirect_url="https://app.customer.example/done").code is None
    assert web.requests[-1].host == "app.customer.example.evil"


def test_addresses_that_no_hop_may_have_are_refused_before_connecting(web: Web, opener: Opener) -> None:
    opener.refuse = lambda address: "it is a loopback address" if address.is_loopback else None
    opener.addresses = {PLATFORM: (IPv4Address("127.0.0.1"),)}
    assert failure(opener).code == "hop-refused"
    assert web.connections == 0
    opener.addresses = {PLATFORM: (IPv4Address("127.0.0.1"), IPv4Address("203.0.113.7"))}
    web.handler = lambda seen: answer(200)
    opener(CHECK_URL)
    assert opener.hops[-1].path is not None
    assert opener.hops[-1].path.peer == IPv4Address("203.0.113.7")


def test_a_chain_keeps_to_the_family_it_began_with(web: Web, opener: Opener) -> None:
    six, four = IPv6Address("2001:db8::1"), IPv4Address("203.0.113.9")
    opener.addresses = {PLATFORM: (four,), MNO: (six, four), ENRICH: (six,)}
    web.handler = lambda seen: {
        PLATFORM: redirect(f"https://{MNO}/"),
        MNO: redirect(f"http://{ENRICH}/"),
        ENRICH: answer(200),
    }[seen.host]
    opener(CHECK_URL)
    assert [hop.path.family for hop in opener.hops if hop.path] == [4, 4, 6]


def test_nothing_of_a_query_a_cookie_or_a_code_reaches_the_log(
    web: Web, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    web.handler = lambda seen: redirect("/b?token=topsecret", "Set-Cookie: sid=crumbs") if seen.target == "/a" else CODE
    opener(f"https://{PLATFORM}/a")
    assert "hop 1" in caplog.text
    for secret in ("topsecret", "crumbs", "94dae426fg"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "trouble",
    [
        answer(500),
        b"no HTTP\r\n\r\n",
        answer(200, b"x" * 70_000),
        redirect("http://[/"),
        redirect("http://447700900123.mno.example/"),
        b"certificate",
        b"address",
    ],
    ids=range(7),
)
def test_a_number_in_a_hosts_name_is_not_repeated(web: Web, opener: Opener, trouble: bytes) -> None:
    numbered = "447700900123.mno.example"
    web.handler = lambda seen: redirect(f"https://{numbered}/") if seen.host == PLATFORM else trouble
    if trouble == b"certificate":
        web.certificates[numbered] = web.context(MNO)
    if trouble == b"address":
        opener.refuse = lambda address: "it is refused" if opener.hops else None
    error = failure(opener, cleartext="refuse")
    assert "…0123.mno.example" in error.message
    assert "447700900123" not in error.message


def test_a_refused_connection_is_the_hops_failure_and_evidence_of_it_is_kept(web: Web, opener: Opener) -> None:
    web.stop()
    with pytest.raises(CheckError) as caught:
        opener(CHECK_URL)
    assert caught.value.code == "operator-error"
    (hop,) = opener.hops
    assert (hop.status, hop.path, hop.timings.dns) == (None, None, 1.0)
