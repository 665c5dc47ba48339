"""The service's loop for tests: descriptors for real, and a clock that can be moved forward."""

from __future__ import annotations

import collections
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Watch:
    stop: Callable[[], object]
    live: bool = True

    def cancel(self) -> None:
        if self.live:
            self.live = False
            self.stop()


@dataclass
class SelectLoop:
    moved: float = 0.0
    todo: collections.deque[Callable[[], None]] = field(default_factory=collections.deque)
    timers: list[tuple[float, Watch, Callable[[], None]]] = field(default_factory=list)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME) + self.moved

    def wall(self) -> float:
        return time.time() + self.moved

    def later(self, seconds: float, do: Callable[[], None]) -> Watch:
        watch = Watch(lambda: None)
        self.timers.append((self.now() + seconds, watch, do))
        return watch

    def readable(self, fd: int, do: Callable[[], None]) -> Watch:
        watch = Watch(lambda: self.selector.unregister(fd))
        self.selector.register(fd, selectors.EVENT_READ, (watch, do))
        return watch

    def soon(self, do: Callable[[], None]) -> None:
        self.todo.append(do)

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self.moved += seconds

    def run(self, until: Callable[[], object], seconds: float = 20.0) -> None:
        """Go on until it is so; fail where it is not in that many real seconds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "nothing came of it"
            self.turn()

    def turn(self, longest: float = 0.05) -> None:
        for _ in range(len(self.todo)):
            self.todo.popleft()()
        due = [timer for timer in self.timers if timer[1].live and timer[0] <= self.now()]
        self.timers = [timer for timer in self.timers if timer[1].live and timer not in due]
        for _, watch, do in sorted(due, key=lambda timer: timer[0]):
            if watch.live:
                watch.live = False
                do()
        for key, _ in self.selector.select(0 if self.todo or due else longest):
            watch, do = key.data
            if watch.live:
                do()

    @property
    def idle(self) -> bool:
        """Whether nothing is watched or awaited any more."""
        return not self.selector.get_map() and not any(watch.live for _, watch, _ in self.timers)

    def close(self) -> None:
        self.selector.close()
