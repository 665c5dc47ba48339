"""The bus: the one file that knows pydbus and GLib, and it imports them only when it is used.

Calls go through the connection itself. A pydbus proxy costs a round trip and a class for every object, its property
reads take no timeout at all, and a call's default timeout is for ever.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from phonecheck.aside import Aside
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ModemError
from phonecheck.modem import faults, names

T = TypeVar("T")

_SPARE = 0.2
"""Seconds that a call's thread has to hand over GLib's own time-out, so that it is rarely left behind."""


class ModemBus:
    """A connection to the bus of ModemManager and NetworkManager, opened by the first call and again after it was lost.

    It is private: the connection that GLib shares ends the process when the bus goes, and is never renewed.

    Args:
        address: a D-Bus address; None for the system bus, which ``DBUS_SYSTEM_BUS_ADDRESS`` may move.
        hears: the signals that a watch is told of.
    """

    def __init__(self, address: str | None = None, hears: Sequence[names.Rule] = names.CHANGES) -> None:
        self._address = address
        self._hears = hears
        self._line: _Line | None = None
        self._opening = threading.Lock()
        self._listeners: tuple[Callable[[], None], ...] = ()

    def managed_objects(self, timeout: float) -> dict[str, Any]:
        """``{path: {interface: {property: value}}}`` of all modems, in one round trip; timeout in seconds.

        Raises:
            ModemError: as :meth:`call`.
        """
        reply = self.call(names.ROOT, names.OBJECT_MANAGER, "GetManagedObjects", timeout, reply="(a{oa{sa{sv}}})")
        objects: dict[str, Any] = reply[0]
        return objects

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        """All properties of one interface of an object; timeout in seconds.

        Raises:
            ModemError: as :meth:`call`; modem-not-found, the object is gone.
        """
        reply = self.call(
            path, names.PROPERTIES, "GetAll", timeout, "(s)", (interface,), reply="(a{sv})", service=service
        )
        properties: dict[str, Any] = reply[0]
        return properties

    def owner(self, service: str, timeout: float) -> str:
        """The unique name of whoever owns a name now, which a restart changes; empty where nobody does.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
        """
        try:
            (name,) = self.call(
                names.BUS_PATH, names.BUS, "GetNameOwner", timeout, "(s)", (service,), reply="(s)", service=names.BUS
            )
        except faults.NotRunning:
            return ""
        return str(name)

    def own_name(self, timeout: float) -> str:
        """This connection's own name on the bus; timeout in seconds, for the first use of it.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
        """
        return str(self._open(timeout).connection.get_unique_name())

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
        service: str = names.SERVICE,
        fault: Callable[[str, str], AgentError] | None = None,
        start: bool = False,
    ) -> tuple[Any, ...]:
        """Call a method of a service.

        Args:
            path: an object path.
            interface: the method's interface.
            method: its name.
            timeout: seconds, above 0, for the whole of it.
            signature: of the arguments, as a tuple.
            args: the arguments; one of type ``v`` as its signature and its value: ``{"apn": ("s", "internet")}``.
            reply: the signature of the answer, as a tuple, where another one is an error.
            service: whose method it is.
            fault: what an error reply stands for, by its name and its message; :func:`faults.of_name` where None.
            start: have the bus start a service that does not run; else that is an error.

        Returns:
            The answer, in plain Python values throughout.

        Raises:
            ModemError: modem-manager-unavailable, as :class:`faults.Late` where no answer came in time.
            AgentError: whatever ``fault`` makes of an error reply.
        """
        gio, glib = _gi()
        program = names.program(service)
        flags = gio.DBusCallFlags.NONE if start else gio.DBusCallFlags.NO_AUTO_START
        deadline = Deadline(timeout)
        connection = self._open(timeout).connection
        variant = glib.Variant(signature, _wrapped(glib, glib.VariantType(signature), args))

        def ask() -> tuple[Any, ...]:
            answer = connection.call_sync(
                service,
                path,
                interface,
                method,
                variant,
                glib.VariantType(reply) if reply else None,
                flags,
                math.ceil(deadline.remaining() * 1000) or 1,  # milliseconds; GLib takes 0 for no time at all
                None,
            )
            unpacked: tuple[Any, ...] = answer.unpack()
            return unpacked

        try:
            return Aside(ask, "dbus").result(timeout + _SPARE)
        except TimeoutError:
            raise faults.Late(timeout, program) from None
        except glib.Error as error:
            raise _fault(error, timeout, program, fault) from None

    def watch(self, changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        """Call ``changed`` whenever one of the signals came that this bus hears, or the bus itself went.

        By default those tell that a modem, SIM or bearer came, went or changed, or a manager did.

        Watch first and read afterwards: a change between a reading and a later subscription would never be heard of.
        The call comes from a thread of the bus's own, says nothing of what changed, and may come often; the answer to it
        is to read again. Signals of one bus are in order with the replies to its calls. When the bus goes there is one
        more call, and with the next reading that finds it back the watch goes on.

        Returns:
            What ends it; a call that is under way may still come to its end.

        Raises:
            ModemError: modem-manager-unavailable, the bus cannot be reached.
        """

        def once() -> None:  # a name of this watch's own, for one callable may be given twice
            changed()

        def end() -> None:
            self._listeners = tuple(listener for listener in self._listeners if listener is not once)

        self._open(timeout).listen()
        self._listeners += (once,)
        return end

    def close(self) -> None:
        """End the watches, wait for their thread, and leave the bus."""
        self._listeners = ()
        if self._line is not None:
            self._line.close()
        self._line = None

    def _heard(self) -> None:
        for listener in self._listeners:
            listener()

    def _open(self, timeout: float) -> _Line:
        _, glib = _gi()
        with self._opening:
            if self._line is not None and not self._line.connection.is_closed():
                return self._line
            if self._line is not None:
                self._line.quit()
            try:
                self._line = Aside(lambda: _Line(self._address, self._hears, self._heard), "dbus").result(timeout)
            except TimeoutError:
                raise faults.no_bus(f"it did not answer in {timeout:.3g} s") from None
            except glib.Error as error:
                raise faults.no_bus(error.message) from None
            if self._listeners:
                self._line.listen()
            return self._line


class _Line:
    """One connection, and the thread with a GLib main loop that carries its signals once somebody listens."""

    def __init__(self, address: str | None, hears: Sequence[names.Rule], heard: Callable[[], None]) -> None:
        import pydbus

        gio, self._glib = _gi()
        self._hears = hears
        self._context = self._glib.MainContext.new()
        self._tell = heard
        self._thread: threading.Thread | None = None
        # The signal "closed" is sent to the context in which the connection was made (GDBusConnection, "Threads").
        self._context.push_thread_default()
        try:
            # Not pydbus.SystemBus(): see ModemBus.
            bus = pydbus.connect(address or gio.dbus_address_get_for_bus_sync(gio.BusType.SYSTEM, None))
        finally:
            self._context.pop_thread_default()
        self.connection = bus.con
        self._held = held(self.connection)

    def listen(self) -> None:
        if self._thread is not None:
            return
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
        subscriptions = [
            self.connection.signal_subscribe(r.sender, r.interface, r.member, None, r.first, none, self._heard)
            for r in self._hears
        ]
        closed = self.connection.connect("closed", self._heard)
        # A loop that was told to quit before it ran would run for ever, so listen() waits for its first turn.
        started = glib.idle_source_new()
        started.set_callback(lambda *_: self._running.set())
        started.attach(self._context)
        self._loop.run()
        self.connection.disconnect(closed)
        for subscription in subscriptions:
            self.connection.signal_unsubscribe(subscription)
        self._context.pop_thread_default()

    def _heard(self, *_: object) -> None:
        self._tell()

    def quit(self) -> None:
        if self._thread is not None:
            self._loop.quit()

    def close(self) -> None:
        self.quit()
        # Joined, for a loop that still ran at the interpreter's exit was seen to hang it.
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()
        if not self.connection.is_closed():
            with contextlib.suppress(self._glib.Error):  # lost in this very moment: closed all the same
                self.connection.close_sync(None)
        # "closed" waits there to be told, and keeps connection, context and the context's eventfd alive until it is.
        if threading.current_thread() is not self._thread:
            while self._context.iteration(False):
                pass


def held(connection: Any) -> Any:
    """A reference of GLib's own to a connection, to be kept for as long as it may receive anything.

    Without one, PyGObject wants Python's lock for each message that GLib's thread takes, and GLib's thread asks for it under
    a lock of its own that the end of any connection waits for with Python's: both stand still for ever (seen once, with a
    bus that went; g_object_ref's toggle in on_worker_message_received, against g_dbus_connection_dispose).
    """
    gio, _ = _gi()
    holder = gio.ListStore.new(gio.DBusConnection.__gtype__)
    holder.append(connection)
    return holder


def _wrapped(glib: Any, kind: Any, value: Any) -> Any:
    """The value with each ``(signature, value)`` that stands for a ``v`` made a GLib.Variant, which GLib insists on."""
    if kind.is_variant():
        signature, inner = value
        return glib.Variant(signature, _wrapped(glib, glib.VariantType(signature), inner))
    if kind.is_array() and kind.element().is_dict_entry():
        entry = kind.element()
        return {key: _wrapped(glib, entry.value(), inner) for key, inner in value.items()}
    if kind.is_array():
        return [_wrapped(glib, kind.element(), inner) for inner in value]
    if kind.is_tuple():
        kinds = _members(glib, kind.dup_string()[1:-1])
        return tuple(_wrapped(glib, k, inner) for k, inner in zip(kinds, value, strict=True))
    return value


def _members(glib: Any, signature: str) -> list[Any]:
    """The types that a tuple's signature names; no type is the beginning of another.

    VariantType.first() and next() would do, but Python gets a copy of the first member alone, and next() reads past it.
    """
    found = []
    while signature:
        length = next(n for n in range(1, len(signature) + 1) if glib.VariantType.string_is_valid(signature[:n]))
        found.append(glib.VariantType(signature[:length]))
        signature = signature[length:]
    return found


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


def _fault(error: Any, timeout: float, program: str, fault: Callable[[str, str], AgentError] | None) -> AgentError:
    gio, _ = _gi()
    name = gio.DBusError.get_remote_error(error)
    if name is not None:
        said = error.message.partition(": ")[2]
        return fault(name, said) if fault else faults.of_name(name, said, program)
    # No name: the failure is on this side.
    if error.matches(gio.io_error_quark(), gio.IOErrorEnum.TIMED_OUT):
        return faults.Late(timeout, program)
    if error.matches(gio.io_error_quark(), gio.IOErrorEnum.INVALID_ARGUMENT):
        return ModemError("modem-manager-unavailable", f"What answered is not {program} as it is known here.")
    return faults.no_bus(error.message)
