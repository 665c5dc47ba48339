from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.model import (
    Check,
    Hop,
    Link,
    Lock,
    Modem,
    ModemState,
    Outcome,
    Path,
    PhoneNumber,
    Registration,
    Sim,
)
from phonecheck.redact import Identity


@pytest.mark.parametrize("text", ["+447700900123", "447700900123", "+6834000", "+123456789012345"])
def test_reads_e164(text):
    assert PhoneNumber.parse(text).digits == text.lstrip("+")


@pytest.mark.parametrize(
    "text",
    ["", "+", "07700900123", "+0447700900123", "123456", "1234567890123456", "+44 7700 900123", "447700900123\n",
     "++447700900123", "٤٤٧٧٠٠٩٠٠١٢٣", "447700900123x", "tel:+447700900123"],
)  # fmt: skip
def test_refuses_what_is_no_e164_and_does_not_repeat_it(text):
    with pytest.raises(ValueError, match=r"E\.164") as caught:
        PhoneNumber.parse(text)
    assert len(text) < 2 or text not in str(caught.value)


@given(st.text())
def test_reads_only_ascii_digits(text):
    try:
        digits = PhoneNumber.parse(text).digits
    except ValueError:
        return
    assert digits.isascii()
    assert digits.isdigit()
    assert 7 <= len(digits) <= 15


def test_a_number_shows_its_last_four_only():
    number = PhoneNumber.parse("+447700900123")
    assert (str(number), repr(number)) == ("…0123", "PhoneNumber('…0123')")
    assert number == PhoneNumber.parse("447700900123")


@given(st.integers(-(2**31), 2**32))
def test_an_open_enum_takes_every_value(value):
    state = ModemState(value)
    assert state == value
    assert state.word == state.word.lower()
    assert ModemState(value) == state
    assert hash(ModemState(value)) == hash(state)


def test_an_open_enum_takes_numbers_only():
    for value in ("connected", None, 1.5):
        with pytest.raises(ValueError, match="not a valid"):
            ModemState(value)


@pytest.mark.parametrize(
    ("state", "word"), [(ModemState.CONNECTED, "connected"), (Lock.PH_NET_PIN, "ph-net-pin"), (Lock(99), "unknown-99")]
)
def test_words_are_mmclis(state, word):
    assert state.word == word


@pytest.mark.parametrize(
    ("registration", "registered"),
    [
        (Registration.HOME, True),
        (Registration.ROAMING, True),
        (Registration.HOME_CSFB_NOT_PREFERRED, True),
        (Registration.HOME_SMS_ONLY, False),
        (Registration.ROAMING_SMS_ONLY, False),
        (Registration.EMERGENCY_ONLY, False),
        (Registration.ATTACHED_RLOS, False),
        (Registration.DENIED, False),
        (Registration(99), False),
    ],
)
def test_registered_is_where_data_is_served(registration, registered):
    assert registration.registered is registered


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"sim": Sim("/s", iccid=Identity("8944001012345678909"))}, "iccid:…8909"),
        ({"sim": Sim("/s"), "imei": Identity("867223029999992")}, "imei:…9992"),
        ({"device": "/sys/devices/usb1"}, "/sys/devices/usb1"),
    ],
)
def test_a_modems_id_is_the_most_lasting_one_and_redacted(facts, shown):
    assert Modem("/m", **facts).id == shown


def test_a_links_families_are_its_addresses():
    v4, v6 = IPv4Interface("10.64.0.2/30"), IPv6Interface("2001:db8::2/64")
    assert Link("wwan0", (v6, v4)).families == (4, 6)
    assert Link("wwan0", (v6,)).families == (6,)
    assert Link("wwan0").families == ()


def test_a_paths_family_is_its_peers():
    assert Path("wwan0", IPv4Address("10.64.0.2"), IPv4Address("203.0.113.1"), 443).family == 4


def test_what_is_spent_by_reading_it_is_not_printed():
    url = "https://platform.example/c/1?secret"
    assert url not in repr(Check("c1", url, 60))
    assert url not in repr(Hop(1, url))


@pytest.mark.parametrize(
    ("word", "match"), [("match", True), ("no_match", False), ("inconclusive", None), ("opened", None)]
)
def test_only_a_match_is_one(word, match):
    assert Outcome(word).match is match


def test_facts_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Modem("/m").path = "/other"
