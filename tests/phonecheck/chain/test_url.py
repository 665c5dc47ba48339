"""RFC 3986 §5, the refusals, and hostile Locations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.chain.url import MAX_LENGTH, Url, next_hop, parse_check_url, parse_redirect_url
from phonecheck.errors import CheckError, ConfigError

BASE = parse_check_url("https://a.example/b/c/d;p?q")


def hop(location: str | bytes, base: Url = BASE) -> str:
    return next_hop(base, location.encode() if isinstance(location, str) else location).text


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        # RFC 3986 §5.4.1 and §5.4.2, without those that are not http
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        ("g;x?y#s", "/b/c/g;x?y"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("../../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        (".g", "/b/c/.g"),
        ("g..", "/b/c/g.."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("g#s/../x", "/b/c/g"),
    ],
)
def test_the_examples_of_the_rfc(reference: str, expected: str) -> None:
    assert hop(reference) == "https://a.example" + expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://H.Example", "https://h.example/"),
        ("HTTPS://h.example:443/x", "https://h.example/x"),
        ("http://h.example:/x", "http://h.example/x"),
        ("http://h.example:0080/x", "http://h.example/x"),
        ("http://h.example:8080?x", "http://h.example:8080/?x"),
        ("//h.example/x", "https://h.example/x"),
        ("https://h.example./x", "https://h.example/x"),
        ("https://[2001:DB8:0:0::1]:8443/", "https://[2001:db8::1]:8443/"),
        ("https://10.65.0.11/", "https://10.65.0.11/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://faß.example/", "https://xn--fa-hia.example/"),
        ("https://under_score.example/", "https://under_score.example/"),
        ("  /x y?a b\t", "https://a.example/x%20y?a%20b"),
        ("/a%2fb%2F%zz%4", "https://a.example/a%2fb%2F%25zz%254"),
        ('/<>"^`{|}[]\\?<>[]', "https://a.example/%3C%3E%22%5E%60%7B%7C%7D%5B%5D%5C?%3C%3E%5B%5D"),
        ("/é", "https://a.example/%C3%A9"),
        (b"/\xe9\xff", "https://a.example/%E9%FF"),
        ("?", "https://a.example/b/c/d;p?"),
        ("/x?", "https://a.example/x?"),
        ("/x??a?b", "https://a.example/x??a?b"),
        ("//h.example//x", "https://h.example//x"),
        ("/.//x", "https://a.example//x"),
        ("\\\\evil.example/x", "https://a.example/b/c/%5C%5Cevil.example/x"),
        ("/\\evil.example", "https://a.example/%5Cevil.example"),
        ("1:2", "https://a.example/b/c/1:2"),
    ],
)
def test_locations_as_they_come(location: str | bytes, expected: str) -> None:
    assert hop(location) == expected


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("", "empty"),
        (" \t ", "empty"),
        ("ftp://h.example/", "is ftp:"),
        ("javascript:alert(1)", "is javascript:"),
        ("tel:447700900123", "is tel:"),
        ("https:g", "no host"),
        ("https:/x", "no host"),
        ("https:///x", "no host"),
        ("//", "no host"),
        ("//:80/", "no host"),
        ("https:\\\\evil.example", "no host"),
        ("https://good.example\\evil.example/", "not a host name"),
        ("https://user@h.example/", "user name"),
        ("https://user:pass@h.example/", "user name"),
        ("https://@h.example/", "user name"),
        ("https://good.example\\@evil.example/", "user name"),
        ("https://h.example:0/", "port"),
        ("https://h.example:65536/", "port"),
        ("https://h.example:4x/", "port"),
        ("https://h.example:80:80/", "port"),
        ("https://h.example:+80/", "port"),
        ("https://[::1/", "IPv6"),
        ("https://[::1]x/", "IPv6"),
        ("https://[fe80::1%25eth0]/", "IPv6"),
        ("https://[v1.x]/", "IPv6"),
        ("https://[1.2.3.4]/", "IPv6"),
        ("https://127.1/", "IPv4"),
        ("https://0x7f000001/", "IPv4"),
        ("https://0177.0.0.1/", "IPv4"),
        ("https://2130706433/", "IPv4"),
        ("https://1.2.3.4.5/", "IPv4"),
        ("https://１２７.1/", "IPv4"),
        ("https://h..example/", "host name"),
        ("https://.h.example/", "host name"),
        ("https://h example/", "host name"),
        ("https://%68.example/", "host name"),
        ("https://" + "x" * 64 + ".example/", "host name"),
        ("https://" + "x." * 127 + "x/", "host name"),
        ("https://\u2488.example/", "host name"),
        (b"https://\xff.example/", "host name"),
        ("https://h.example/\r\nX: y", "control"),
        ("/\x00", "control"),
        ("/a\tb", "control"),
        ("/\x7f", "control"),
        ("/" + "x" * MAX_LENGTH, "longer"),
        ("/" + "<" * (MAX_LENGTH // 3), "longer"),
    ],
)
def test_refused_locations(location: str | bytes, reason: str) -> None:
    with pytest.raises(CheckError, match=reason) as caught:
        hop(location)
    assert caught.value.code == "hop-refused"
    assert "900123" not in caught.value.message


def test_message_names_the_hop_without_path_and_query() -> None:
    with pytest.raises(CheckError) as caught:
        hop("https://u:p@h.example/path?code=s3cret", parse_check_url("https://mno.example/secret?q"))
    assert caught.value.message == "The Location from mno.example holds a user name."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("/relative", "no scheme"),
        ("//h.example/", "no scheme"),
        ("h.example/x", "no scheme"),
        ("h.example:80", "neither"),
        ("http://h.example/", "http and must be https"),
        ("ftp://h.example/", "is ftp:"),
        ("https://", "no host"),
        ("https://u@h.example/", "user name"),
        ("https://h.example/\n", "control"),
        ("https://h.example/\ud800", "UTF-8"),
        (" https://h.example/", "no scheme"),
    ],
)
def test_bad_check_urls(text: str, reason: str) -> None:
    with pytest.raises(CheckError, match=reason) as caught:
        parse_check_url(text)
    assert caught.value.code == "bad-check-url"
    with pytest.raises(ConfigError, match=reason):
        parse_redirect_url(text)


def test_check_url_is_canonical() -> None:
    url = parse_check_url("https://API.Platform.example:443/checks/../x?y=1#z")
    assert url == Url("https", "api.platform.example", 443, "/x?y=1")
    assert (url.path, url.query, url.origin) == ("/x", "y=1", "https://api.platform.example")
    assert url.redacted == "https://api.platform.example/x?…"
    assert "y=1" not in repr(url)


def test_host_header() -> None:
    assert parse_check_url("https://[2001:db8::1]:8443/").host_header == "[2001:db8::1]:8443"
    assert next_hop(BASE, b"http://h.example:443/").host_header == "h.example:443"


_PIECES = st.sampled_from(
    [
        b"https://",
        b"http:",
        b"//",
        b"/",
        b"..",
        b".",
        b"?",
        b"#",
        b"@",
        b":",
        b"[::1]",
        b"[",
        b"]",
        b"%",
        b"%41",
        b"\\",
        b"h.example",
        b"\xc3\xbc",
        b"\xe3\x80\x82",
        b" ",
        b"\t",
        b"\n",
        b"\xff",
        b"127.1",
        b"8080",
        b"a=b",
        b"+",
    ]
)
_LOCATIONS = st.one_of(st.binary(max_size=50), st.lists(_PIECES, max_size=9).map(b"".join))


@given(_LOCATIONS)
def test_any_bytes_are_a_canonical_url_or_refused(location: bytes) -> None:
    try:
        url = next_hop(BASE, location)
    except CheckError as error:
        assert error.code == "hop-refused"  # noqa: PT017  either end is right
        return
    assert all(0x20 < octet < 0x7F for octet in url.text.encode("ascii"))
    assert url.scheme in ("http", "https")
    assert 0 < url.port < 65536
    assert next_hop(BASE, url.text.encode()) == url
    assert next_hop(url, url.text.encode()) == url


@given(st.one_of(st.text(max_size=40), st.text(max_size=40).map("https://h.example/".__add__)))
def test_any_text_is_a_check_url_or_refused(text: str) -> None:
    try:
        url = parse_check_url(text)
    except CheckError as error:
        assert error.code == "bad-check-url"  # noqa: PT017  either end is right
        return
    assert url.is_https
    assert parse_check_url(url.text) == url
