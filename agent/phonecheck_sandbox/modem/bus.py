"""The private system bus: its configuration, and what a client needs of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusRouter, Proxy, open_dbus_connection
from jeepney.wrappers import unwrap_msg

_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def address(socket: Path) -> str:
    """The bus address of a path socket; such a socket is reached from every network namespace."""
    return f"unix:path={quote(str(socket), safe='/')}"


def configuration(socket: Path) -> str:
    """A dbus-daemon configuration that listens there and lets everyone do everything."""
    return _CONFIGURATION.format(address=escape(address(socket)))


async def wait_until_listening(socket: Path) -> None:
    """Return once the bus takes connections. dbus-daemon tells only its parent when it does, so this knocks every 10 ms."""
    while True:
        with suppress(FileNotFoundError, ConnectionRefusedError):
            _, writer = await asyncio.open_unix_connection(socket)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.01)


@asynccontextmanager
async def client(socket: Path) -> AsyncIterator[DBusRouter]:
    """A connection to the bus; that the bus went before it is no error when it closes."""
    connection = await open_dbus_connection(address(socket))
    try:
        with suppress(EOFError, ConnectionError):
            async with DBusRouter(connection) as router:
                yield router
    finally:
        with suppress(ConnectionError):
            await connection.close()


async def call(
    router: DBusRouter, target: DBusAddress, method: str, signature: str | None = None, *body: Any
) -> tuple[Any, ...]:
    """Call a method and return what it returns.

    Raises:
        DBusErrorResponse: the other side refused; ``name`` is the error's.
    """
    result: tuple[Any, ...] = unwrap_msg(
        await router.send_and_get_reply(new_method_call(target, method, signature, body))
    )
    return result


async def wait_for_name(router: DBusRouter, name: str) -> None:
    """Return once someone owns the name."""
    rule = MatchRule(
        type="signal", interface=message_bus.interface, member="NameOwnerChanged", path=message_bus.object_path
    )
    rule.add_arg_condition(0, name)
    bus = Proxy(message_bus, router)
    # The order matters: an owner that comes between question and subscription would be missed.
    with router.filter(rule, queue=asyncio.Queue()) as changes:
        await bus.AddMatch(rule)
        try:
            if not (await bus.NameHasOwner(name))[0]:
                while not (await changes.get()).body[2]:
                    pass
        finally:
            with suppress(DBusErrorResponse):
                await bus.RemoveMatch(rule)
