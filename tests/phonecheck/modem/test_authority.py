from __future__ import annotations

import pytest

from phonecheck.errors import ModemError
from phonecheck.modem import authority, names

QUESTION = ("CheckAuthorization", "/org/freedesktop/PolicyKit1/Authority")
VERSION = ("GetAll", names.ROOT)

pytestmark = pytest.mark.dbus


def answer(allowed, challenge=False):
    return ("(bba{ss})", ((allowed, challenge, {}),))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (answer(True), "allowed"),
        (answer(False), "denied"),
        (answer(False, True), "password"),
        ({"org.freedesktop.PolicyKit1.Error.Failed": "Action is not registered"}, "untold"),
        ({"org.freedesktop.PolicyKit1.Error.NotAuthorized": "Only trusted callers"}, "untold"),
        (("s", ("yes",)), "untold"),
        ("hang up", "absent"),
        ("silence", "untold"),
    ],
    ids=["yes", "no", "challenge", "unknown", "not-us", "another-kind", "leaves", "hangs"],
)
def test_polkits_word(peer, modem_bus, reply, verdict):
    asked = peer({QUESTION: reply}, names.POLKIT)
    seconds = 0.3 if reply == "silence" else 5.0
    assert authority.verdict(modem_bus, authority.CONTROL, seconds) == verdict
    (kind, details), action, more, flags, cancel = asked.bodies[0]
    # By the name on the bus, as ModemManager itself asks; and nobody is to be asked for a password.
    assert (kind, details["name"]) == ("system-bus-name", ("s", modem_bus.own_name(1)))
    assert (action, more, flags, cancel) == ("org.freedesktop.ModemManager1.Device.Control", {}, 0, "")


def test_no_polkit(modem_bus):
    assert authority.verdict(modem_bus, authority.CONTROL, 5.0) == "absent"


def test_no_bus(bus, modem_bus):
    bus.stop()
    with pytest.raises(ModemError, match="The system bus cannot be reached"):
        authority.verdict(modem_bus, authority.CONTROL, 5.0)
    bus.start()
