"""The D-Bus API, org.phonecheck.Agent1: exported, guarded, and brought back whenever the bus itself was away.

It speaks to GLib directly. pydbus exports objects too, but answers a call before polkit could be asked, and knows no
connection that is renewed. Everything but the way to the bus happens in GLib's default context, the service's loop.
"""

from __future__ import annotations

import contextlib
import logging
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from phonecheck.aside import Aside
from phonecheck.errors import AgentError, ServiceError
from phonecheck.modem import names
from phonecheck.modem.bus import held
from phonecheck.service import polkit, results
from phonecheck.service.model import Record
from phonecheck.service.options import LARGEST, too_large
from phonecheck.service.ports import Cancel, Loop

NAME = "org.phonecheck.Agent1"
PATH = "/org/phonecheck/Agent1"
INTERFACE = NAME

_BUS_SECONDS = 5.0
_LONGEST = 30.0
"""Seconds between two tries to reach a bus that is away; 1, 2, 4 … before."""
_DO_NOT_QUEUE, _OWNER, _ALREADY_OWNER = 4, 1, 4  # D-Bus Specification, RequestName

_log = logging.getLogger("phonecheck.service")


class Calls(Protocol):
    """What the API asks of the service. Each returns at once, and raises an AgentError that the caller is told by name."""

    def verify(self, given: Mapping[str, Any]) -> str:
        """Have a check made; the options as they came, unchecked. Returns its id."""

    def check(self, id: str) -> Mapping[str, Any]:  # noqa: A002  the API's own word
        """A check's ``state``, and its result when it is done."""

    def history(self, limit: int) -> Iterable[Mapping[str, Any]]:
        """The results of the last checks, the newest first."""

    def properties(self) -> Mapping[str, Any]:
        """All properties as they are now, by name."""


def interface_xml() -> str:
    """The interface in D-Bus' introspection format."""
    # Not importlib.resources: half a megabyte for one file that lies next to this one.
    return Path(__file__).with_name(f"{NAME}.xml").read_text(encoding="utf-8")


class Api:
    """The object on the bus; as the agent's Listener it sends the signals. What comes while there is no bus is dropped.

    Args:
        address: a D-Bus address; None for the system bus, which ``DBUS_SYSTEM_BUS_ADDRESS`` may move.
        loop: the service's, on GLib's default context; all methods are called from it.
        calls: who answers.
    """

    def __init__(self, address: str | None, loop: Loop, calls: Calls) -> None:
        self._address, self._loop, self._calls = address, loop, calls
        self._gio, self._glib = _gi()
        self._info = self._gio.DBusNodeInfo.new_for_xml(interface_xml()).lookup_interface(INTERFACE)
        self._connection: Any = None
        self._unnamed: Any = None
        self._held: list[Any] = []
        self._again: Cancel | None = None
        self._tries = 0
        self._closed = self._stale = False
        self._told: Mapping[str, Any] = {}

    @property
    def connected(self) -> bool:
        """Whether the name is ours on a bus that is there."""
        return self._connection is not None

    def start(self) -> None:
        """Export the object and take the name; where the bus is away, as soon as it is back.

        Raises:
            ServiceError: already-running, another process has the name.
        """
        giving_up = self._gio.Cancellable()
        try:
            self._enter(Aside(lambda: self._join(giving_up), "dbus").result(_BUS_SECONDS))
        except TimeoutError:
            giving_up.cancel()
            self._absent(f"it did not answer in {_BUS_SECONDS:.0f} s")
        except self._glib.Error as error:
            self._absent(error.message)

    def close(self) -> None:
        """Send what is still to be sent, for at most a second, and leave the bus."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        if (connection := self._connection) is not None:
            self._announce()
            self._connection = None

            def leave() -> None:
                connection.flush_sync(None)
                connection.close_sync(None)

            with contextlib.suppress(self._glib.Error, TimeoutError):
                Aside(leave, "dbus").result(1.0)

    def check_started(self, id: str) -> None:  # noqa: A002  the API's own word
        """Send CheckStarted."""
        self._emit(INTERFACE, "CheckStarted", "(s)", id)
        self.changed()

    def check_completed(self, record: Record) -> None:
        """Send CheckCompleted."""
        self._emit(INTERFACE, "CheckCompleted", "(sa{sv})", record.id, self._check(results.result_of(record)))
        self.changed()

    def sim_changed(self, shown: str) -> None:
        """Send SimChanged."""
        self._emit(INTERFACE, "SimChanged", "(s)", results.text(shown))

    def changed(self) -> None:
        """Send PropertiesChanged in the loop's next turn, for the properties that then have another value."""
        if self._connection is not None and not self._stale:
            self._stale = True
            self._loop.soon(self._announce)

    # The way to the bus.

    def _join(self, giving_up: Any) -> tuple[Any, bool]:
        """A connection with the object on it, and whether the name came with it; in a thread of its own, for it blocks."""
        gio, glib = self._gio, self._glib
        address = self._address or gio.dbus_address_get_for_bus_sync(gio.BusType.SYSTEM, None)
        flags = gio.DBusConnectionFlags
        # Not the connection that GLib shares: that one ends the process when the bus goes, and is never renewed.
        connection = gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, giving_up
        )
        self._held.append(held(connection))
        try:
            _export(connection, self._info, self._called)
            # The object is there before its name: a caller for whom the bus started us asks at once.
            (reply,) = connection.call_sync(
                *(names.BUS, names.BUS_PATH, names.BUS, "RequestName"),
                glib.Variant("(su)", (NAME, _DO_NOT_QUEUE)),
                glib.VariantType("(u)"),
                *(gio.DBusCallFlags.NONE, int(_BUS_SECONDS * 1000), giving_up),
            ).unpack()
        except glib.Error as error:
            if gio.DBusError.get_remote_error(error) == f"{names.BUS_ERROR}AccessDenied":
                return connection, False
            connection.close(None, None)
            raise
        if reply not in (_OWNER, _ALREADY_OWNER):
            connection.close(None, None)
            raise ServiceError("already-running", f"Another process is {NAME} on the bus.")
        if giving_up.is_cancelled():  # nobody waits for it any more, and it would hold the name against the next try
            connection.close(None, None)
        return connection, True

    def _enter(self, joined: tuple[Any, bool]) -> None:
        connection, named = joined
        if self._closed:
            connection.close(None, None)
            return
        if connection.is_closed():
            self._absent("it closed the connection")
            return
        connection.connect("closed", self._lost)
        del self._held[:-1]  # of those before it nothing comes any more
        if not named:
            self._unnamed = connection  # for its end: when the bus comes back, its policy may be another
            _log.warning("The bus lets this user not be %s: there is no D-Bus API. See %s.conf.", NAME, NAME)
            return
        if self._tries:
            _log.info("The system bus is back.")
        self._tries = 0
        self._connection = connection
        self._told = self._calls.properties()

    def _lost(self, *_: object) -> None:
        self._connection = self._unnamed = None
        self._absent("it closed the connection")

    def _absent(self, reason: str) -> None:
        if self._closed:
            return
        if not self._tries:
            _log.warning("The system bus cannot be reached, there is no D-Bus API for now: %s.", reason.rstrip("."))
        self._again = self._loop.later(min(_LONGEST, 2.0**self._tries), self._retry)
        self._tries = min(self._tries + 1, 10)

    def _retry(self) -> None:
        giving_up = self._gio.Cancellable()
        patience = self._loop.later(_BUS_SECONDS, giving_up.cancel)

        def work() -> None:
            try:
                joined = self._join(giving_up)
            except (self._glib.Error, ServiceError) as error:
                reason = error.message
                self._loop.soon(lambda: arrived(lambda: self._absent(reason)))
            else:
                self._loop.soon(lambda: arrived(lambda: self._enter(joined)))

        def arrived(then: Callable[[], None]) -> None:
            patience.cancel()
            then()

        Aside(work, "dbus")

    # What callers ask.

    def _called(
        self, connection: Any, sender: str, _: str, interface: str, method: str, parameters: Any, invocation: Any
    ) -> None:
        if interface == names.PROPERTIES:
            self._answer(invocation, lambda: self._properties(method, parameters))
        elif method == "Check":
            (asked,) = parameters.unpack()
            self._answer(invocation, lambda: ("(a{sv})", self._check(self._calls.check(asked))))
        elif method == "History":
            (limit,) = parameters.unpack()
            limit = min(limit or results.MOST, results.MOST)
            self._answer(
                invocation,
                lambda: ("(aa{sv})", [self._check(c) for c in results.fitting(self._calls.history(limit))]),
            )
        else:

            def verify() -> None:
                self._answer(invocation, lambda: ("(s)", self._calls.verify(_options(parameters))))

            self._when_admitted(connection, sender, invocation, verify)

    def _answer(self, invocation: Any, work: Callable[[], tuple[str, Any]]) -> None:
        try:
            signature, value = work()
            reply = self._glib.Variant(signature, (value,))
        except AgentError as error:
            invocation.return_dbus_error(results.error_name(error.code), results.text(error.message))
        except Exception:  # noqa: BLE001  whatever it is, it is this answer's alone
            # A bug in one answer is an error for its caller, and not the end of the service.
            _log.exception("A D-Bus call could not be answered.")
            invocation.return_dbus_error(results.error_name("internal-error"), "The service has a bug; see its log.")
        else:
            invocation.return_value(reply)

    def _properties(self, method: str, parameters: Any) -> tuple[str, Any]:
        # GLib has seen to it that the property is one of the interface's, and that none is written.
        now = self._calls.properties()
        if method == "Get":
            _, name = parameters.unpack()
            return "(v)", self._property(name, now[name])
        return "(a{sv})", {name: self._property(name, value) for name, value in now.items()}

    def _when_admitted(self, connection: Any, sender: str, invocation: Any, go: Callable[[], None]) -> None:
        flags = invocation.get_message().get_flags()
        interactive = bool(flags & self._gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)

        def ask(
            service: str,
            path: str,
            interface: str,
            method: str,
            arguments: Any,
            reply: str,
            seconds: float,
            done: Callable[[Any, str], None],
        ) -> None:
            def answered(_: object, result: Any) -> None:
                try:
                    value = connection.call_finish(result).unpack()
                except self._glib.Error as error:
                    done(None, self._gio.DBusError.get_remote_error(error) or f"{names.BUS_ERROR}NoReply")
                else:
                    done(value, "")

            connection.call(
                *(service, path, interface, method, arguments, self._glib.VariantType(reply)),
                *(self._gio.DBusCallFlags.NONE, int(seconds * 1000), None, answered),
            )

        def refuse(reason: str) -> None:
            invocation.return_dbus_error(results.error_name("not-allowed"), reason)

        polkit.admit(ask, self._glib.Variant, sender, interactive, go, refuse)

    # What listeners are told.

    def _announce(self) -> None:
        self._stale = False
        now = self._calls.properties()
        changed = {name: self._property(name, value) for name, value in now.items() if self._told.get(name) != value}
        self._told = now
        if changed:
            self._emit(names.PROPERTIES, "PropertiesChanged", "(sa{sv}as)", INTERFACE, changed, [])

    def _emit(self, interface: str, signal: str, signature: str, *values: Any) -> None:
        if self._connection is not None:
            with contextlib.suppress(self._glib.Error):  # the bus went in this very moment
                self._connection.emit_signal(None, PATH, interface, signal, self._glib.Variant(signature, values))

    def _property(self, name: str, value: Any) -> Any:
        signature = self._info.lookup_property(name).signature
        if signature == "a{sv}":
            value = self._check(value)
        return self._glib.Variant(signature, results.text(value) if signature == "s" else value)

    def _check(self, check: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self._glib.Variant(results.TYPES[key], value) for key, value in check.items()}


def _options(parameters: Any) -> dict[str, Any]:
    # Looked at before it is unpacked: megabytes, or ten thousand keys, would hold up the loop.
    if parameters.get_size() > LARGEST:
        raise too_large()
    (options,) = parameters.unpack()
    return dict(options)


def _export(connection: Any, info: Any, called: Callable[..., None]) -> None:
    """Have calls to the object answered by ``called``.

    Without closures for properties, GLib hands their Get and GetAll to the one for methods. GLib 2.84 has a way that
    counts references right. Before it each invocation has one too many for Python's bindings, and 1.9 kB were lost with
    each call (measured with PyGObject 3.42); newer bindings drop it in a function of their own, older ones need us to.
    """
    if register := getattr(connection, "register_object_with_closures2", None):
        register(PATH, info, called, None, None)
    elif isinstance(type(connection).register_object, types.FunctionType):
        connection.register_object(PATH, info, called, None, None)
    else:

        def called_and_dropped(*arguments: Any) -> None:
            called(*arguments)
            arguments[-1]._unref()  # noqa: SLF001  PyGObject's own name for what has no other

        connection.register_object(PATH, info, called_and_dropped, None, None)


def _gi() -> tuple[Any, Any]:
    from gi.repository import Gio, GLib

    return Gio, GLib
