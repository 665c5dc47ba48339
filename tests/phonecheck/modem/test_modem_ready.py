from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest

from phonecheck.errors import AgentError
from phonecheck.model import (
    Bearer,
    FailedReason,
    IpConfig,
    IpMethod,
    Link,
    Lock,
    Modem,
    ModemState,
    Registration,
    Sim,
)
from phonecheck.modem.ready import link_of, over_ppp

V4 = IpConfig(
    IpMethod.STATIC,
    IPv4Interface("10.64.0.2/30"),
    IPv4Address("10.64.0.1"),
    (IPv4Address("10.64.0.53"), IPv4Address("10.64.1.53")),
    1430,
)
V6 = IpConfig(
    IpMethod.STATIC,
    IPv6Interface("2001:db8::2/64"),
    IPv6Address("fe80::1"),
    (IPv6Address("2001:db8::53"),),
    1400,
)
DHCP = IpConfig(IpMethod.DHCP)


def bearer(number: int = 0, **facts: object) -> Bearer:
    up = Bearer(f"/org/freedesktop/ModemManager1/Bearer/{number}", interface="wwan0", connected=True, ip4=V4)
    return replace(up, **facts)


def modem(*bearers: Bearer, **facts: object) -> Modem:
    up = Modem(
        path="/org/freedesktop/ModemManager1/Modem/0",
        state=ModemState.CONNECTED,
        lock=Lock.NONE,
        registration=Registration.HOME,
        sim=Sim("/org/freedesktop/ModemManager1/SIM/4"),
        bearers=bearers,
    )
    return replace(up, **facts)


OLD = bearer(1, connected=False, interface="", ip4=None, connection_error="Missing or unknown APN")


def failure(modem: Modem, **options: object) -> AgentError:
    with pytest.raises(AgentError) as caught:
        link_of(modem, **options)
    return caught.value


def test_the_link_of_a_connected_bearer():
    assert link_of(modem(bearer())) == Link(
        "wwan0",
        (IPv4Interface("10.64.0.2/30"),),
        (IPv4Address("10.64.0.1"),),
        (IPv4Address("10.64.0.53"), IPv4Address("10.64.1.53")),
        1430,
    )


@pytest.mark.parametrize(("family", "families", "mtu"), [("auto", (4, 6), 1400), ("4", (4,), 1430), ("6", (6,), 1400)])
def test_both_families_or_the_one_that_is_wanted(family, families, mtu):
    link = link_of(modem(bearer(ip6=V6)), family=family)
    assert link.families == families
    assert {server.version for server in link.dns} == set(families)
    assert {gateway.version for gateway in link.gateways} == set(families)
    assert link.mtu == mtu


def test_servers_that_were_named_replace_the_bearers():
    named = (IPv4Address("192.0.2.53"),)
    assert link_of(modem(bearer()), named).dns == named
    assert link_of(modem(bearer(ip4=DHCP)), named).dns == named


def test_addresses_of_dhcp_are_left_to_the_kernel():
    link = link_of(modem(bearer(ip4=replace(DHCP, dns=V4.dns))))
    assert (link.interface, link.addresses, link.dns) == ("wwan0", (), V4.dns)


def test_the_name_servers_of_dhcp_may_come_with_the_lease():
    link = link_of(modem(bearer(ip4=DHCP)))
    assert (link.interface, link.addresses, link.dns) == ("wwan0", (), ())


def test_a_link_local_address_is_none_that_an_exchange_may_leave_from():
    link = link_of(modem(bearer(ip4=None, ip6=replace(V6, address=IPv6Interface("fe80::2/64")))))
    assert link.addresses == ()


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        (FailedReason.SIM_MISSING, "sim-missing", "no SIM"),
        (FailedReason.SIM_ERROR, "sim-missing", "cannot read"),
        (FailedReason.ESIM_WITHOUT_PROFILES, "sim-missing", "profile"),
        (FailedReason.UNKNOWN_CAPABILITIES, "not-connected", "unknown-capabilities"),
        (FailedReason(77), "not-connected", "unknown-77"),
    ],
)
def test_a_failed_modem_carries_nothing_whatever_its_bearers_say(reason, code, words):
    error = failure(modem(bearer(), state=ModemState.FAILED, failed_reason=reason))
    assert error.code == code
    assert words in error.message


@pytest.mark.parametrize(
    ("lock", "code", "words"),
    [
        (Lock.SIM_PIN, "sim-locked", "its PIN, with 1 try left"),
        (Lock.SIM_PUK, "puk-required", "its PUK, with 10 tries left"),
        (Lock.PH_NET_PIN, "sim-locked", "ph-net-pin"),
        (Lock.PH_NET_PUK, "puk-required", "ph-net-puk"),
        (Lock.UNKNOWN, "sim-locked", "does not know"),
        (Lock(88), "sim-locked", "unknown-88"),
    ],
)
def test_a_locked_modem(lock, code, words):
    locked = modem(state=ModemState.LOCKED, lock=lock, retries=((Lock.SIM_PIN, 1), (Lock.SIM_PUK, 10)))
    error = failure(locked)
    assert error.code == code
    assert words in error.message


def test_the_hint_of_a_lock_names_the_way_that_shows_the_pin_to_nobody():
    hint = failure(modem(state=ModemState.LOCKED, lock=Lock.SIM_PIN)).hint
    assert "phonecheck modem unlock" in hint
    assert "--pin" not in hint


def test_the_hint_of_a_blocked_sim_names_it():
    hint = failure(modem(state=ModemState.LOCKED, lock=Lock.SIM_PUK)).hint
    assert "mmcli -i /org/freedesktop/ModemManager1/SIM/4 --puk=" in hint


def test_pin2_is_no_lock():
    assert link_of(modem(bearer(), lock=Lock.SIM_PIN2)).interface == "wwan0"


@pytest.mark.parametrize("state", [ModemState.DISABLED, ModemState.SEARCHING, ModemState.REGISTERED])
def test_a_modem_without_a_sim(state):
    assert failure(modem(state=state, sim=None)).code == "sim-missing"


def test_a_modem_that_is_still_being_probed_may_yet_have_a_sim():
    error = failure(modem(state=ModemState.INITIALIZING, sim=None, registration=Registration.UNKNOWN))
    assert error.code == "not-registered"


@pytest.mark.parametrize(
    ("state", "registration", "code", "words"),
    [
        (ModemState.DISABLED, Registration.UNKNOWN, "not-connected", "disabled"),
        (ModemState.ENABLING, Registration.UNKNOWN, "not-registered", "enabling, its registration unknown"),
        (ModemState.ENABLED, Registration.IDLE, "not-registered", "enabled, its registration idle"),
        (ModemState.ENABLED, Registration.DENIED, "not-registered", "network refuses the modem: it is enabled"),
        (ModemState.SEARCHING, Registration.SEARCHING, "not-registered", "is searching."),
        (ModemState.REGISTERED, Registration.EMERGENCY_ONLY, "not-registered", "emergency-only"),
        (ModemState.REGISTERED, Registration.HOME_SMS_ONLY, "not-registered", "home-sms-only"),
        (ModemState.REGISTERED, Registration.HOME, "not-connected", "no bearer is connected"),
        (ModemState.REGISTERED, Registration.ROAMING, "not-connected", "roaming"),
        (ModemState.REGISTERED, Registration.UNKNOWN, "not-connected", "no bearer is connected"),
        (ModemState.CONNECTING, Registration.HOME, "not-connected", "connecting"),
        (ModemState.CONNECTED, Registration.HOME, "not-connected", "no bearer is connected"),
        (ModemState(42), Registration(42), "not-registered", "unknown-42"),
    ],
)
def test_what_is_missing_is_said_in_words(state, registration, code, words):
    error = failure(modem(state=state, registration=registration))
    assert error.code == code
    assert words in error.message


def test_the_last_error_of_the_newest_bearer_is_told():
    older = bearer(0, connected=False, connection_error="Something else")
    newer = replace(OLD, path=OLD.path.replace("/1", "/10"))
    error = failure(modem(newer, older, state=ModemState.REGISTERED))
    assert error.code == "not-connected"
    assert error.message.endswith("Its last error: Missing or unknown APN.")


def test_an_error_from_before_a_success_hinders_nothing():
    assert link_of(modem(bearer(connection_error="Missing or unknown APN"))).interface == "wwan0"


def test_of_many_bearers_the_oldest_that_is_up_and_of_the_default_type():
    bearers = (
        OLD,
        bearer(12, interface="wwan2"),
        bearer(9, interface="wwan1"),
        bearer(2, interface="wwan5", suspended=True),
        bearer(3, interface="wwan6", default=False),
        bearer(4, interface=""),
    )
    assert link_of(modem(*bearers)).interface == "wwan1"


def test_a_bearer_of_the_wanted_family_comes_before_an_older_one():
    bearers = (bearer(1), bearer(2, interface="wwan1", ip4=None, ip6=V6))
    assert link_of(modem(*bearers), family="6").interface == "wwan1"
    assert link_of(modem(*bearers)).interface == "wwan0"


@pytest.mark.parametrize(("fact", "words"), [({"suspended": True}, "suspended"), ({"interface": ""}, "no network")])
def test_a_bearer_that_is_connected_and_of_no_use(fact, words):
    error = failure(modem(bearer(**fact)))
    assert error.code == "not-connected"
    assert words in error.message


@pytest.mark.parametrize(
    ("configs", "family"),
    [
        ({"ip4": None}, "auto"),
        ({"ip4": replace(V4, address=None)}, "auto"),
        ({"ip4": V4}, "6"),
        ({"ip4": None, "ip6": V6}, "4"),
        ({"ip4": replace(V4, dns=())}, "auto"),
    ],
)
def test_connected_without_addresses_or_name_servers(configs, family):
    assert failure(modem(bearer(**configs)), family=family).code == "no-ip-config"


def test_name_servers_do_not_make_up_for_a_missing_family():
    error = failure(modem(bearer()), dns_override=(IPv6Address("2001:db8::53"),), family="6")
    assert (error.code, "IPv6" in error.message) == ("no-ip-config", True)


def test_ppp_runs_over_a_serial_port_and_its_interface_is_to_be_named():
    error = failure(modem(bearer(interface="ttyUSB2", ip4=IpConfig(IpMethod.PPP))))
    assert error.code == "not-connected"
    assert "ttyUSB2" in error.message
    assert "--interface ppp0" in error.hint
    assert "NetworkManager" in error.hint


def test_ppp_is_used_where_its_interface_is_known():
    dialled = modem(bearer(interface="ttyUSB2", ip4=IpConfig(IpMethod.PPP)))
    assert over_ppp(dialled)
    assert link_of(dialled, ppp_interface="ppp0") == Link("ppp0")
    assert not over_ppp(modem(bearer()))
    assert not over_ppp(modem())
    assert link_of(modem(bearer()), ppp_interface="ppp0").interface == "wwan0"
