"""Each scenario of the modem brings about, in the real ModemManager, what its line says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from phonecheck_sandbox import world
from phonecheck_sandbox.scenarios import SCENARIOS

_SHOWN_SECONDS = 10.0
CONNECT = "--simple-connect=apn=internet"


def mmcli(device: Any, *words: str) -> Any:
    return json.loads(device.run("mmcli", *words, "--output-json").stdout)


def look(device: Any) -> dict[str, Any]:
    """What a client of ModemManager sees: of its only modem, and of the bearers that are connected."""
    modem = mmcli(device, "-m", "any")["modem"]
    generic, network = modem["generic"], modem["3gpp"]
    bearers = [mmcli(device, "-b", path)["bearer"] for path in generic["bearers"]]
    return {
        "state": generic["state"],
        "failed": generic["state-failed-reason"],
        "lock": generic["unlock-required"],
        "tries": generic["unlock-retries"],
        "registration": network["registration-state"],
        "operator": network["operator-code"],
        "ip4": [given(b["ipv4-config"]) for b in bearers if b["status"]["connected"] == "yes"],
        "ip6": [given(b["ipv6-config"]) for b in bearers if b["status"]["connected"] == "yes"],
    }


def given(configuration: dict[str, Any]) -> dict[str, Any]:
    """What there is of a bearer's configuration; a prefix of 0 is ModemManager's for none."""
    return {name: value for name, value in configuration.items() if value not in ("--", "0", [])}


def assert_shows(device: Any, promised: dict[str, Any]) -> None:
    """ModemManager hears of a change by an indication, a moment after the sandbox is ready."""
    end = time.monotonic() + _SHOWN_SECONDS
    while True:
        seen = look(device)
        shown = {name: seen[name] for name in promised}
        if shown == promised or time.monotonic() > end:
            break
        time.sleep(0.05)
    assert shown == promised


NO_SESSION = {"state": "registered", "registration": "home", "operator": world.OPERATOR_CODE, "ip4": [], "ip6": []}
STATIC_4 = {
    "method": "static",
    "address": str(world.WWAN0.ip),
    "prefix": "30",
    "gateway": str(world.PGW.ip),
    "dns": [str(server) for server in world.CARRIER_DNS],
    "mtu": str(world.WWAN0_MTU),
}
STATIC_6 = {
    "method": "static",
    "address": str(world.WWAN0_6.ip),
    "prefix": "64",
    "gateway": str(world.PGW_6.ip),
    "dns": [str(server) for server in world.CARRIER_DNS_6],
    "mtu": str(world.WWAN0_MTU),
}
LEASE_4 = {"method": "dhcp"}
NONE: dict[str, Any] = {}

PROMISED: dict[str, dict[str, Any]] = {
    "sim-locked": {"state": "locked", "lock": "sim-pin", "tries": ["sim-pin (3)"]},
    "puk-locked": {"state": "locked", "lock": "sim-puk", "tries": ["sim-puk (10)"]},
    "no-sim": {"state": "failed", "failed": "sim-missing"},
    "modem-off": {"state": "disabled", "lock": "--", "ip4": []},
    "searching": {"state": "searching", "registration": "searching", "ip4": []},
    "denied": {"state": "enabled", "registration": "denied", "ip4": []},
    "roaming": {"state": "registered", "registration": "roaming", "operator": "00102", "ip4": []},
    "bearer-down": NO_SESSION,
    "wrong-apn": NO_SESSION,
    "refused-activation": NO_SESSION,
    "slow-activation": NO_SESSION,
    "hung-activation": NO_SESSION,
    "polkit-denied": NO_SESSION,
    "unconfigured": {"state": "connected", "ip4": [STATIC_4], "ip6": [NONE]},
    "ethernet": {"state": "connected", "ip4": [STATIC_4], "ip6": [NONE]},
    "dhcp": {"state": "connected", "ip4": [LEASE_4], "ip6": [NONE]},
    "ipv6-only": {"state": "connected", "ip4": [NONE], "ip6": [STATIC_6]},
    "dual-stack": {"state": "connected", "ip4": [STATIC_4], "ip6": [STATIC_6]},
    "one-family-black-holed": {"state": "connected", "ip4": [STATIC_4], "ip6": [STATIC_6]},
    "strict-rp-filter": {"state": "connected", "ip4": [STATIC_4]},
}


def refused(device: Any, *words: str) -> str:
    """The error of ModemManager, its last name."""
    done = device.run("mmcli", *words)
    assert done.returncode != 0
    text: str = done.stderr.partition("GDBus.Error:")[2].partition(": ")[0]
    return text.rpartition("Error.")[2]


def polkit_denied(device: Any) -> None:
    assert refused(device, "-m", "any", CONNECT) == "Core.Unauthorized"
    device.box.ctl("allow")
    device.box.ctl("connect")


def wrong_apn(device: Any) -> None:
    assert refused(device, "-m", "any", CONNECT) == "MobileEquipment.MissingOrUnknownApn"
    assert device.run("mmcli", "-m", "any", "--simple-connect=apn=iot.example").returncode == 0


def refused_activation(device: Any) -> None:
    assert refused(device, "-m", "any", CONNECT) == "MobileEquipment.ServiceOptionNotSubscribed"
    device.box.ctl("activation", "normal")
    device.box.ctl("connect")


def slow_activation(device: Any) -> None:
    device.box.ctl("activation", "slow", 0.5)
    begin = time.monotonic()
    device.box.ctl("connect")
    assert time.monotonic() - begin >= 0.5


def hung_activation(device: Any) -> None:
    begun = device.run("sh", "-c", f"timeout 0.5 mmcli -m any {CONNECT}").returncode
    assert begun == 124
    assert_shows(device, {"state": "connecting"})
    assert device.run("mmcli", "-m", "any", "--simple-disconnect").returncode == 0
    assert_shows(device, {"state": "registered"})
    device.box.ctl("activation", "normal")
    device.box.ctl("connect")
    assert_shows(device, {"state": "connected"})


def roaming(device: Any) -> None:
    assert refused(device, "-m", "any", f"{CONNECT},allow-roaming=no") == "Core.Unauthorized"
    device.box.ctl("connect")


def sim_locked(device: Any) -> None:
    assert device.run("mmcli", "-i", "any", "--pin=1234").returncode == 0
    device.box.ctl("connect")


def puk_locked(device: Any) -> None:
    assert device.run("mmcli", "-i", "any", "--puk=12345678", "--pin=4321").returncode == 0
    device.box.ctl("connect")


def modem_off(device: Any) -> None:
    device.box.ctl("power", "on")
    assert_shows(device, {"state": "registered"})


def ipv6_only(device: Any) -> None:
    device.box.ctl("disconnect")
    assert refused(device, "-m", "any", f"{CONNECT},ip-type=ipv4") == "MobileEquipment.Ipv6OnlyAllowed"


AND_THEN: dict[str, Callable[[Any], None]] = {
    "polkit-denied": polkit_denied,
    "wrong-apn": wrong_apn,
    "refused-activation": refused_activation,
    "slow-activation": slow_activation,
    "hung-activation": hung_activation,
    "roaming": roaming,
    "sim-locked": sim_locked,
    "puk-locked": puk_locked,
    "modem-off": modem_off,
    "ipv6-only": ipv6_only,
}
"""What else a scenario's line says, and the way out of it."""


@pytest.mark.parametrize("name", PROMISED)
def test_a_scenario_is_what_modemmanager_shows(start_device: Any, name: str) -> None:
    with start_device("--scenario", name) as device:
        assert_shows(device, PROMISED[name])
        if name in AND_THEN:
            AND_THEN[name](device)
        assert device.box.ctl("state")["ended"] == {}


def test_two_modems_are_two_subscribers(start_device: Any) -> None:
    with start_device("--scenario", "two-modems") as device:
        paths = mmcli(device, "-L")["modem-list"]
        shown = [mmcli(device, "-m", path)["modem"]["generic"] for path in paths]
        assert {modem["state"] for modem in shown} == {"connected"}
        assert {modem["equipment-identifier"] for modem in shown} == {
            world.SUBSCRIBER.imei,
            world.OTHER_SUBSCRIBER.imei,
        }


def test_without_modemmanager_there_is_nobody_to_ask(start_device: Any) -> None:
    with start_device("--scenario", "manager-down") as device:
        assert "couldn't find the ModemManager" in device.run("mmcli", "-L").stderr
        device.box.ctl("manager-start")
        assert_shows(device, {"state": "disabled"})


@pytest.mark.parametrize(("name", "left"), [("vpn", True), ("vpn-kill-switch", False)])
def test_a_vpn_has_the_default_route(start_device: Any, name: str, left: bool) -> None:
    with start_device("--scenario", name) as device:
        (route,) = json.loads(device.run("ip", "-json", "route", "get", str(world.PLATFORM)).stdout)
        assert route["dev"] == "wg0"
        assert (device.run("ip", "route", "get", "fibmatch", str(world.LAB), "oif", "wwan0").returncode == 0) == left


def test_a_hat_is_no_modem_of_modemmanagers(start_device: Any) -> None:
    with start_device("--scenario", "hat") as device:
        assert mmcli(device, "-L")["modem-list"] == []
        (link,) = json.loads(device.run("ip", "-json", "address", "show", "usb0").stdout)
        assert str(world.SUBSCRIBER.address) in [address["local"] for address in link["addr_info"]]


def test_a_running_sandbox_takes_on_what_is_not_fixed_at_its_start(start_device: Any) -> None:
    with start_device() as device:
        device.box.ctl("scenario", "bearer-down")
        assert_shows(device, NO_SESSION)
        with pytest.raises(ValueError, match=r"cannot change.*: ip\. "):
            device.box.ctl("scenario", "ipv6-only")
        for words in (["pin-lock", "4"], ["activation", "slow"], ["activation", "sometimes"], ["power", "half"]):
            with pytest.raises(ValueError, match=r"\. "):
                device.box.ctl(*words)
        device.box.ctl("pin-lock", 1)
        assert_shows(device, {"state": "locked", "tries": ["sim-pin (1)"]})
        device.box.ctl("reset-modem")
        assert_shows(device, {"state": "locked", "tries": ["sim-pin (1)"]})


CONDITIONS_ONLY = {name for name, scenario in SCENARIOS.items() if not (scenario.plan or scenario.acts)}


def test_conditions_alone_are_in_force_from_the_start(start_device: Any) -> None:
    with start_device("--scenario", "dns-silent", "--no-connect") as device:
        assert device.box.ctl("state")["conditions"]["dns_fault"] == "silent"
        for name in CONDITIONS_ONLY:
            device.box.ctl("scenario", name)
            in_force = device.box.ctl("state")["conditions"]
            assert SCENARIOS[name].conditions.items() <= in_force.items()
