from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import BearerError, ModemError, SimError
from phonecheck.modem import faults

BUS, MM = "org.freedesktop.DBus.Error.", "org.freedesktop.ModemManager1.Error."


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        (BUS + "ServiceUnknown", "modem-manager-unavailable", faults.NotRunning),
        (BUS + "NameHasNoOwner", "modem-manager-unavailable", faults.NotRunning),
        (BUS + "NoReply", "modem-manager-unavailable", faults.NotRunning),
        (BUS + "Spawn.ChildExited", "modem-manager-unavailable", faults.NotRunning),
        ("org.freedesktop.systemd1.NoSuchUnit", "modem-manager-unavailable", faults.NotRunning),
        (BUS + "TimedOut", "modem-manager-unavailable", ModemError),
        (BUS + "AccessDenied", "not-authorized", ModemError),
        (MM + "Core.Unauthorized", "not-authorized", ModemError),
        (BUS + "UnknownObject", "modem-not-found", ModemError),
        (BUS + "UnknownMethod", "modem-not-found", ModemError),
        (MM + "MobileEquipment.IncorrectPassword", "pin-refused", SimError),
        (MM + "MobileEquipment.SimPuk", "puk-required", SimError),
        (MM + "MobileEquipment.SimPin", "sim-locked", SimError),
        (MM + "MobileEquipment.SimNotInserted", "sim-missing", SimError),
        (MM + "MobileEquipment.MissingOrUnknownApn", "connect-failed", BearerError),
        (MM + "Core.Retry", "modem-manager-unavailable", ModemError),
        ("", "modem-manager-unavailable", ModemError),
    ],
)
def test_each_name_has_its_error(name, code, kind):
    error = faults.of_name(name, "said the other side")
    assert (error.code, type(error)) == (code, kind)


def test_a_name_that_only_ends_like_a_known_one_is_unknown():
    assert "refused, with AccessDenied" in faults.of_name("org.example.Error.AccessDenied", "no").message


@given(st.text(), st.text() | st.just("IMSI 001010123456789"))
def test_what_others_say_is_cut_and_fit_for_a_terminal(name, message):
    error = faults.of_name(name, message)
    assert error.message.isprintable()
    assert "001010123456789" not in error.message
