"""The bus: the one file that knows pydbus and GLib, and it imports them only when it is used.

Calls go through the connection itself. A pydbus proxy costs a round trip and a class for every object, its property
reads take no timeout at all, and a call's default timeout is for ever.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.errors import ModemError
from phonecheck.modem import faults, names

T = TypeVar("T")

_SPARE = 0.2
"""Seconds that a call's thread has to hand over GLib's own time-out, so that it is rarely left behind."""


class ModemBus:
    """A connection to ModemManager's bus, opened by the first call and again after the bus was lost.

    It is private: the connection that GLib shares ends the process when the bus goes, and is never renewed.

    Args:
        address: a D-Bus address; None for the system bus, which ``DBUS_SYSTEM_BUS_ADDRESS`` may move.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._bus: Any = None
        self._watch: _Watch | None = None

    def managed_objects(self, timeout: float) -> dict[str, Any]:
        """``{path: {interface: {property: value}}}`` of all modems, in one round trip; timeout in seconds.

        Raises:
            ModemError: as :meth:`call`.
        """
        reply = self.call(names.ROOT, names.OBJECT_MANAGER, "GetManagedObjects", timeout, reply="(a{oa{sa{sv}}})")
        objects: dict[str, Any] = reply[0]
        return objects

    def get_all(self, path: str, interface: str, timeout: float) -> dict[str, Any]:
        """All properties of one interface of an object; timeout in seconds.

        Raises:
            ModemError: as :meth:`call`; modem-not-found, the object is gone.
        """
        reply = self.call(path, names.PROPERTIES, "GetAll", timeout, "(s)", (interface,), reply="(a{sv})")
        properties: dict[str, Any] = reply[0]
        return properties

    def call(
        self,
        path: str,
        interface: str,
        method: str,
        timeout: float,
        signature: str = "()",
        args: tuple[Any, ...] = (),
        *,
        reply: str | None = None,
    ) -> tuple[Any, ...]:
        """Call a method of ModemManager, which is not started where it does not run.

        Args:
            path: an object path.
            interface: the method's interface.
            method: its name.
            timeout: seconds, above 0, for the whole of it.
            signature: of the arguments, as a tuple.
            args: the arguments.
            reply: the signature of the answer, as a tuple, where another one is an error.

        Returns:
            The answer, in plain Python values throughout.

        Raises:
            ModemError: modem-manager-unavailable, not-authorized, and whatever else faults.py makes of the reply.
            SimError, BearerError: likewise.
        """
        gio, glib = _gi()
        deadline = Deadline(timeout)
        connection = self._connection(timeout)

        def ask() -> tuple[Any, ...]:
            answer = connection.call_sync(
                names.SERVICE,
                path,
                interface,
                method,
                glib.Variant(signature, args),
                glib.VariantType(reply) if reply else None,
                gio.DBusCallFlags.NO_AUTO_START,
                math.ceil(deadline.remaining() * 1000) or 1,  # milliseconds; GLib takes 0 for no time at all
                None,
            )
            unpacked: tuple[Any, ...] = answer.unpack()
            return unpacked

        try:
            return Aside(ask, "dbus").result(timeout + _SPARE)
        except TimeoutError:
            raise faults.late(timeout) from None
        except glib.Error as error:
            raise _fault(error, timeout) from None

    def watch(self, changed: Callable[[], None], timeout: float) -> None:
        """Call ``changed`` whenever a modem, SIM or bearer came, went or changed, or ModemManager itself did.

        Watch first and read afterwards: a change between a reading and a later subscription would never be heard of.
        The call comes from a thread of the bus's own, says nothing of what changed, and may come often; the answer to it
        is to read again. Signals of one bus are in order with the replies to its calls. The watch ends silently with the
        connection; a reading then fails.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
        """
        if self._watch is not None:
            raise ValueError("this bus is watched already")
        self._watch = _Watch(self._connection(timeout), changed)

    def close(self) -> None:
        """End the watch, wait for its thread, and leave the bus."""
        if self._watch is not None:
            self._watch.stop()
        if self._bus is not None and not self._bus.con.is_closed():
            _, glib = _gi()
            with contextlib.suppress(glib.Error):  # lost in this very moment: closed all the same
                self._bus.con.close_sync(None)
        self._bus = self._watch = None

    def _connection(self, timeout: float) -> Any:
        gio, glib = _gi()
        if self._bus is None or self._bus.con.is_closed():
            try:
                self._bus = Aside(lambda: _connect(gio, self._address), "dbus").result(timeout)
            except TimeoutError:
                raise faults.no_bus(f"it did not answer in {timeout:.3g} s") from None
            except glib.Error as error:
                raise faults.no_bus(error.message) from None
        return self._bus.con


class _Watch:
    """One thread with a GLib main loop of its own, for the signals."""

    def __init__(self, connection: Any, changed: Callable[[], None]) -> None:
        _, self._glib = _gi()
        self._connection, self._changed = connection, changed
        self._context = self._glib.MainContext.new()
        self._loop = self._glib.MainLoop.new(self._context, False)
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="phonecheck-signals", daemon=True)
        self._thread.start()
        self._running.wait()

    def _run(self) -> None:
        gio, glib = _gi()
        # Signals arrive in the context that is the thread's default when it subscribes.
        self._context.push_thread_default()
        none = gio.DBusSignalFlags.NONE
        rules = (
            # Bearers and SIMs are not below their modem's path, so any path.
            (names.SERVICE, names.PROPERTIES, "PropertiesChanged", None),
            (names.SERVICE, names.OBJECT_MANAGER, None, None),
            (names.BUS, names.BUS, "NameOwnerChanged", names.SERVICE),
        )
        subscriptions = [
            self._connection.signal_subscribe(sender, interface, member, None, first, none, self._heard)
            for sender, interface, member, first in rules
        ]
        # A loop that was told to quit before it ran would run for ever, so the constructor waits for its first turn.
        started = glib.idle_source_new()
        started.set_callback(lambda *_: self._running.set())
        started.attach(self._context)
        self._loop.run()
        for subscription in subscriptions:
            self._connection.signal_unsubscribe(subscription)
        self._context.pop_thread_default()

    def _heard(self, *_: object) -> None:
        self._changed()

    def stop(self) -> None:
        # Joined, for a loop that still ran at the interpreter's exit was seen to hang it.
        self._loop.quit()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _connect(gio: Any, address: str | None) -> Any:
    import pydbus

    # Not pydbus.SystemBus(): see ModemBus.
    return pydbus.connect(address or gio.dbus_address_get_for_bus_sync(gio.BusType.SYSTEM, None))


def _gi() -> tuple[Any, Any]:
    try:
        import pydbus  # noqa: F401  its absence must be told before anything is asked of GLib
        from gi.repository import Gio, GLib
    except ImportError:
        raise ModemError(
            "modem-manager-unavailable",
            "Python's D-Bus libraries are missing.",
            hint="Install them: apt install python3-gi python3-pydbus.",
        ) from None
    return Gio, GLib


def _fault(error: Any, timeout: float) -> ModemError:
    gio, _ = _gi()
    name = gio.DBusError.get_remote_error(error)
    if name is not None:
        return faults.of_name(name, error.message.partition(": ")[2])
    # No name: the failure is on this side.
    if error.matches(gio.io_error_quark(), gio.IOErrorEnum.TIMED_OUT):
        return faults.late(timeout)
    if error.matches(gio.io_error_quark(), gio.IOErrorEnum.INVALID_ARGUMENT):
        return ModemError("modem-manager-unavailable", "What answered is not ModemManager as it is known here.")
    return faults.no_bus(error.message)
