from __future__ import annotations

import contextlib
import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck import config
from phonecheck.config import Service, Settings
from phonecheck.errors import ConfigError

WHOLE = """
[server]
url = "https://app.customer.example/api/"
protocol = "v0.1"
create = "/create"
finish = "/finish"
report = "/report"
redirect_url = "https://app.customer.example/done"
ca_file = "/etc/ssl/own.pem"
client_cert = "/etc/phonecheck/cert.pem"
client_key = "/etc/phonecheck/key.pem"
token_file = "/etc/phonecheck/token"
over = "modem"
[phone]
number = "+447700900123"
[modem]
id = "imei:867223029999992"
[link]
interface = "usb0"
dns = ["10.64.0.53", "2001:db8::53"]
family = "4"
[chain]
cleartext = "refuse"
max_redirects = 3
hop_timeout = 2
timeout = 12.5
[service]
on_start = false
on_sim_change = false
every = "12 h"
jitter = 600
start_jitter = "2.5min"
hooks = "/usr/local/lib/phonecheck"
history = 50
outbox_size = 20
outbox_age = "3d"
"""


def load(tmp_path: Path, content: str | bytes) -> Settings:
    file = tmp_path / "agent.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return config.load(file)


def failure(tmp_path: Path, content: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, content)
    assert caught.value.code == "bad-setting"
    return caught.value


def test_an_empty_file_is_all_defaults(tmp_path):
    assert load(tmp_path, "") == Settings()


def test_every_setting(tmp_path):
    settings = load(tmp_path, WHOLE)
    assert settings.server.url == "https://app.customer.example/api/"
    assert (settings.server.protocol, settings.server.over) == ("v0.1", "modem")
    assert (settings.server.create, settings.server.finish) == ("/create", "/finish")
    assert settings.server.token_file == Path("/etc/phonecheck/token")
    assert settings.server.ca_file == Path("/etc/ssl/own.pem")
    assert settings.phone.number == "+447700900123"
    assert settings.modem.id == "imei:867223029999992"
    assert settings.link.interface == "usb0"
    assert settings.link.dns == (IPv4Address("10.64.0.53"), IPv6Address("2001:db8::53"))
    assert settings.link.family == "4"
    assert settings.chain.cleartext == "refuse"
    assert (settings.chain.max_redirects, settings.chain.hop_timeout, settings.chain.timeout) == (3, 2.0, 12.5)
    assert settings.server.report == "/report"
    assert settings.service == Service(
        on_start=False,
        on_sim_change=False,
        every=43200.0,
        jitter=600.0,
        start_jitter=150.0,
        hooks=Path("/usr/local/lib/phonecheck"),
        history=50,
        outbox_size=20,
        outbox_age=259200.0,
    )


@pytest.mark.parametrize("value", ["0", "86400", "1.5", '"90 s"', '"15 min"', '"24h"', '"365 d"'])
def test_a_time_of_the_service(tmp_path, value):
    assert load(tmp_path, f"[service]\nevery = {value}").service.every >= 0


@pytest.mark.parametrize(
    "value", ["-1", "nan", "inf", "true", '"24"', '"1 w"', '"h"', '"367 d"', '"1e3 s"', '""', "[1]"]
)
def test_a_time_that_is_none(tmp_path, value):
    error = failure(tmp_path, f"[service]\nevery = {value}")
    assert error.message == (
        'service.every must be a number of seconds from 0, at most 366 days, or a text such as "24 h".'
    )


@pytest.mark.parametrize(("key", "value"), [("history", "0"), ("outbox_size", "10001"), ("outbox_age", "0")])
def test_bounds_of_what_the_service_remembers(tmp_path, key, value):
    assert f"service.{key} must be" in failure(tmp_path, f"[service]\n{key} = {value}").message


def test_one_server_needs_no_list(tmp_path):
    assert load(tmp_path, '[link]\ndns = "10.64.0.53"').link.dns == (IPv4Address("10.64.0.53"),)


MODEM = ("id", "connect", "apn", "ip_type", "roaming", "keep", "pin_file", "wait")


@pytest.mark.skipif(config.DEFAULT_FILE.exists(), reason=f"this machine has a {config.DEFAULT_FILE}")
def test_the_default_file_may_be_missing():
    assert config.load(None) == Settings()


def test_a_named_file_may_not_be_missing(tmp_path):
    with pytest.raises(ConfigError, match="does not exist") as caught:
        config.load(tmp_path / "none.toml")
    assert "--config" in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "agent.toml").touch(mode=0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        config.load(tmp_path / "agent.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[server", ""),
        ("[server]\nurl = https://x", "line 2"),
        (b"[server]\nurl = '\xff'", "not UTF-8"),
        ("x = " + "9" * 5000, "too large"),
        ("x = " + "[" * 5000, ""),
    ],
)
def test_a_file_that_is_no_toml(tmp_path, content, words):
    message = failure(tmp_path, content).message
    assert "is not TOML" in message
    assert words in message


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("[sever]", "Unknown section [sever].", "Did you mean server?"),
        ("[server]\nurll = 'x'", "Unknown setting server.urll.", "Did you mean server.url?"),
        ("[chain]\nhoptimeout = 3", "Unknown setting chain.hoptimeout.", "Did you mean chain.hop_timeout?"),
        (
            "[modem]\nzzz = 3",
            "Unknown setting modem.zzz.",
            "Known here: " + ", ".join(f"modem.{name}" for name in MODEM) + ".",
        ),
        ("server = 'https://x'", "server must be a section: [server].", None),
        ("url = 'https://x'", "Unknown section [url].", None),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_right_one(tmp_path, content, message, hint):
    error = failure(tmp_path, content)
    assert error.message == message
    assert hint is None or error.hint == hint


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("server", "url = 3"),
        ("server", "url = ''"),
        ("server", "protocol = 'v0.3'"),
        ("server", "over = 'wifi'"),
        ("server", "create = 'no-slash'"),
        ("server", "client_cert = '/only/one'"),
        ("server", "redirect_url = 'http://app.example/'"),
        ("server", "redirect_url = 'https://['"),
        ("server", "redirect_url = 'https:/path'"),
        ("server", "token_file = true"),
        ("phone", "number = '07700900123'"),
        ("phone", "number = 447700900123"),
        ("link", "dns = ['one.one.one.one']"),
        ("link", "dns = [1, 2]"),
        ("link", "dns = 5"),
        ("link", "dns = {a = 1}"),
        ("link", "family = 4"),
        ("chain", "max_redirects = 2.5"),
        ("chain", "max_redirects = -1"),
        ("chain", "max_redirects = 51"),
        ("chain", "max_redirects = true"),
        ("chain", "hop_timeout = 0"),
        ("chain", "hop_timeout = nan"),
        ("chain", "hop_timeout = inf"),
        ("chain", "hop_timeout = '5'"),
        ("chain", "timeout = 3601"),
        ("chain", "timeout = true"),
        ("chain", "timeout = 1979-05-27"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(tmp_path, section, line):
    message = failure(tmp_path, f"[{section}]\n{line}").message
    assert line.split(" =")[0].removesuffix("_cert") in message or "server's URL" in message


def test_a_wrong_number_is_not_repeated(tmp_path):
    assert "7700900123" not in failure(tmp_path, "[phone]\nnumber = '07700900123'").message


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://app.example", "https://app.example"),
        ("https://app.example:8443/api/", "https://app.example:8443/api"),
        ("HTTPS://app.example/", "HTTPS://app.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_servers_url(url, base):
    assert config.server_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "app.example",
        "//app.example",
        "ftp://app.example",
        "https://",
        "https:///path",
        "http://app.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "https://user@app.example",
        "https://user:secret@app.example",
        "https://@app.example",
        "https://app.example/?x=1",
        "https://app.example/?",
        "https://app.example/#f",
        "https://app.example/#",
        "https://app.example:99999",
        "https://app.example:port",
        "https://[::1",
        "https://app.example\n.evil.example",
        "https://app.exa\tmple",
        "https://app.example\\@evil.example",
        "https://app .example",
    ],
)
def test_what_is_no_servers_url(url):
    with pytest.raises(ConfigError) as caught:
        config.server_url(url)
    assert caught.value.code == "bad-setting"
    assert "secret" not in caught.value.message


@given(st.text() | st.from_regex(r"https?://.*", fullmatch=True))
def test_no_text_at_all_gets_past_as_another_error(url):
    try:
        base = config.server_url(url)
    except ConfigError:
        return
    assert base.isprintable()
    assert not set(base) & set(" ?#\\")


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["url", "protocol", "redirect_url", "number", "id", "dns", "family", "timeout", "max_redirects"])


@given(
    st.dictionaries(
        st.sampled_from(["server", "phone", "modem", "link", "chain"]) | st.text(max_size=6),
        st.dictionaries(KEYS | st.text(max_size=6), toml_values, max_size=4) | toml_values,
        max_size=4,
    )
)
def test_any_document_is_settings_or_a_wrong_setting(table):
    with contextlib.suppress(ConfigError):
        assert isinstance(config.parse(table), Settings)


def test_a_file_without_an_end_is_not_read_to_it():
    with pytest.raises(ConfigError, match="larger than"):
        config.load(Path("/dev/zero"))
