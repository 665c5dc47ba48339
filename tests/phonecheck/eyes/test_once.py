"""A question of several threads is asked once, an error being an answer."""

from __future__ import annotations

import threading

import pytest

from phonecheck.aside import Aside
from phonecheck.errors import LinkError
from phonecheck.eyes.once import Once


def test_the_first_answer_is_everybodys() -> None:
    once: Once[int] = Once()
    asked: list[int] = []
    under_way, go_on = threading.Event(), threading.Event()

    def ask() -> int:
        asked.append(1)
        under_way.set()
        assert go_on.wait(5)
        return len(asked)

    first = Aside(lambda: once(ask), "first")
    assert under_way.wait(5)
    second = Aside(lambda: once(ask), "second")
    go_on.set()
    assert (first.result(5), second.result(5), len(asked)) == (1, 1, 1)


def test_an_error_is_an_answer() -> None:
    once: Once[int] = Once()
    errors = [LinkError("no-route", "first"), LinkError("no-route", "second")]

    def ask() -> int:
        raise errors.pop(0)

    for _ in range(2):
        with pytest.raises(LinkError, match="first"):
            once(ask)


def test_none_is_an_answer() -> None:
    once: Once[None] = Once()
    asked = []
    for _ in range(2):
        once(lambda: asked.append(1))
    assert asked == [1]
