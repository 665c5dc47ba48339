from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_server.devices import Devices

TOKEN = "a-token-of-some-length"


def test_a_device_is_known_by_its_token() -> None:
    devices = Devices.parse(f"# the fleet\n\nmeter-1 {TOKEN}\nmeter-2\tanother-token-of-length\n")
    assert devices.named_by(f"Bearer {TOKEN}") == "meter-1"
    assert devices.named_by("bearer another-token-of-length") == "meter-2"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer \xe9\udcff"]
)
def test_anything_else_is_nobody(header: str | None) -> None:
    assert Devices({TOKEN: "meter-1"}).named_by(header) is None


def test_a_device_may_have_two_tokens_while_one_takes_over() -> None:
    devices = Devices.parse(f"meter {TOKEN}\nmeter {TOKEN}-new")
    assert devices.named_by(f"Bearer {TOKEN}") == devices.named_by(f"Bearer {TOKEN}-new") == "meter"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no device"),
        ("# nobody", "no device"),
        ("meter", "line 1 is not NAME TOKEN"),
        (f"meter {TOKEN} extra", "line 1 is not NAME TOKEN"),
        ("meter short", "line 1 is shorter"),
        (f"a {TOKEN}\nb {TOKEN}", "line 2 is another device's"),
    ],
)
def test_a_bad_list_is_refused_by_line_without_quoting_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Devices.parse(text)
    assert TOKEN not in str(caught.value)
    assert "short " not in str(caught.value)


@given(st.text())
def test_no_header_breaks_the_look_up(header: str) -> None:
    assert Devices({TOKEN: "meter"}).named_by("Bearer " + header) in (None, "meter")
