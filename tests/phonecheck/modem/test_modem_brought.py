from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_modem_manager import MODEM, FakeModemManager, bearer
from phonecheck.errors import ModemError
from phonecheck.modem.brought import BroughtUp, NotedBroughtUp, bus_id, strike, take_down
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.faults import Late

OURS = f"{MODEM[: -len('/Modem/0')]}/Bearer/5"


@pytest.fixture
def daemon() -> FakeModemManager:
    made = FakeModemManager()
    made.objects |= {"/b/1": bearer(connected=False), OURS: bearer()}
    made.become(11, 1, Bearers=["/b/1", OURS])
    return made


def up(**facts: Any) -> BroughtUp:
    return BroughtUp(modem=MODEM, manager=":1.7", before=("/b/1",), **facts)


paths = st.text(max_size=10)


@given(
    st.builds(
        BroughtUp,
        *(paths, paths, st.booleans(), st.lists(paths).map(tuple), st.lists(paths).map(tuple)),
        *(st.booleans(), paths, paths),
    )
)
def test_it_outlives_its_process(brought):
    assert BroughtUp.from_json(brought.to_json()) == brought


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{}", '"x"'),
        json.dumps(json.loads(BroughtUp().to_json()) | {"more": 1}),
        *(
            json.dumps(json.loads(BroughtUp().to_json()) | {key: value})
            for key, value in (("before", [1]), ("before", "x"), ("bearer", None), ("enabled", 1), ("modem", ["x"]))
        ),
    ],
)
def test_what_is_something_else_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  json's own, or ours
        BroughtUp.from_json(text)


@pytest.mark.parametrize(
    ("facts", "anything"),
    [({}, False), ({"before": ("/b",)}, False), *(({fact: "x"}, True) for fact in ("bearer", "active"))],
)
def test_whether_there_is_anything_to_take_down(facts, anything):
    assert bool(BroughtUp(**facts)) is anything
    assert BroughtUp(enabled=True)
    assert BroughtUp(connecting=True)


def test_another_modem_forgets_what_went_with_the_last():
    brought = up(enabled=True, bearer=OURS)
    brought.on(MODEM, ":1.7")
    assert brought.bearer == OURS
    brought.on(MODEM, ":1.8")
    assert (bool(brought), brought.manager) == (False, ":1.8")


def test_another_modemmanagers_objects_are_not_ours(daemon):
    daemon.name = ":1.8"
    take_down(daemon, up(enabled=True, bearer=OURS), 5)
    assert daemon.asked == []


def test_a_bearer_of_others_keeps_the_modem_enabled(daemon):
    daemon.objects["/b/7"] = bearer()
    daemon.become(11, Bearers=["/b/1", OURS, "/b/7"])
    take_down(daemon, up(enabled=True, bearer=OURS), 5)
    assert daemon.did() == ["Disconnect", "DeleteBearer"]
    assert daemon.modem["Bearers"] == ["/b/1", "/b/7"]


def test_a_connect_without_an_answer_is_found_in_what_is_new(daemon):
    take_down(daemon, up(connecting=True), 5)
    assert daemon.modem["Bearers"] == ["/b/1"]


def test_a_connect_without_an_answer_may_have_taken_an_old_bearer(daemon):
    daemon.objects["/b/1"] = bearer()
    daemon.become(11, Bearers=["/b/1"])
    take_down(daemon, up(connecting=True), 5)
    assert daemon.asked == [("Disconnect", "/b/1", ())]


def test_a_bearer_that_was_up_before_is_left(daemon):
    daemon.objects["/b/1"] = bearer()
    take_down(daemon, up(connecting=True, up_before=("/b/1",)), 5)
    assert [path for _, path, _ in daemon.asked if path == "/b/1"] == []


def test_a_bearer_that_appears_only_now_is_removed(daemon):
    daemon.delete(MODEM, OURS)
    daemon.become(8)

    def appear() -> None:
        daemon.objects[OURS] = bearer()
        daemon.become(10, Bearers=["/b/1", OURS])

    timer = threading.Timer(0.05, appear)
    timer.start()
    take_down(daemon, up(connecting=True), 5)
    timer.join()
    assert daemon.modem["Bearers"] == ["/b/1"]


def test_a_modemmanager_that_hangs_is_sent_it_all_the_same(daemon):
    def hang(timeout: float) -> dict[str, Any]:
        raise Late(timeout)

    daemon.managed_objects = hang
    take_down(daemon, up(bearer=OURS), 0.2)
    assert daemon.did() == ["Disconnect", "DeleteBearer"]


def test_it_ends_in_time_and_without_an_error_whatever_modemmanager_does(daemon):
    def fail(*_: Any) -> None:
        raise ModemError("modem-manager-unavailable", "ModemManager refused.")

    daemon.on |= {"Disconnect": fail, "DeleteBearer": fail, "Enable": fail}
    daemon.become(9)
    take_down(daemon, up(enabled=True, connecting=True), 0.2)
    take_down(daemon, up(enabled=True, bearer=OURS), 0.2)
    daemon.leave()
    take_down(daemon, up(enabled=True, connecting=True), 0.2)
    daemon.name = ""
    take_down(daemon, up(enabled=True, connecting=True), 0.2)
    assert not daemon.listeners


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "brought.json"


def noted(note: Path) -> BroughtUp:
    """What whoever comes after a SIGKILL finds."""
    return BroughtUp.from_json(note.read_text()) if note.exists() else BroughtUp()


def test_each_act_is_in_the_file_before_it_and_out_of_it_when_it_is_undone(note):
    asked = []
    brought = NotedBroughtUp(note, lambda: asked.append(True) or "bus-1")
    brought.on(MODEM, ":1.7")
    brought.before = ("/b/1",)
    assert not note.exists(), "nothing is up yet"
    brought.enabled = True
    assert noted(note) == BroughtUp(modem=MODEM, manager=":1.7", before=("/b/1",), enabled=True, bus="bus-1")
    brought.connecting = True
    assert noted(note).connecting
    brought.bearer, brought.connecting = OURS, False
    assert noted(note) == up(enabled=True, bearer=OURS, bus="bus-1")
    brought.active = ":1.9/active/1"
    assert noted(note).active == ":1.9/active/1"
    brought.forget()
    assert (list(note.parent.iterdir()), asked) == ([], [True])
    assert not brought


def test_a_file_that_cannot_be_written_stops_nobody(tmp_path):
    for place in (tmp_path / "nowhere" / "brought.json", tmp_path):
        brought = NotedBroughtUp(place, lambda: "bus-1")
        brought.bearer = OURS
        brought.forget()
        assert not brought


def test_without_a_service_nothing_is_written(note, monkeypatch):
    monkeypatch.chdir(note.parent)
    brought = BroughtUp()
    brought.enabled = True
    brought.forget()
    assert not list(note.parent.iterdir())


def test_a_note_that_has_been_done_is_removed_and_no_other(note):
    strike(note, "x")
    note.write_text("new")
    strike(note, "old")
    assert note.read_text() == "new"
    strike(note, "new")
    assert not note.exists()


def test_the_names_of_another_bus_are_not_ours(daemon):
    """After a reboot ModemManager may well have the same name and its bearer the same path, and both be somebody else's."""
    daemon.on["GetId"] = lambda _: ("bus-2",)
    take_down(daemon, up(enabled=True, bearer=OURS, bus="bus-1", active=":1.9/active/1"), 5)
    assert daemon.did() == ["GetId"]
    take_down(daemon, up(enabled=True, bearer=OURS, bus="bus-2"), 5)
    assert daemon.did() == ["GetId", "GetId", "Disconnect", "DeleteBearer", "Enable"]


def test_a_bus_that_does_not_say_which_it_is_is_left_alone(daemon):
    def fail(_: str) -> None:
        raise ModemError("modem-manager-unavailable", "The bus cannot be reached.")

    daemon.on["GetId"] = fail
    take_down(daemon, up(enabled=True, bearer=OURS, bus="bus-1"), 5)
    assert daemon.did() == ["GetId"]


@pytest.mark.dbus
def test_a_real_bus_has_an_id_that_lives_as_long_as_it(bus, modem_bus):
    first = bus_id(modem_bus, 5)
    assert first == bus_id(modem_bus, 5)
    assert len(first) == 32
    bus.stop()
    bus.start()
    later = ModemBus(bus.address)
    assert bus_id(later, 5) != first
    later.close()
