"""RFC 6265 §5, rule by rule, and hostile bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.chain.cookies import MAX_COOKIES, MAX_LENGTH, Jar, parse_date
from phonecheck.chain.url import Url, next_hop, parse_check_url


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def url(text: str) -> Url:
    return next_hop(parse_check_url("https://base.example/"), text.encode())


HOP = url("https://id.mno.example/auth/start?x=1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jar(clock: Clock) -> Jar:
    return Jar(clock)


def test_comes_back_to_the_same_host(jar: Jar) -> None:
    jar.store(HOP, ["a=1; Path=/", "b=2; Path=/"])
    assert jar.header(HOP) == "a=1; b=2"
    assert jar.names() == ("a", "b")


@pytest.mark.parametrize(
    "host", ["mno.example", "x.id.mno.example", "notid.mno.example", "id.mno.example.evil.example"]
)
def test_without_a_domain_it_stays_with_its_host(jar: Jar, host: str) -> None:
    jar.store(HOP, ["a=1; Path=/"])
    assert jar.header(url(f"https://{host}/")) is None


@pytest.mark.parametrize("domain", ["mno.example", ".mno.example", "MNO.example"])
@pytest.mark.parametrize(
    ("host", "sent"),
    [("mno.example", True), ("he.mno.example", True), ("notmno.example", False), ("mno.example.evil.example", False)],
)
def test_a_domain_takes_in_what_is_below_it(jar: Jar, domain: str, host: str, sent: bool) -> None:
    jar.store(HOP, [f"a=1; Domain={domain}; Path=/"])
    assert (jar.header(url(f"https://{host}/")) == "a=1") is sent


@pytest.mark.parametrize("domain", ["other.example", "he.mno.example", "no.example", "example", "d.mno.example", "e"])
def test_a_foreign_or_bare_domain_is_refused(jar: Jar, domain: str) -> None:
    jar.store(HOP, [f"a=1; Domain={domain}"])
    assert jar.names() == ()


@pytest.mark.parametrize("text", ["Domain=", "Domain=.", "Domain"])
def test_an_empty_domain_is_none(jar: Jar, text: str) -> None:
    jar.store(HOP, [f"a=1; Path=/; {text}"])
    assert jar.header(HOP) == "a=1"
    assert jar.header(url("https://x.id.mno.example/")) is None


def test_a_single_label_may_name_itself_alone(jar: Jar) -> None:
    jar.store(url("https://portal/"), ["a=1; Domain=portal"])
    assert jar.header(url("https://portal/")) == "a=1"
    assert jar.header(url("https://x.portal/")) is None


@pytest.mark.parametrize(
    ("host", "domain"), [("10.65.0.12", "65.0.12"), ("10.65.0.12", "0.12"), ("[2001:db8::1]", "1")]
)
def test_nothing_is_below_an_address(jar: Jar, host: str, domain: str) -> None:
    jar.store(url(f"https://{host}/"), [f"a=1; Domain={domain}"])
    assert jar.names() == ()


def test_an_address_may_name_itself(jar: Jar) -> None:
    jar.store(url("https://10.65.0.12/"), ["a=1; Domain=10.65.0.12"])
    assert jar.header(url("https://10.65.0.12/")) == "a=1"


@pytest.mark.parametrize(
    ("set_at", "attribute", "asked", "sent"),
    [
        ("/a/b", "", "/a/b", True),
        ("/a/b", "", "/a/", True),
        ("/a/b", "", "/a", True),
        ("/a/b", "", "/ab", False),
        ("/a/b", "", "/", False),
        ("/a", "", "/x", True),
        ("/", "", "/x", True),
        ("/a/b?q=/c/d", "", "/a/x", True),
        ("/x", "; Path=/a", "/a", True),
        ("/x", "; Path=/a", "/a/", True),
        ("/x", "; Path=/a", "/a/b?q", True),
        ("/x", "; Path=/a", "/ab", False),
        ("/x", "; Path=/a/", "/a", False),
        ("/x", "; Path=/a/", "/a/b", True),
        ("/x/y", "; Path=a", "/x/z", True),
        ("/x/y", "; Path=", "/z", False),
        ("/x/y", "; Path=/; Path=", "/z", False),
        ("/x", "; Path=/A", "/a", False),
    ],
)
def test_path(jar: Jar, set_at: str, attribute: str, asked: str, sent: bool) -> None:
    jar.store(url("https://h.example" + set_at), ["a=1" + attribute])
    assert (jar.header(url("https://h.example" + asked)) == "a=1") is sent


def test_secure_stays_on_https(jar: Jar) -> None:
    jar.store(HOP, ["a=1; Path=/; Secure", "b=2; Path=/"])
    assert jar.header(url("http://id.mno.example/")) == "b=2"
    assert jar.header(HOP) == "a=1; b=2"


def test_http_neither_sets_nor_overlays_a_secure_cookie(jar: Jar) -> None:
    jar.store(url("http://id.mno.example/"), ["a=1; Secure"])
    assert jar.names() == ()
    jar.store(HOP, ["a=good; Path=/; Secure"])
    for header in ("a=evil; Path=/", "a=evil; Domain=mno.example; Path=/", "a=evil; Path=/; Max-Age=0"):
        jar.store(url("http://id.mno.example/"), [header])
    assert jar.header(HOP) == "a=good"
    jar.store(url("http://other.example/"), ["a=mine"])
    assert jar.header(url("http://other.example/")) == "a=mine"


def test_a_second_cookie_of_the_name_replaces_the_first_in_its_place(jar: Jar) -> None:
    jar.store(HOP, ["a=1; Path=/", "b=2; Path=/"])
    jar.store(HOP, ["a=3; Path=/"])
    assert jar.header(HOP) == "a=3; b=2"


def test_longer_paths_come_first_then_the_older(jar: Jar) -> None:
    jar.store(HOP, ["a=1; Path=/", "b=2; Path=/auth", "c=3; Path=/", "d=4; Path=/auth"])
    assert jar.header(HOP) == "b=2; d=4; a=1; c=3"


@pytest.mark.parametrize(
    ("attributes", "lives_past"),
    [
        ("", 10_000_000),
        ("; Max-Age=5", 4),
        ("; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 4),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=5", 4),
        ("; Max-Age=x", 10_000_000),
        ("; Max-Age=-", 10_000_000),
        ("; Max-Age=5x", 10_000_000),
        ("; Max-Age=\u0665", -1),
        ("; Expires=Fri, 15 Jan 2027 08:00:10 GMT", 9),
        ("; Expires=nonsense", 10_000_000),
        ("; Max-Age=" + "9" * 4000, 10_000_000),
        ("; max-age = 5 ", 4),
        ("; Max-Age=0", -1),
        ("; Max-Age=-1", -1),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", -1),
    ],
)
def test_lifetime(jar: Jar, clock: Clock, attributes: str, lives_past: int) -> None:
    assert clock.now == parse_date("Fri, 15 Jan 2027 08:00:00 GMT")
    jar.store(HOP, ["a=1; Path=/" + attributes])
    assert (jar.header(HOP) is not None) is (lives_past >= 0)
    if 0 <= lives_past < 1000:
        clock.now += lives_past
        assert jar.header(HOP) == "a=1"
        clock.now += 1
        assert jar.header(HOP) is None
        assert jar.names() == ()


def test_a_past_date_deletes(jar: Jar) -> None:
    jar.store(HOP, ["a=1; Path=/", "b=2; Path=/", "c=3; Path=/"])
    jar.store(HOP, ["a=; Path=/; Max-Age=0", "b=; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT"])
    assert jar.header(HOP) == "c=3"


@pytest.mark.parametrize(
    "header",
    [
        "",
        ";",
        "a",
        "=1",
        " =1",
        "; a=1",
        "a=1\r\nX: y",
        "a=1\0",
        "a=1; Path=/\x7f",
        "a\tb=1",
        "a=1\t2",
        "a=\u2026",
        "\x0ba=1",
    ],
)
def test_broken_cookies_are_passed_over(jar: Jar, header: str) -> None:
    jar.store(HOP, [header, "good=1"])
    assert jar.names() == ("good",)


def test_odd_cookies_are_taken(jar: Jar) -> None:
    at = url("https://h.example/")
    jar.store(at, ['a="x y"', "\tb = 1=2 ;\tHttpOnly ;; SameSite=None; Path", "c="])
    assert jar.header(at) == 'a="x y"; b=1=2; c='


def test_caps(jar: Jar) -> None:
    jar.store(HOP, ["a=" + "x" * (MAX_LENGTH - 1), "b=" + "x" * MAX_LENGTH])
    assert jar.names() == ("a",)
    jar.store(HOP, [f"n{i}=1" for i in range(MAX_COOKIES)])
    assert jar.names() == tuple(f"n{i}" for i in range(MAX_COOKIES))


def test_fingerprint_follows_what_is_held(jar: Jar, clock: Clock) -> None:
    empty = jar.fingerprint()
    jar.store(HOP, ["a=1; Max-Age=5"])
    one = jar.fingerprint()
    jar.store(HOP, ["a=2; Max-Age=5"])
    two = jar.fingerprint()
    assert len({empty, one, two}) == 3
    jar.store(HOP, ["a=2; Max-Age=5"])
    assert jar.fingerprint() == two
    clock.now += 6
    assert jar.fingerprint() == empty


def test_values_and_numbers_are_not_shown(jar: Jar) -> None:
    jar.store(HOP, ["msisdn447700900123=s3cret"])
    assert "s3cret" not in repr(jar) + repr(vars(jar))
    assert jar.names() == ("msisdn…0123",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("8:49:37 6 november 94", 784111777),
        ("1994 Nov 06 08:49:37junk", 784111777),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("01 Jan 69 00:00:00", 3124224000),
        ("01 Jan 70 00:00:00", 0),
        ("31 Dec 9999 23:59:59", 253402300799),
    ],
)
def test_dates(text: str, seconds: int) -> None:
    assert parse_date(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "06 Nov 1994",
        "Nov 1994 08:49:37",
        "06 1994 08:49:37",
        "06 Nov 08:49:37",
        "06 Nov 1994 24:00:00",
        "06 Nov 1994 08:60:00",
        "06 Nov 1994 08:00:60",
        "31 Feb 1994 08:49:37",
        "0 Nov 1994 08:49:37",
        "32 Nov 1994 08:49:37",
        "06 Nov 1600 08:49:37",
        "06 Nov 19945 08:49:37",
        "06 Nov 1994 08:49",
    ],
)
def test_broken_dates(text: str) -> None:
    assert parse_date(text) is None


_PIECES = st.sampled_from(
    [
        b"a=1",
        b"; ",
        b";",
        b"=",
        b"Domain=",
        b"mno.example",
        b"Path=/",
        b"Max-Age=",
        b"Expires=",
        b"Secure",
        b"9" * 30,
        b"06 Nov 2094 08:49:37",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\t",
        b"-",
        b".",
        b" ",
    ]
)
_HEADERS = st.one_of(st.binary(max_size=60), st.lists(_PIECES, max_size=12).map(b"".join))
_URLS = st.sampled_from(
    [HOP, url("http://id.mno.example/auth/"), url("https://mno.example/"), url("http://[::1]/auth/x")]
)


@given(st.lists(st.tuples(_URLS, st.lists(_HEADERS, max_size=3)), max_size=6), st.sampled_from(["latin-1", "utf-8"]))
def test_any_bytes_leave_a_header_that_can_be_sent(steps: list[tuple[Url, list[bytes]]], encoding: str) -> None:
    jar = Jar(Clock())
    for at, headers in steps:
        jar.store(at, [header.decode(encoding, "replace") for header in headers])
        header = jar.header(at)
        if header is not None:
            assert all(0x20 <= octet < 0x7F for octet in header.encode("ascii"))
            assert "=" in header
    assert len(jar.names()) <= MAX_COOKIES


@given(st.text(max_size=60))
def test_any_text_is_a_date_or_none(text: str) -> None:
    assert parse_date(text) is None or isinstance(parse_date(text), float)
