"""Each scenario of one broken thing breaks that, as plain sockets and mmcli see it, and nothing else; and can be mended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import mwan3, world
from phonecheck_sandbox.scenarios import SCENARIOS

PROBES = Path(__file__).with_name("device_probes.py")
WORLD = (
    *("wwan0", str(world.PLATFORM), world.PLATFORM_HOST, str(world.APP_SERVER), world.APP_SERVER_HOST),
    *(world.SERVER_TOKEN, world.SUBSCRIBER.msisdn, *(str(server) for server in world.CARRIER_DNS)),
)
_HEARD_SECONDS = 15.0
YEAR = datetime.now(UTC).year
SOUND = {
    "clock": str(YEAR),
    "bind": "ok",
    "modem": "connected 67",
    "dns": str(world.PLATFORM),
    "connect": "ok",
    "cleartext": f"307 https://{world.PLATFORM_HOST}/",
    "tls": "404",
    "tls in small": "404",
    "server": "200",
}
PORTAL = f"302 http://{world.PORTAL_HOST}/"


def tls(said: str) -> dict[str, str]:
    return {"tls": said, "tls in small": said}


def platform(said: str) -> dict[str, str]:
    return {"connect": said, "cleartext": said, **tls(said)}


OTHER_HOST = f"Hostname mismatch, certificate is not valid for '{world.PLATFORM_HOST}'.".partition(",")[0]
NOT_YET, EXPIRED = "certificate is not yet valid", "certificate has expired"

BY_CONDITIONS: dict[str, dict[str, str]] = {
    "bind-refused": {"bind": "EPERM", "dns": "EPERM", **platform("EPERM")},
    "wrong-clock": {"clock": str(YEAR - 20), "server": NOT_YET, **tls(NOT_YET)},
    "dns-silent": {"dns": "silent"},
    "portal": {"cleartext": PORTAL, "connect": "ECONNREFUSED", **tls("ECONNREFUSED")},
    "portal-tls": {"cleartext": PORTAL, **tls(OTHER_HOST)},
    "filtered-apn": platform("silent"),
    "platform-down": platform("silent"),
    "large-packets-lost": {"tls": "silent"},
    "certificate-expired": tls(EXPIRED),
    "certificate-of-another": tls(OTHER_HOST),
    "authority-unknown": tls("unable to get local issuer certificate"),
    "token-refused": {"server": "401"},
    "app-server-down": {"server": "hung up"},
}
"""What each of them changes of what is seen on a sound day."""

BY_REQUESTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "weak-signal": ({"modem": "connected 3"}, ("signal 67",)),
    "unplugged": (
        {"modem": "couldn't find modem", "bind": "ENODEV", "dns": "ENODEV", **platform("ENODEV")},
        ("plug", "connect"),
    ),
    "strict-rp-filter": ({"dns": "silent", **platform("silent")}, ("rp-filter 2",)),
    "bus-down": ({"modem": "couldn't get bus"}, ("bus-start", "connect")),
}
"""The same, and the requests that mend it."""

IN_A_BOX_OF_THEIR_OWN: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "no-route": ({"dns": "silent", **platform("silent")}, ("disconnect", "connect")),
    "mwan3": ({"dns": "silent", **platform("silent")}, ("mwan3 off",)),
}


def look(device: Any) -> dict[str, str]:
    done = device.run(sys.executable, "-P", PROBES, *WORLD)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def broken(device: Any) -> dict[str, str]:
    """What is not as on a sound day."""
    return {name: said for name, said in look(device).items() if said != SOUND[name]}


def assert_broken(device: Any, breaks: dict[str, str]) -> None:
    """ModemManager hears of its signal by an indication, some seconds later."""
    end = time.monotonic() + _HEARD_SECONDS
    while (seen := broken(device)) != breaks and time.monotonic() < end:
        time.sleep(0.1)
    assert seen == breaks


@pytest.fixture(scope="module")
def module_device(start_device: Any) -> Iterator[Any]:
    with start_device() as device:
        yield device


@pytest.fixture
def own(module_device: Any) -> Iterator[Any]:
    yield module_device
    module_device.box.ctl("reset")


def test_on_a_sound_day_all_is_well(own: Any) -> None:
    assert look(own) == SOUND


@pytest.mark.parametrize("name", BY_CONDITIONS)
def test_a_scenario_of_conditions_breaks_its_rung_alone_until_reset(own: Any, name: str) -> None:
    before = own.box.ctl("snapshot")
    own.box.ctl("scenario", name)
    assert broken(own) == BY_CONDITIONS[name]
    own.box.ctl("reset")
    assert broken(own) == {}
    assert own.box.ctl("snapshot") == before


@pytest.mark.parametrize("name", BY_REQUESTS)
def test_a_scenario_of_requests_breaks_its_rung_alone_until_they_are_undone(own: Any, name: str) -> None:
    breaks, mends = BY_REQUESTS[name]
    own.box.ctl("scenario", name)
    assert_broken(own, breaks)
    for words in mends:
        own.box.ctl(*words.split())
    assert_broken(own, {})
    assert own.box.ctl("state")["ended"] == {}


@pytest.mark.parametrize("name", IN_A_BOX_OF_THEIR_OWN)
def test_a_scenario_of_another_link_breaks_its_rung_alone_until_it_is_undone(start_device: Any, name: str) -> None:
    breaks, mends = IN_A_BOX_OF_THEIR_OWN[name]
    with start_device("--scenario", name) as device:
        (link,) = json.loads(device.run("ip", "-4", "-json", "address", "show", "wwan0").stdout)
        assert [address["local"] for address in link["addr_info"]] == [str(world.WWAN0.ip)]
        assert broken(device) == breaks
        for words in mends:
            device.box.ctl(*words.split())
        assert_broken(device, {})


def test_the_rule_that_keeps_the_link_in_is_ahead_of_main_and_all_of_them_go_again(own: Any) -> None:
    before = own.box.ctl("snapshot")
    own.box.ctl("mwan3", "on")
    own.box.ctl("mwan3", "on")  # which changes nothing more
    rules = json.loads(own.run("ip", "-json", "rule", "show").stdout)
    (keeps_in,) = (rule for rule in rules if rule.get("oif") == "wwan0")
    assert (keeps_in["priority"], keeps_in["action"]) == (mwan3.UNREACHABLE, "unreachable")
    assert keeps_in["priority"] < next(rule["priority"] for rule in rules if rule.get("table") == "main")
    own.box.ctl("mwan3", "off")
    assert own.box.ctl("snapshot") == before


@pytest.mark.parametrize("word", ["not-yet-valid", "expired"])
def test_a_certificate_is_another_for_the_next_connection_and_the_app_server_sees_none_of_it(
    own: Any, word: str
) -> None:
    own.box.ctl("set", f"platform_cert={word}")
    assert broken(own) == tls({"not-yet-valid": NOT_YET, "expired": EXPIRED}[word])


def test_a_program_that_runs_already_keeps_its_clock_and_what_it_starts_does_too(own: Any) -> None:
    own.box.ctl("set", "device_clock=3653")
    nested = own.run("sh", "-c", "sh -c 'date +%Y'").stdout.strip()
    own.box.ctl("reset")
    assert int(nested) >= YEAR + 9
    assert own.run("date", "+%Y").stdout.strip() == str(YEAR)


def test_what_is_to_run_without_binding_is_told_apart_by_its_own_status(own: Any) -> None:
    own.box.ctl("scenario", "bind-refused")
    assert [own.run(*words).returncode for words in (["sh", "-c", "exit 7"], ["no-such-program"])] == [7, 127]


def test_without_a_bus_the_sandbox_says_what_to_do(own: Any) -> None:
    own.box.ctl("bus-stop")
    with pytest.raises(Exception, match="no bus") as refusal:
        own.box.ctl("manager-start")
    assert "bus-start" in refusal.value.hint
    own.box.ctl("bus-start")
    own.box.ctl("connect")
    assert_broken(own, {})


def test_every_scenario_here_is_one_that_there_is() -> None:
    assert SCENARIOS.keys() >= {*BY_CONDITIONS, *BY_REQUESTS, *IN_A_BOX_OF_THEIR_OWN}
