"""A loss is told once, to everybody, also to who asks later."""

from __future__ import annotations

import threading

from phonecheck.errors import LinkError
from phonecheck.link.watch import Loss

PULLED, DROPPED = (LinkError("interface-gone", words) for words in ("pulled", "dropped"))


def test_the_first_one_wins_and_everybody_hears_it() -> None:
    loss, heard = Loss(), list[LinkError]()
    loss.on(heard.append)
    loss.on(heard.append)
    assert loss.error is None
    loss.tell(PULLED)
    loss.tell(DROPPED)
    assert (loss.error, heard) == (PULLED, [PULLED, PULLED])


def test_who_comes_after_it_is_told_at_once() -> None:
    loss, heard = Loss(), list[LinkError]()
    loss.tell(PULLED)
    loss.on(heard.append)
    assert heard == [PULLED]


def test_a_callback_may_ask_for_more() -> None:
    loss, heard = Loss(), list[LinkError]()
    loss.on(lambda _: loss.on(heard.append))
    loss.tell(PULLED)
    assert heard == [PULLED]


def test_many_threads_tell_it_once() -> None:
    loss, heard, together = Loss(), list[LinkError](), threading.Barrier(8)
    loss.on(heard.append)

    def tell() -> None:
        together.wait()
        loss.tell(LinkError("interface-gone", "gone"))

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [loss.error]
