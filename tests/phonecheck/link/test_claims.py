"""Who uses a link and whose turn it is, told by names that die with their process."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from phonecheck.errors import LinkError
from phonecheck.link import capability, claims


@pytest.fixture
def index():
    """A device that there is not, and no other test's."""
    return 10**9 + os.getpid() * 1000 + time.monotonic_ns() % 1000


def test_a_claim_holds_until_it_is_released(index):
    first = claims.claim(index)
    assert claims.in_use(index)
    assert not first.shared
    second = claims.claim(index)
    assert first.shared
    assert second.shared
    first.release()
    assert not second.shared
    assert claims.in_use(index)
    second.release()
    assert not claims.in_use(index)


def test_links_do_not_mix(index):
    held = claims.claim(index)
    assert not claims.in_use(index + 1)
    held.release()


def test_more_than_anyone_starts(index):
    with contextlib.ExitStack() as all_of_them:
        for _ in range(64):
            all_of_them.callback(claims.claim(index).release)
        with pytest.raises(LinkError, match="Too many processes"):
            claims.claim(index)


def test_a_turn_ends_when_the_other_ends(index):
    order = []
    begun = threading.Event()

    def second():
        begun.set()
        with claims.alone(index, 10):
            order.append("second")

    waiting = threading.Thread(target=second)
    with claims.alone(index, 1):
        waiting.start()
        begun.wait()
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_a_turn_that_does_not_end(index):
    with claims.alone(index, 1), pytest.raises(LinkError, match="busy") as raised, claims.alone(index, 0.05):
        pass
    assert raised.value.code == "bind-refused"


def test_a_turn_ends_with_an_error(index):
    with contextlib.suppress(KeyError), claims.alone(index, 1):
        raise KeyError
    with claims.alone(index, 0):
        pass


@pytest.mark.parametrize(
    ("line", "held"),
    [("CapEff:\t0000000000003000", True), ("CapEff:\t0000000000002000", False), ("CapEff:\t0", False), ("", True)],
)
def test_capabilities(tmp_path, line, held):
    (tmp_path / "status").write_text(f"Name:\tpython\nCapPrm:\t000001ffffffffff\n{line}\n")
    assert capability.holds(capability.NET_ADMIN, tmp_path / "status") is held
    assert capability.holds(capability.NET_RAW, tmp_path / "none")
