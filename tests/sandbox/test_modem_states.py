"""The modem as the real ModemManager shows it, in each state that keeps a SIM from being verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from phonecheck_sandbox import world

FIRST, SECOND = world.SUBSCRIBER, world.OTHER_SUBSCRIBER


@pytest.fixture(scope="module")
def two(start_device: Any) -> Iterator[Any]:
    with start_device("--modems", "2") as device:
        yield device


@pytest.fixture(scope="module")
def one(start_device: Any) -> Iterator[Any]:
    with start_device() as device:
        yield device


def test_two_modems_are_listed_by_ids_that_do_not_change(two: Any) -> None:
    listed = two.phonecheck("modem", "list").json["modems"]
    assert sorted(modem["id"] for modem in listed) == sorted(f"iccid:…{s.iccid[-4:]}" for s in (FIRST, SECOND))


def test_of_two_modems_one_must_be_chosen(two: Any) -> None:
    answer = two.verify()
    assert (answer.status, answer.code) == (4, "ambiguous-modem")
    assert all(s.iccid[-4:] in answer.json["error"]["message"] for s in (FIRST, SECOND))


def test_each_of_two_modems_is_found_by_its_iccid_or_imei_and_verifies_its_own_sim(two: Any) -> None:
    answer = two.verify(f"+{FIRST.msisdn}", "--modem", f"iccid:{FIRST.iccid}")
    assert (answer.status, answer.json["hops"][0]["bound_to"]) == (0, "wwan0")
    answer = two.verify(f"+{SECOND.msisdn}", "--modem", f"imei:{SECOND.imei}")
    assert (answer.status, answer.json["hops"][0]["bound_to"]) == (0, "wwan1")
    answer = two.verify(f"+{FIRST.msisdn}", "--modem", f"imei:{SECOND.imei}")
    assert (answer.status, answer.json["match"]) == (1, False)


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [("iccid:8944000000000000000", 4, "modem-not-found"), ("0", 3, "bad-setting"), ("wwan0", 3, "bad-setting")],
)
def test_an_id_that_is_none_of_theirs(two: Any, wanted: str, status: int, code: str) -> None:
    answer = two.verify(f"+{FIRST.msisdn}", "--modem", wanted)
    assert (answer.status, answer.code) == (status, code)


def test_modem_show_knows_sim_network_and_bearer(one: Any) -> None:
    modem = one.phonecheck("modem", "show").json["modem"]
    assert modem["state"] == "connected"
    assert modem["own_numbers"] == ["…0123"]
    assert modem["bearers"][0]["ip4"]["dns"] == [str(server) for server in world.CARRIER_DNS]


def test_a_modem_without_a_session_is_not_connected(one: Any) -> None:
    one.box.ctl("disconnect")
    answer = one.verify()
    assert (answer.status, answer.code) == (4, "not-connected")
    one.box.ctl("connect")
    assert one.verify().status == 0


def test_a_session_that_the_network_ended_is_not_connected(one: Any) -> None:
    one.box.ctl("drop-bearer")
    assert one.verify().code == "not-connected"
    one.box.ctl("connect")
    # The list of bearers and their old errors grows; the connected one is found all the same.
    assert one.verify().status == 0


@pytest.mark.parametrize("registration", ["searching", "denied"])
def test_a_modem_that_is_not_registered_says_so(one: Any, registration: str) -> None:
    one.box.ctl("registration", registration)
    answer = one.verify()
    one.box.ctl("registration", "home")
    assert (answer.status, answer.code) == (4, "not-registered"), answer.json["error"]
    one.box.ctl("connect")


def test_a_sim_that_wants_its_pin(one: Any) -> None:
    one.box.ctl("lock-sim")
    answer = one.verify()
    assert (answer.status, answer.code) == (4, "sim-locked"), answer.json["error"]
    assert "3 tries" in answer.json["error"]["message"]


def test_a_modem_that_was_pulled_is_not_found(one: Any) -> None:
    one.box.ctl("unplug")
    answer = one.verify()
    assert (answer.status, answer.code) == (4, "modem-not-found")
    assert one.phonecheck("modem", "list").json["modems"] == []


def test_modemmanager_that_does_not_run_is_unavailable(one: Any) -> None:
    one.box.ctl("manager-stop")
    answer = one.verify()
    assert (answer.status, answer.code) == (4, "modem-manager-unavailable")
    assert answer.json["error"]["retryable"] is True
