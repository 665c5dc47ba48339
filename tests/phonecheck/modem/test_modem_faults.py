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
        (MM + "Core.Retry", "modem-manager-unavailable", faults.Busy),
        (MM + "Core.InProgress", "modem-manager-unavailable", faults.Busy),
        (MM + "Core.Unsupported", "modem-manager-unavailable", ModemError),
        ("", "modem-manager-unavailable", ModemError),
    ],
)
def test_each_name_has_its_error(name, code, kind):
    error = faults.of_name(name, "said the other side")
    assert (error.code, type(error)) == (code, kind)


@pytest.mark.parametrize(
    ("name", "message", "code", "words"),
    [
        (MM + "MobileEquipment.MissingOrUnknownApn", "no", "connect-failed", "does not know the APN"),
        (MM + "MobileEquipment.Unknown", "Unknown error", "connect-failed", "with Unknown: Unknown error."),
        (MM + "Core.Timeout", "IMSI 001010123456789", "connect-failed", "with Timeout: IMSI …6789."),
        (MM + "Core.Unauthorized", "Modem is locked with 'sim-pin' code", "sim-locked", "its PIN"),
        (MM + "Core.Unauthorized", "PolicyKit authorization failed", "not-authorized", "this user"),
        (MM + "Core.Unauthorized", "Roaming is not allowed", "not-connected", "roaming"),
        (MM + "Core.Retry", "Too many", "modem-manager-unavailable", "busy"),
        (BUS + "NoReply", "gone", "modem-manager-unavailable", "stopped"),
    ],
)
def test_what_connecting_may_be_answered(name, message, code, words):
    error = faults.of_connect(name, message)
    assert (error.code, words in error.message) == (code, True), error.message


def test_a_name_that_only_ends_like_a_known_one_is_unknown():
    assert "refused, with AccessDenied" in faults.of_name("org.example.Error.AccessDenied", "no").message


@given(st.text(), st.text() | st.just("IMSI 001010123456789"))
def test_what_others_say_is_cut_and_fit_for_a_terminal(name, message):
    error = faults.of_name(name, message)
    assert error.message.isprintable()
    assert "001010123456789" not in error.message
