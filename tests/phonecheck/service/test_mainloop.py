"""The real loop, on the real GLib and the real kernel."""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("gi", reason="needs python3-gi")

from phonecheck.service.mainloop import MainLoop


@pytest.fixture
def loop() -> Iterator[MainLoop]:
    loop = MainLoop()
    yield loop
    loop.close()


def run(loop: MainLoop, most: float = 10.0) -> None:
    """Run until somebody quits; a test that nobody ends fails instead of hanging."""
    late = []
    end = loop.later(most, lambda: (late.append(1), loop.quit()))
    loop.run()
    end.cancel()
    assert not late, "nobody ended the loop"


def test_timers_come_in_the_order_of_their_time_and_then_of_their_making(loop: MainLoop) -> None:
    came: list[str] = []
    for name, seconds in (("c", 0.02), ("a", 0.0), ("b", -5.0), ("d", 0.03)):
        loop.later(seconds, lambda name=name: came.append(name))
    cancelled = loop.later(0.01, lambda: came.append("cancelled"))
    cancelled.cancel()
    cancelled.cancel()
    loop.later(0.04, loop.quit)
    run(loop)
    assert came == ["a", "b", "c", "d"]


def test_a_timer_is_never_early_and_holds_any_number_of_seconds(loop: MainLoop) -> None:
    begun = loop.now()
    at: list[float] = []
    loop.later(0.015, lambda: (at.append(loop.now()), loop.quit()))
    never = [loop.later(seconds, loop.quit) for seconds in (1e300, float("inf"), 366 * 86400)]
    run(loop)
    assert at[0] - begun >= 0.015
    for timer in never:
        timer.cancel()


def test_a_timer_cancels_another_one_of_the_same_moment(loop: MainLoop) -> None:
    came: list[str] = []
    loop.later(0, lambda: (came.append("first"), second.cancel()))
    second = loop.later(0, lambda: came.append("second"))
    loop.later(0.01, loop.quit)
    run(loop)
    assert came == ["first"]


def test_a_timer_that_makes_the_next_at_once_keeps_nobody_from_their_turn(loop: MainLoop) -> None:
    def again() -> None:
        loop.later(0, again)
        loop.soon(loop.quit)

    loop.later(0, again)
    run(loop)


def test_soon_is_for_any_thread_and_keeps_the_order(loop: MainLoop) -> None:
    came: list[int] = []

    def work() -> None:
        for n in range(500):
            loop.soon(lambda n=n: came.append(n))
        loop.soon(loop.quit)

    thread = threading.Thread(target=work)
    loop.soon(thread.start)
    run(loop)
    thread.join()
    assert came == list(range(500))


def test_what_is_readable_or_hung_up_is_told_until_it_is_cancelled(loop: MainLoop) -> None:
    read, write = os.pipe()
    got: list[bytes] = []

    def ready() -> None:
        got.append(os.read(read, 10))
        if not got[-1]:
            watch.cancel()
            watch.cancel()
            os.close(read)
            loop.later(0.01, loop.quit)

    watch = loop.readable(read, ready)
    os.write(write, b"some")
    loop.later(0.01, lambda: os.close(write))
    run(loop)
    assert got == [b"some", b""]


def test_a_number_that_is_another_files_by_now_keeps_its_new_watch(loop: MainLoop) -> None:
    read, write = os.pipe()
    old = loop.readable(read, lambda: None)
    old.cancel()
    os.close(read)
    os.close(write)
    again, other = os.pipe()
    assert again == read
    loop.readable(again, lambda: (os.read(again, 1), loop.quit()))
    old.cancel()
    os.write(other, b"x")
    run(loop)
    os.close(other)


def test_one_watch_ends_another_one_of_the_same_turn(loop: MainLoop) -> None:
    came: list[int] = []
    pipes = [os.pipe() for _ in range(2)]

    def ready(n: int) -> None:
        came.append(n)
        for watch in watches:
            watch.cancel()
        loop.later(0.01, loop.quit)

    watches = [loop.readable(pipes[n][0], lambda n=n: ready(n)) for n in range(2)]
    for _, write in pipes:
        os.write(write, b"x")
    run(loop)
    assert len(came) == 1


def test_a_signal_is_told_in_the_loop(loop: MainLoop) -> None:
    former = signal.getsignal(signal.SIGUSR2)
    try:
        loop.on_signal(signal.SIGUSR2, loop.quit)
        # From outside the loop's own turn, so that it is GLib's wait that is woken up.
        sender = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR2))
        sender.start()
        run(loop)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR2, former)


def test_an_end_before_the_start_is_an_end(loop: MainLoop) -> None:
    loop.quit()
    loop.run()


def test_a_callback_that_fails_is_told_and_stops_nothing(loop: MainLoop, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise RuntimeError("broken")

    loop.later(0, fails)
    loop.soon(fails)
    loop.later(0.01, loop.quit)
    run(loop)
    told = [record for record in caplog.records if "fails failed" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.ERROR] * 2
    assert all(record.exc_info for record in told)
    assert loop.healthy()


def test_callbacks_that_fail_again_and_again_are_for_the_watchdog(
    loop: MainLoop, caplog: pytest.LogCaptureFixture
) -> None:
    healthy: list[bool] = []
    for _ in range(10):
        loop.soon(lambda: 1 / 0)
        loop.soon(lambda: healthy.append(loop.healthy()))
    loop.later(0.01, loop.quit)
    run(loop)
    assert healthy == [True] * 9 + [False]


def test_a_watch_that_only_fails_does_not_turn_the_loop_for_ever(
    loop: MainLoop, caplog: pytest.LogCaptureFixture
) -> None:
    read, write = os.pipe()
    os.write(write, b"x")
    loop.readable(read, lambda: 1 / 0)
    loop.later(0.05, loop.quit)
    run(loop)
    assert sum("failed;" in record.getMessage() for record in caplog.records) == 10
    assert caplog.records[-1].levelno == logging.CRITICAL
    assert not loop.healthy()
    os.close(read)
    os.close(write)


def test_an_idle_loop_does_not_wake_up(loop: MainLoop) -> None:
    loop.later(3600, loop.quit).cancel()
    loop.later(3600, loop.quit)
    loop.later(0.001, loop.quit).cancel()
    loop.on_clock_set(lambda by: None)
    counted: list[int] = []

    def count() -> None:
        counted.append(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw)

    loop.later(0.05, count)
    loop.later(0.4, lambda: (count(), loop.quit()))
    run(loop)
    # One wait, from the first count to the second; other threads of the tests' own may add theirs.
    assert counted[1] - counted[0] <= 3


def test_a_clock_that_is_set_is_told_unless_it_is_a_trifle() -> None:
    # Set to what it says already: nothing moves but by a microsecond, and the kernel reports it all the same.
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    except PermissionError:
        pytest.skip("needs the right to set the clock")

    class Wrong(MainLoop):
        wrong = 0.0

        def wall(self) -> float:
            return super().wall() + self.wrong

    loop = Wrong()
    told: list[float] = []

    def set_to(wrong: float) -> None:
        loop.wrong = wrong
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))

    loop.on_clock_set(told.append)
    for n, wrong in enumerate((0.4, 0.9, 86400.0 * 3650, 86400.0 * 3650, 0.0)):
        loop.later(0.01 * (n + 1), lambda wrong=wrong: set_to(wrong))
    loop.later(0.1, loop.quit)
    run(loop)
    loop.close()
    assert told == [pytest.approx(86400.0 * 3650, abs=0.5), pytest.approx(-86400.0 * 3650, abs=0.5)]
