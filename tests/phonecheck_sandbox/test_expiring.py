from __future__ import annotations

from phonecheck_sandbox.expiring import Expiring


def test_what_is_kept_is_forgotten_in_time() -> None:
    now = 0.0
    kept: Expiring[str] = Expiring(10, clock=lambda: now)
    kept.put("a", "value")
    assert (kept.get("a"), kept.get("b"), kept.get(None)) == ("value", None, None)
    now = 10.0
    assert kept.get("a") is None


def test_what_is_taken_is_gone() -> None:
    kept: Expiring[str] = Expiring(10)
    kept.put("a", "value")
    assert (kept.take("a"), kept.take("a")) == ("value", None)


def test_the_oldest_makes_room() -> None:
    kept: Expiring[int] = Expiring(10, limit=2)
    for n in range(3):
        kept.put(str(n), n)
    assert [kept.get(str(n)) for n in range(3)] == [None, 1, 2]
