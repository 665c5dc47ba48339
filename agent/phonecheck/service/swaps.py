"""Whether another SIM is in a modem than the one that is remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from phonecheck.service import triggers
from phonecheck.service.alarm import Once
from phonecheck.service.model import SeenSim
from phonecheck.service.ports import Loop, Memory, Sims


class Swaps:
    """Reads the SIMs when they may be others, one reading at a time, and compares.

    A SIM that is away, or locked, is no other one: it is the next that can be read that counts. What the first reading of
    all finds, on a device that remembers no SIM yet, is no change either.

    Args:
        loop: where things happen.
        memory: knows the SIMs.
        sims: reads them.
        swapped: told of those that are new; it has them remembered.
    """

    def __init__(self, loop: Loop, memory: Memory, sims: Sims, swapped: Callable[[Sequence[SeenSim]], None]) -> None:
        self._memory = memory
        self._sims = sims
        self._swapped = swapped
        self._soon = Once(loop, self.look)
        self._reading = False
        self._stale = False
        self._first = True

    @property
    def lost(self) -> bool:
        """Whether they should have been read long ago."""
        return self._soon.lost

    def look(self) -> None:
        """Read them now."""
        self._stale = self._reading
        if not self._reading:
            self._reading = True
            self._sims.read(self._have)

    def look_soon(self) -> None:
        """Read them shortly: a change at the modems seldom comes alone."""
        if self._soon.left is None:
            self._soon.set(triggers.HURRY)

    def stop(self) -> None:
        """Read them no more."""
        self._soon.clear()

    def _have(self, seen: Sequence[SeenSim] | None) -> None:
        self._reading = False
        known = self._memory.sims()
        new = [sim for sim in seen or () if known.get(sim.modem) != sim.fingerprint]
        if self._stale:
            self.look()
        if seen is not None:
            first, self._first = self._first, False
            if first and not known:
                self._memory.remember(new)
                return
        if new:
            self._swapped(new)
