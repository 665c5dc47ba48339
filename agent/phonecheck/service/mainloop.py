"""The one thread of the service: timers, descriptors and signals on GLib's main loop, which D-Bus needs anyway.

GLib sees one descriptor, an epoll that holds all the others. Timers are one timerfd on CLOCK_BOOTTIME, armed for the
earliest: GLib's own reckon without suspend, and would be late by all the time that the device slept. An idle loop does not
wake up at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from phonecheck.service import lean, timerfd
from phonecheck.service.ports import Cancel

_log = logging.getLogger("phonecheck.service")

_SLEW = 1.0
"""Seconds by which the wall clock may be set without anybody being told: nothing here reckons finer by it."""
_LONGEST = 100 * 366 * 86400.0
_FAILURES = 10
"""Failures of callbacks within :data:`_WINDOW` seconds from which the loop is not healthy any more."""
_WINDOW = 60.0


class MainLoop:
    """:class:`phonecheck.service.ports.Loop` on GLib. To be made, run and used in the main thread, but for ``soon``.

    A callback that raises is a bug: it is logged, and the loop goes on without what it left undone. When that happens
    again and again the loop is not :meth:`healthy`, so that the watchdog restarts the service; a descriptor whose callback
    does nothing but fail is let go of, for it would keep the loop turning for ever.

    Raises:
        OSError: no descriptors are left.
    """

    def __init__(self) -> None:
        self._glib = lean.glib()
        self._main = self._glib.MainLoop()
        self._ended = False
        self._crippled = False
        self._failures: deque[float] = deque(maxlen=_FAILURES)
        self._watches: dict[int, _Watch] = {}
        self._timers: list[_Timer] = []
        self._armed: float | None = None
        self._soon: deque[Callable[[], None]] = deque()
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._timer = timerfd.boottime()
        self._clock = timerfd.clock_watch()
        self.readable(self._bell, self._rung)
        self.readable(self._timer, self._timed)
        glib = self._glib
        self._source = glib.io_add_watch(self._epoll.fileno(), glib.PRIORITY_DEFAULT, glib.IOCondition.IN, self._turn)

    def now(self) -> float:
        """Seconds of CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def later(self, seconds: float, do: Callable[[], None]) -> Cancel:
        """Do something once, in so many seconds; what is due at the same time happens in the order of the calls."""
        timer = _Timer(self.now() + min(max(seconds, 0.0), _LONGEST), do, self._forget)
        insort(self._timers, timer, key=lambda timer: timer.due)
        self._arm()
        return timer

    def readable(self, fd: int, do: Callable[[], None]) -> Cancel:
        """Do something whenever a descriptor is readable or hung up; to be cancelled before it is closed."""
        watch = _Watch(fd, do, self._let_go)
        self._epoll.register(fd, select.EPOLLIN)
        self._watches[fd] = watch
        return watch

    def soon(self, do: Callable[[], None]) -> None:
        """Do something in the next turn; for any thread, and for signal handlers."""
        self._soon.append(do)
        with contextlib.suppress(OSError):  # closed: nobody turns any more
            os.eventfd_write(self._bell, 1)

    def on_signal(self, number: int, do: Callable[[], None]) -> None:
        """Do something in the loop whenever the process gets a signal."""
        # Python's own handler, for PyGObject wakes GLib's loop up for it; GLib.unix_signal_add has been moved to another
        # namespace in GLib 2.80 and warns there.
        signal.signal(number, lambda *_: self.soon(do))

    def on_clock_set(self, do: Callable[[float], None]) -> None:
        """Tell when the wall clock was set, and by how many seconds: forward is positive. Slewing is not setting."""
        ahead = self.wall() - self.now()

        def heard() -> None:
            nonlocal ahead
            if not timerfd.clock_was_set(self._clock):
                return
            # After a suspend the kernel reports it, too, but the two clocks have slept the same time.
            by = self.wall() - self.now() - ahead
            if abs(by) >= _SLEW:
                ahead += by
                do(by)

        self.readable(self._clock, heard)

    def run(self) -> None:
        """Turn until :meth:`quit`."""
        if not self._ended:
            self._main.run()

    def quit(self) -> None:
        """Have :meth:`run` return, also where it was not called yet."""
        self._ended = True
        self._main.quit()

    def close(self) -> None:
        """Give the descriptors back; the loop is of no use any more."""
        self._glib.source_remove(self._source)
        for fd in (self._bell, self._timer, self._clock):
            os.close(fd)
        self._epoll.close()

    def healthy(self) -> bool:
        """Whether all descriptors are still watched, and callbacks have not failed again and again in the last minute."""
        often = len(self._failures) == _FAILURES and self.now() - self._failures[0] <= _WINDOW
        return not often and not self._crippled

    def _turn(self, *_: object) -> bool:
        for watch in [self._watches[fd] for fd, _ in self._epoll.poll(0) if fd in self._watches]:
            # One callback of this turn may have cancelled another one's watch, and its number be another file's by now.
            if self._watches.get(watch.fd) is not watch:
                continue
            watch.failed = 0 if self._tried(watch.do) else watch.failed + 1
            if watch.failed >= _FAILURES:
                _log.critical("%s does nothing but fail: it is not called any more.", _name(watch.do))
                watch.cancel()
                self._crippled = True
        return True

    def _timed(self) -> None:
        if not timerfd.has_come(self._timer):
            return
        self._armed = None
        now = self.now()
        try:
            while self._timers and self._timers[0].due <= now:
                self._tried(self._timers.pop(0).do)
        finally:
            self._arm()

    def _rung(self) -> None:
        os.eventfd_read(self._bell)
        # What these add is for the next turn, or two of them could keep all the others from theirs.
        for _ in range(len(self._soon)):
            self._tried(self._soon.popleft())

    def _tried(self, do: Callable[[], None]) -> bool:
        try:
            do()
        except Exception:  # noqa: BLE001  whatever it is, the others are to have their turn
            self._failures.append(self.now())
            _log.exception("A bug in phonecheck: %s failed; please report it with these lines.", _name(do))
            return False
        return True

    def _arm(self) -> None:
        due = self._timers[0].due if self._timers else None
        if due != self._armed:
            timerfd.arm(self._timer, due)
            self._armed = due

    def _forget(self, timer: _Timer) -> None:
        if timer in self._timers:
            self._timers.remove(timer)
            self._arm()

    def _let_go(self, watch: _Watch) -> None:
        if self._watches.get(watch.fd) is watch:
            del self._watches[watch.fd]
            # A descriptor that was closed has left the epoll by itself.
            with contextlib.suppress(OSError, ValueError):
                self._epoll.unregister(watch.fd)


@dataclass(eq=False, slots=True)
class _Timer:
    due: float
    do: Callable[[], None]
    forget: Callable[[_Timer], None]

    def cancel(self) -> None:
        """Forget it."""
        self.forget(self)


@dataclass(eq=False, slots=True)
class _Watch:
    fd: int
    do: Callable[[], None]
    forget: Callable[[_Watch], None]
    failed: int = field(default=0)

    def cancel(self) -> None:
        """Watch no longer."""
        self.forget(self)


def _name(do: Callable[[], None]) -> str:
    return getattr(do, "__qualname__", None) or type(do).__name__
