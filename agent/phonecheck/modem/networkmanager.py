"""NetworkManager, where it manages the modem: its own connection is activated, so that the two of us do not fight.

ModemManager connects the modem in either case. NetworkManager asks it to, configures the interface as its connection
says, and takes a connection down that it did not bring up. Interface: https://networkmanager.dev/docs/api/latest/spec.html
Order of events, error names and states are those of NetworkManager 1.42 and ModemManager 1.20.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Protocol

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError, ModemError, SimError
from phonecheck.model import IPAddress
from phonecheck.modem import faults, names, nmdevice
from phonecheck.modem.caller import Caller
from phonecheck.modem.nmdevice import ROOT, SERVICE, ActiveState, Device, DeviceState, Step

_OBJECTS = "/org/freedesktop"
_APN = "Check the APN in its connection: nmcli connection. Its log says more: journalctl -u NetworkManager."
_SETTINGS = f"{SERVICE}.Settings.Connection"

_CALL_SECONDS = 5.0
_LEAST_SECONDS = 0.2
"""For a last reading when the time is up: that it came too late says more than that nobody answered in a millisecond."""
_APPEARING = 1.0
"""Seconds in which an active connection appears after it was asked for; it takes milliseconds."""
_AUTOCONNECT_SECONDS = 0.5
"""How long NetworkManager may take to begin by itself what is to connect by itself; it takes milliseconds."""


class Bus(Caller, Protocol):
    """What is needed of the bus; :class:`~phonecheck.modem.bus.ModemBus` is the real one."""

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        """One object's properties."""

    def owner(self, service: str, timeout: float) -> str:
        """Who owns a name."""

    def watch(self, changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        """Hear of changes."""


class NetworkManager:
    """The running NetworkManager, asked anew each time; where it does not run it manages nothing.

    Args:
        bus: how to reach it, and ModemManager.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def manages(self, modem_path: str, timeout: float) -> bool:
        """Whether this modem is NetworkManager's to connect; timeout in seconds.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized: NetworkManager is there and does not say.
        """
        device = nmdevice.find(self._objects(timeout), modem_path)
        return device is not None and device.state > DeviceState.UNMANAGED

    def ip_interface(self, modem_path: str, timeout: float) -> str:
        """The network interface of a modem, ``ppp0`` for a PPP bearer; empty where it is not known."""
        with contextlib.suppress(ModemError):
            if device := nmdevice.find(self._objects(timeout), modem_path):
                return device.interface
        return ""

    def name_servers(self, interface: str, timeout: float) -> tuple[IPAddress, ...]:
        """The DNS servers of an interface; none where NetworkManager knows none."""
        with contextlib.suppress(ModemError):
            return nmdevice.name_servers(self._objects(timeout), interface)
        return ()

    def activate(self, modem_path: str, deadline: Deadline, started: Callable[[str], None]) -> None:
        """Activate the connection that NetworkManager thinks best for a modem; return when it is up.

        What is up, or about to be without us, is not begun again, and is not ours.

        Args:
            modem_path: the modem's path in ModemManager.
            deadline: for the whole of it.
            started: called with what :meth:`deactivate` takes, before NetworkManager is asked and once it answered; with
                nothing where it refused.

        Raises:
            BearerError: not-connected, NetworkManager has no connection for it or keeps it off; connect-failed.
            SimError: what the network or the SIM had against it.
            ModemError: modem-manager-unavailable, not-authorized.
        """
        changed = threading.Event()
        end_watch = self._bus.watch(changed.set, _seconds(deadline))
        try:
            self._activate(modem_path, deadline, started, changed)
        finally:
            end_watch()

    def _activate(
        self, modem_path: str, deadline: Deadline, started: Callable[[str], None], changed: threading.Event
    ) -> None:
        owner = self._bus.owner(SERVICE, _seconds(deadline))
        attempts = self._attempts(modem_path, deadline)
        let_begin = deadline.within(_AUTOCONNECT_SECONDS)
        active = ""
        while True:
            changed.clear()
            objects = self._objects(_seconds(deadline))
            if not objects:
                raise faults.NotRunning(
                    "modem-manager-unavailable",
                    "NetworkManager stopped before the modem was connected.",
                    hint="Start it: systemctl start NetworkManager.",
                )
            device = nmdevice.find(objects, modem_path)
            begins_itself = not active and not let_begin.expired and self._begins_itself(device, deadline)
            ours = nmdevice.active_state(objects, active)
            step = nmdevice.next_step(device, ours, asked=bool(active), begins_itself=begins_itself)
            if step is Step.DONE:
                return
            if step is Step.FAILED:
                raise self._failure(modem_path, attempts) if device else _went_away()
            if step is Step.ASK and device is not None:
                # Before the answer is here nothing but the device names what it may have begun.
                started(owner + device.path)
                try:
                    active = self._ask(device, deadline)
                except faults.Late:
                    raise
                except AgentError:
                    started("")
                    raise
                started(owner + active)
                continue
            changed.wait((let_begin if step is Step.LET_BEGIN else deadline).remaining())
            if deadline.expired:
                raise _too_late(device)

    def deactivate(self, active_path: str, timeout: float) -> None:
        """Take down what :meth:`activate` told of, and return when it is down; nothing where that is gone.

        Args:
            active_path: as it was told. The unique name of that NetworkManager is part of it: a restarted one numbers
                its connections anew, and the same path may be somebody else's.
            timeout: seconds.

        Raises:
            ModemError: NetworkManager refuses or does not answer.
        """
        deadline = Deadline(timeout)
        owner, slash, rest = active_path.partition("/")
        path = slash + rest
        if self._bus.owner(SERVICE, _seconds(deadline)) != owner:
            return
        changed = threading.Event()
        end_watch = self._bus.watch(changed.set, _seconds(deadline))
        try:
            if not (path := self._begun(path, deadline.within(_APPEARING), changed)):
                return
            with contextlib.suppress(_Gone):
                self._bus.call(
                    *(ROOT, SERVICE, "DeactivateConnection", _seconds(deadline), "(o)", (path,)),
                    service=SERVICE,
                    fault=_refused,
                )
            # The answer comes first; address and routes go, and the bearer, some 25 ms later.
            while not deadline.expired:
                changed.clear()
                if nmdevice.active_state(self._objects(_seconds(deadline)), path) in (None, ActiveState.DEACTIVATED):
                    return
                changed.wait(deadline.remaining())
        finally:
            end_watch()

    def _begun(self, path: str, appears: Deadline, changed: threading.Event) -> str:
        """The active connection itself, or the device's, which it is given within the time; empty where it is not."""
        while True:
            changed.clear()
            active = nmdevice.active_of(self._objects(_seconds(appears)), path)
            if active or appears.expired:
                return active
            changed.wait(appears.remaining())

    def _ask(self, device: Device, deadline: Deadline) -> str:
        # No connection named: NetworkManager takes the one that it thinks best for the device.
        arguments = (nmdevice.NOTHING, device.path, nmdevice.NOTHING)
        (active,) = self._bus.call(
            *(ROOT, SERVICE, "ActivateConnection", max(deadline.remaining(), _LEAST_SECONDS), "(ooo)", arguments),
            reply="(o)",
            service=SERVICE,
            fault=_refused,
        )
        return str(active)

    def _begins_itself(self, device: Device | None, deadline: Deadline) -> bool:
        if device is None or not device.autoconnect or device.state is not DeviceState.DISCONNECTED:
            return False
        for path in device.connections:
            with contextlib.suppress(ModemError):  # gone meanwhile, or not for this user to see
                (settings,) = self._bus.call(path, _SETTINGS, "GetSettings", _seconds(deadline), service=SERVICE)
                if settings.get("connection", {}).get("autoconnect", True):
                    return True
        return False

    def _objects(self, timeout: float) -> dict[str, Any]:
        try:
            (objects,) = self._bus.call(
                *(_OBJECTS, names.OBJECT_MANAGER, "GetManagedObjects", timeout),
                reply="(a{oa{sa{sv}}})",
                service=SERVICE,
            )
        except faults.NotRunning:
            return {}
        found: dict[str, Any] = objects
        return found

    def _attempts(self, modem_path: str, deadline: Deadline) -> dict[str, tuple[int, str, str]]:
        """Of each bearer, how often it was tried, and what the network had against it the last time."""
        found = {}
        with contextlib.suppress(ModemError):
            modem = self._bus.get_all(modem_path, names.MODEM, _seconds(deadline))
            for path in modem.get("Bearers", ()):
                bearer = self._bus.get_all(path, names.BEARER, _seconds(deadline))
                name, said = bearer.get("ConnectionError", ("", ""))
                found[path] = (bearer.get("Stats", {}).get("attempts", 0), name, said)
        return found

    def _failure(self, modem_path: str, before: dict[str, tuple[int, str, str]]) -> ModemError:
        # NetworkManager's own reason is "unknown" for a wrong APN, and is overwritten within the millisecond.
        for path, attempt in self._attempts(modem_path, Deadline(_CALL_SECONDS)).items():
            _, name, said = attempt
            if name and attempt != before.get(path):
                known = faults.of_name(name, said)
                if known.code == "connect-failed":
                    return BearerError(
                        "connect-failed", f"NetworkManager could not connect the modem. {known.message}", hint=_APN
                    )
                if isinstance(known, BearerError | SimError):
                    return known
                who = "ModemManager ended it" if name.startswith(names.CORE_ERROR) else "the network refused"
                return _failed(f"{who}, with {redact.text(name.rpartition('.')[2])}")
        return _failed("it does not say why")


class _Gone(ModemError):
    """There is no such active connection."""


def _refused(name: str, said: str) -> AgentError:
    match name.removeprefix(f"{SERVICE}."):
        case "UnknownConnection":
            return nmdevice.no_connection()
        case "ConnectionNotActive":
            return _Gone("modem-not-found", "NetworkManager's connection is not active any more.")
        case "UnknownDevice":
            return _went_away()
        case "PermissionDenied":
            return ModemError(
                "not-authorized",
                "NetworkManager does not let this user connect the modem.",
                hint="Run as root, or allow org.freedesktop.NetworkManager.network-control in polkit.",
            )
    return faults.of_name(name, said, "NetworkManager")


def _went_away() -> ModemError:
    return ModemError("modem-not-found", "The modem went away before NetworkManager had connected it.")


def _failed(why: str, hint: str | None = None) -> BearerError:
    return BearerError(
        "connect-failed", f"NetworkManager could not connect the modem: {why}.", hint=_APN if hint is None else hint
    )


def _too_late(device: Device | None) -> BearerError:
    state = device.state if device else DeviceState.UNKNOWN
    match state:
        case DeviceState.NEED_AUTH:
            return _failed(
                "it waits for a PIN or a password, and nobody gives it one",
                "Unlock the SIM: phonecheck modem unlock; or complete the connection: nmcli --ask connection up NAME.",
            )
        case DeviceState.PREPARE | DeviceState.CONFIG:
            doing = "was still connecting"
        case DeviceState.IP_CONFIG | DeviceState.IP_CHECK | DeviceState.SECONDARIES:
            doing = "was still configuring the interface"
        case _:
            doing = f"had it at {state.word}"
    return _failed(f"it {doing} when the time was up", "Check signal and coverage, or allow more time with --timeout.")


def _seconds(deadline: Deadline) -> float:
    return max(deadline.within(_CALL_SECONDS).remaining(), _LEAST_SECONDS)
