from __future__ import annotations

import pytest

from phonecheck_server.problems import ProblemError
from phonecheck_server.sessions import Session, Sessions, Version


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def session(expires: float, device: str = "meter", version: Version = "v0.2") -> Session:
    return Session(device, version, "reference", expires)


def test_a_device_finds_its_own_check() -> None:
    sessions = Sessions(clock=Clock())
    kept = session(160)
    sessions.keep("id", kept)
    assert sessions.find("id", "meter", "v0.2") is kept


@pytest.mark.parametrize(
    ("check_id", "device", "version"), [("other", "meter", "v0.2"), ("id", "thief", "v0.2"), ("id", "meter", "v0.1")]
)
def test_all_other_checks_look_alike(check_id: str, device: str, version: Version) -> None:
    sessions = Sessions(clock=Clock())
    sessions.keep("id", session(160))
    with pytest.raises(ProblemError) as caught:
        sessions.find(check_id, device, version)
    assert (caught.value.status, caught.value.code) == (404, "check_not_found")


def test_an_expired_check_is_told_apart_for_a_while_and_then_forgotten() -> None:
    clock = Clock()
    sessions = Sessions(grace=60, clock=clock)
    sessions.keep("id", session(160))
    clock.now = 160
    sessions.require_room("meter")
    with pytest.raises(ProblemError) as caught:
        sessions.find("id", "meter", "v0.2")
    assert caught.value.status == 410
    clock.now = 220
    sessions.require_room("meter")
    assert len(sessions) == 0


def test_the_number_of_sessions_is_bounded_and_room_comes_back() -> None:
    clock = Clock()
    sessions = Sessions(limit=3, grace=0, clock=clock)
    # The first lives longest, so the front of the queue alone would not make room.
    for n, expires in enumerate((1000, 110, 110)):
        sessions.require_room("meter")
        sessions.keep(str(n), session(expires))
    with pytest.raises(ProblemError) as caught:
        sessions.require_room("meter")
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "10"})
    clock.now = 110
    sessions.require_room("meter")
    assert len(sessions) == 1


def test_no_device_takes_more_than_its_share_and_the_others_keep_theirs() -> None:
    clock = Clock()
    sessions = Sessions(limit=100, share=3, grace=0, clock=clock)
    for n, expires in enumerate((1000, 110, 110)):
        sessions.require_room("meter")
        sessions.keep(str(n), session(expires))
    with pytest.raises(ProblemError) as caught:
        sessions.require_room("meter")
    assert (caught.value.status, caught.value.code) == (429, "too_many_requests")
    assert caught.value.headers == {"Retry-After": "10"}
    sessions.require_room("gateway")
    # Behind the one that lives long, wherever it stands.
    clock.now = 110
    sessions.require_room("meter")
