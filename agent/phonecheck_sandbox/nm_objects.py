"""Objects that a D-Bus service shows, and the signals that tell of every change of them; for NetworkManager's stand-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jeepney import DBusAddress, Message, new_signal

OBJECT_MANAGER, PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
_ROOT = "/org/freedesktop"

Properties = dict[str, tuple[str, Any]]


class Objects:
    """The objects that are shown on the bus; every change of them is signalled.

    Args:
        send: queues a signal.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self.all: dict[str, dict[str, Properties]] = {}

    def add(self, path: str, interface: str, properties: Properties) -> None:
        """Show an object."""
        self.all[path] = {interface: properties}
        self.signal(_ROOT, OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", path, self.all[path])

    def remove(self, path: str) -> None:
        """Show it no more."""
        interfaces = list(self.all.pop(path))
        self.signal(_ROOT, OBJECT_MANAGER, "InterfacesRemoved", "oas", path, interfaces)

    def change(self, path: str, interface: str, **changed: tuple[str, Any]) -> None:
        """Give an object other properties."""
        self.all[path][interface] |= changed
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, changed, [])

    def signal(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        """Send a signal."""
        self._send(new_signal(DBusAddress(path, interface=interface), member, signature, body))
