"""ModemManager as the rest of the agent sees it: asked for modems, it answers with facts; told to act, it acts."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from phonecheck.deadline import Deadline
from phonecheck.errors import BearerError, ExitStatus, ModemError, SimError
from phonecheck.model import Lock, Modem, ModemState
from phonecheck.modem import faults, lacking, locks, names, parse
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.caller import Caller
from phonecheck.modem.select import select
from phonecheck.redact import Secret

CALL_TIMEOUT = 5.0
"""Seconds for one D-Bus call that only reads. ModemManager answers in milliseconds, or it hangs."""

_UNLOCK_TIMEOUT = 30.0
"""Seconds for a PIN: some modems take many, and to give up early is to count a try for nothing."""


class Bus(Caller, Protocol):
    """What is needed of the bus; :class:`~phonecheck.modem.bus.ModemBus` is the real one."""

    def managed_objects(self, timeout: float) -> dict[str, Any]:
        """All modems."""

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        """One object's properties."""

    def owner(self, service: str, timeout: float) -> str:
        """Who owns a name."""

    def watch(self, changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        """Hear of changes."""

    def close(self) -> None:
        """Leave it."""


class ModemManager:
    """Reads modems, each time anew, for what was read is old by the next signal; and acts on them.

    Args:
        bus: how to reach it; None for the system bus.
    """

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = ModemBus() if bus is None else bus

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def modems(self, deadline: Deadline) -> tuple[Modem, ...]:
        """All modems that ModemManager knows now. In the seconds after its start it may know none yet.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized.
            DeadlineExceeded: with a modem's exit status.
        """
        objects = dict(self._bus.managed_objects(_timeout(deadline)))
        for path, interface in tuple(parse.parts(objects)):
            try:
                objects[path] = {interface: self._bus.get_all(path, interface, _timeout(deadline))}
            except ModemError as error:
                if error.code != "modem-not-found":
                    raise
                # It went between the two readings. The modem is then shown without it, which is the truth by now.
        return parse.modems(objects)

    def find(self, wanted: str | None, deadline: Deadline) -> Modem:
        """The one modem that ``wanted`` means, as :func:`~phonecheck.modem.select.select` has it.

        Raises:
            ConfigError: bad-setting.
            ModemError: modem-not-found, ambiguous-modem, modem-manager-unavailable, not-authorized.
            DeadlineExceeded: with a modem's exit status.
        """
        return select(self.modems(deadline), wanted)

    def owner(self, deadline: Deadline) -> str:
        """The unique name of the ModemManager that runs, which a restart changes; empty where none does.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
            DeadlineExceeded: with a modem's exit status.
        """
        return self._bus.owner(names.SERVICE, _timeout(deadline))

    def version(self, deadline: Deadline) -> str:
        """The version of the ModemManager that runs; empty where it does not say.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized.
            DeadlineExceeded: with a modem's exit status.
        """
        properties = self._bus.get_all(names.ROOT, names.SERVICE, _timeout(deadline))
        return parse.version(properties.get("Version"))

    def watch(self, changed: Callable[[], None], deadline: Deadline) -> Callable[[], None]:
        """Hear of changes, as :meth:`ModemBus.watch`; what is returned ends it.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
            DeadlineExceeded: with a modem's exit status.
        """
        return self._bus.watch(changed, _timeout(deadline))

    def unlock(self, modem: Modem, pin: Secret, deadline: Deadline) -> None:
        """Send the PIN to the modem's SIM, once; nothing where it is not locked. How many tries are left is not looked at.

        Raises:
            ConfigError: bad-setting, it can be no PIN; none was sent.
            SimError: pin-refused, with the tries left; puk-required; sim-locked, it is not the PIN that it wants;
                sim-missing.
            ModemError: modem-manager-unavailable, not-authorized, modem-not-found; not-connected, ModemManager has given
                the modem up.
            DeadlineExceeded: with a modem's exit status.
        """
        checked = locks.parse_pin(pin.value)
        if modem.state is not ModemState.LOCKED:
            if (missing := lacking.sim(modem)) is not None:
                raise missing
            if modem.state < ModemState.LOCKED and modem.lock is Lock.UNKNOWN:
                raise faults.Busy("modem-manager-unavailable", "ModemManager is still finding out what the modem is.")
            return
        if modem.lock is not Lock.SIM_PIN or modem.sim is None:
            raise locks.locked(modem)
        try:
            self.send_pin(modem.sim.path, checked, deadline)
        except SimError as error:
            if error.code != "pin-refused":
                raise
            after = [found for found in self.modems(deadline) if found.path == modem.path]
            raise locks.refused(after[0] if after else None) from None

    def send_pin(self, sim_path: str, pin: Secret, deadline: Deadline) -> None:
        """Send a PIN to a SIM: a wrong one costs a try.

        Raises:
            SimError: pin-refused, puk-required, sim-missing.
            ModemError: modem-manager-unavailable, not-authorized, modem-not-found.
            DeadlineExceeded: with a modem's exit status; nothing was sent.
        """
        seconds = min(_UNLOCK_TIMEOUT, deadline.require("the SIM was unlocked", ExitStatus.MODEM))
        self._bus.call(sim_path, names.SIM, "SendPin", seconds, "(s)", (pin.value,))

    def enable(self, modem_path: str, deadline: Deadline) -> None:
        """Switch the radio on and let the modem register; returns when it is on, not when it is registered.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized, modem-not-found; :class:`faults.Busy`.
            DeadlineExceeded: with a modem's exit status.
        """
        seconds = deadline.require("the modem was enabled", ExitStatus.MODEM)
        self._bus.call(modem_path, names.MODEM, "Enable", seconds, "(b)", (True,))

    def connect(self, modem_path: str, properties: dict[str, tuple[str, Any]], deadline: Deadline) -> str:
        """Bring a bearer up, and return its path. Its properties are to be read anew: their signal comes after the reply.

        Args:
            modem_path: the modem.
            properties: those of Simple.Connect, each as signature and value.
            deadline: the network may take all of it. ModemManager goes on with what was given up.

        Raises:
            BearerError: connect-failed with the network's word, or where it did not answer in time; not-connected.
            ModemError: modem-manager-unavailable, not-authorized, modem-not-found; :class:`faults.Busy`.
            DeadlineExceeded: with a modem's exit status.
        """
        seconds = deadline.require("the modem was connected", ExitStatus.MODEM)
        try:
            (path,) = self._bus.call(
                *(modem_path, names.SIMPLE, "Connect", seconds, "(a{sv})", (properties,)),
                reply="(o)",
                fault=faults.of_connect,
            )
        except faults.Late:
            raise BearerError(
                "connect-failed",
                f"The network did not answer the request for a data connection in {seconds:.3g} s.",
                hint="Check signal and APN, or allow more time: --timeout.",
            ) from None
        return str(path)


def _timeout(deadline: Deadline) -> float:
    return min(CALL_TIMEOUT, deadline.require("ModemManager answered", ExitStatus.MODEM))
