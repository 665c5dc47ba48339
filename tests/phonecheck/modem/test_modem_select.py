from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import ConfigError, ModemError
from phonecheck.model import Modem, Sim
from phonecheck.modem.select import select
from phonecheck.redact import Identity

FIRST = Modem(
    path="/org/freedesktop/ModemManager1/Modem/0",
    device="/sys/devices/usb1/1-1",
    imei=Identity("867223029999992"),
    sim=Sim("/org/freedesktop/ModemManager1/SIM/0", iccid=Identity("8944001012345678909")),
)
SECOND = Modem(
    path="/org/freedesktop/ModemManager1/Modem/3",
    device="qcom-soc",
    imei=Identity("867223021111118"),
    sim=Sim("/org/freedesktop/ModemManager1/SIM/1", iccid=Identity("89440010198765432AF")),
)
BOTH = (FIRST, SECOND)


def test_the_only_modem_needs_no_choice():
    assert select([FIRST], None) is FIRST


@pytest.mark.parametrize(
    ("wanted", "modem"),
    [
        ("iccid:8944001012345678909", FIRST),
        ("ICCID:8944001012345678909F", FIRST),
        ("iccid:89440010198765432af", SECOND),
        ("imei:867223021111118", SECOND),
        ("/sys/devices/usb1/1-1", FIRST),
        ("/org/freedesktop/ModemManager1/Modem/3", SECOND),
        ("qcom-soc", SECOND),
    ],
)
def test_chooses_by_what_stays_the_same(wanted, modem):
    assert select(BOTH, wanted) is modem


@pytest.mark.parametrize("wanted", [None, "imei:867223029999992"])
def test_no_modem_at_all(wanted):
    with pytest.raises(ModemError) as caught:
        select([], wanted)
    assert caught.value.code == "modem-not-found"


@pytest.mark.parametrize("wanted", ["imei:867223020000000", "iccid:8944001010000000000", "/sys/devices/usb9"])
def test_a_modem_that_is_not_there(wanted):
    with pytest.raises(ModemError) as caught:
        select(BOTH, wanted)
    assert caught.value.code == "modem-not-found"
    assert "phonecheck modem list" in caught.value.hint


def test_several_without_a_choice_are_named_without_their_identities():
    with pytest.raises(ModemError) as caught:
        select(BOTH, None)
    assert caught.value.code == "ambiguous-modem"
    assert "iccid:…8909 at /sys/devices/usb1/1-1" in caught.value.message
    assert "iccid:…32AF at qcom-soc" in caught.value.message
    assert "8944001012345678909" not in caught.value.message


def test_two_modems_with_one_imei_are_one_too_many():
    with pytest.raises(ModemError) as caught:
        select([FIRST, FIRST], "imei:867223029999992")
    assert caught.value.code == "ambiguous-modem"


@pytest.mark.parametrize(
    "wanted",
    [
        "0",
        "٣",
        "foo",
        "",
        "iccid:",
        "iccid:…8909",
        "imei:9992",
        "imei:86722302999999 2",
        "msisdn:447700900123",
        "Modem/0",
    ],
)
@pytest.mark.parametrize("modems", [(), BOTH])
def test_what_is_no_identity_and_no_path_is_a_wrong_setting(modems, wanted):
    with pytest.raises(ConfigError) as caught:
        select(modems, wanted)
    assert caught.value.code == "bad-setting"


def test_an_index_is_refused_even_where_a_device_is_called_so():
    with pytest.raises(ConfigError, match="index"):
        select([Modem(path="/x", device="0")], "0")


def test_modems_without_identities_are_never_chosen_by_one():
    with pytest.raises(ConfigError):
        select([Modem(path="/x")], "iccid:")
    with pytest.raises(ConfigError):
        select([Modem(path="/x")], "")
    blank = Modem(path="/x", sim=Sim("/s", iccid=Identity("FFFFFFFFFFFFFFFFFFFF")))
    with pytest.raises(ConfigError):
        select([blank], "iccid:")


@given(st.text(max_size=30) | st.from_regex(r"\A(iccid|imei):[0-9a-fA-F]{0,20}\Z"))
def test_no_text_chooses_a_modem_that_it_does_not_name(wanted):
    try:
        chosen = select(BOTH, wanted)
    except (ModemError, ConfigError):
        return
    named = {chosen.device, chosen.path, f"iccid:{chosen.sim.iccid.value}", f"imei:{chosen.imei.value}"}
    assert wanted.upper().rstrip("F") in {name.upper().rstrip("F") for name in named}
