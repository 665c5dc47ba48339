"""Which SIMs are in the device's modems, and word that it may be others now."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.model import Modem, ModemState
from phonecheck.modem import faults, names
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.manager import Bus, ModemManager
from phonecheck.service.model import SeenSim
from phonecheck.service.ports import Cancel, Loop

try:
    # The very function that hashlib has, but hashlib loads libcrypto: 3 to 4 MB.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_SECONDS = 10.0
"""For a reading: some milliseconds where ModemManager is well."""

_FIRST, _LONGEST = 1.0, 60.0
"""Seconds before a bus that is away, or a ModemManager that hangs, is asked again; doubled each time."""

Done = Callable[[Sequence[SeenSim] | None], None]


def seen(modems: Iterable[Modem], salt: bytes) -> tuple[SeenSim, ...]:
    """The SIMs that can be told apart, as fingerprints.

    A SIM that is locked or still being read is left out, as one that is missing is: its IMSI is not known yet, and
    half an identity would look like another SIM.
    """
    modems = tuple(modems)
    # Cheap modems are sold with one IMEI for all of them; of such, the place in the device tells them apart.
    shared = Counter(_equipment(modem) for modem in modems)
    found = []
    for modem in modems:
        sim, equipment = modem.sim, _equipment(modem)
        if modem.state < ModemState.DISABLED or sim is None or not (sim.iccid or sim.imsi):
            continue
        place = modem.device if shared[equipment] > 1 or not equipment else ""
        if not equipment and not place:
            continue
        # Some firmware pads an ICCID with F to 20 digits, and an update of it may stop doing so.
        iccid = sim.iccid.value.upper().rstrip("F") if sim.iccid else ""
        found.append(
            SeenSim(
                modem=_fingerprint(salt, "modem", equipment, place),
                fingerprint=_fingerprint(salt, "sim", iccid, sim.imsi.value if sim.imsi else ""),
                shown=f"iccid:{sim.iccid}" if sim.iccid else f"imsi:{sim.imsi}",
            )
        )
    return tuple(found)


def _equipment(modem: Modem) -> str:
    return modem.imei.value if modem.imei else ""


def _fingerprint(salt: bytes, *parts: str) -> str:
    return blake2b("\0".join(parts).encode(), key=salt, digest_size=32).hexdigest()


class ModemSims:
    """The SIMs as ModemManager shows them, read in threads and told of in the loop.

    Args:
        bus: ModemManager's, or where it is; it is to hear :data:`names.SIM_CHANGES`.
        loop: the service's; all methods are called from it.
        salt: of the fingerprints.
        changed: called from the loop when modems or SIMs may be others than before, also when ModemManager or the bus
            went or came; may be called often.
    """

    def __init__(self, bus: Bus | str | None, loop: Loop, salt: bytes, changed: Callable[[], None]) -> None:
        self._bus = ModemBus(bus, names.SIM_CHANGES) if bus is None or isinstance(bus, str) else bus
        self._loop, self._salt, self._changed = loop, salt, changed
        self._end: Callable[[], None] | None = None
        self._waiting: list[Done] = []
        self._reading = self._closed = False
        self._again: Cancel | None = None
        self._failures = 0
        self._woken_on = ""

    def start(self) -> None:
        """Begin to listen; where the bus is not there yet, as soon as it is."""
        self.read(lambda _: None)

    def read(self, done: Done) -> None:
        """Read them aside; ``done`` is called once, from the loop, with None where ModemManager could not be asked."""
        self._waiting.append(done)
        if not self._reading:
            self._begin()

    def close(self) -> None:
        """Stop listening; who still waits for a reading is not called."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        # Aside, for the bus may hang; waited for, because GLib's loop in a thread was seen to hang the interpreter's exit.
        with contextlib.suppress(TimeoutError):
            Aside(self._bus.close, "sims").result(1.0)

    def _begin(self) -> None:
        # One reading at a time, and who asks during one gets the next: this one may have been past what changed.
        waiting, self._waiting = self._waiting, []
        self._reading = True

        def work() -> None:
            sims: tuple[SeenSim, ...] | None = None
            failure: AgentError | None = None
            try:
                sims = self._read()
            except AgentError as error:
                failure = error
            self._loop.soon(lambda: self._finish(waiting, sims, failure))

        Aside(work, "sims")

    def _read(self) -> tuple[SeenSim, ...]:
        deadline = Deadline(_SECONDS)
        self._wake_manager(deadline)
        manager = ModemManager(self._bus)
        if self._end is None:
            self._end = manager.watch(lambda: self._loop.soon(self._heard), deadline)
        return seen(manager.modems(deadline), self._salt)

    def _wake_manager(self, deadline: Deadline) -> None:
        """Have a bus that is new to us start ModemManager, where it does not run.

        It leaves a bus that goes, with status 0, and nobody starts it again (Debian's unit has Restart=on-abort). Once for
        each bus: who stops it by hand means it.
        """
        (bus,) = self._bus.call(
            names.BUS_PATH, names.BUS, "GetId", deadline.remaining(), reply="(s)", service=names.BUS
        )
        if bus == self._woken_on:
            return
        self._woken_on = bus
        with contextlib.suppress(AgentError):  # there is none, or it is disabled: the reading tells
            self._bus.call(
                names.BUS_PATH,
                names.BUS,
                "StartServiceByName",
                deadline.remaining(),
                "(su)",
                (names.SERVICE, 0),
                service=names.BUS,
            )

    def _heard(self) -> None:
        if not self._closed:
            self._changed()

    def _finish(self, waiting: Sequence[Done], sims: tuple[SeenSim, ...] | None, failure: AgentError | None) -> None:
        self._reading = False
        if self._closed:
            return
        recovered = failure is None and self._failures > 0
        # That ModemManager comes, the watch tells. That the bus comes back nobody does, so it is asked.
        if failure is None or isinstance(failure, faults.NotRunning):
            self._failures = 0
        elif self._again is None:
            self._again = self._loop.later(min(_LONGEST, _FIRST * 2**self._failures), self._retry)
            self._failures += 1
        for done in waiting:
            done(sims)
        if recovered:
            self._changed()
        if self._waiting:
            self._begin()

    def _retry(self) -> None:
        self._again = None
        self.read(lambda _: None)
