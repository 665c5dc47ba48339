"""The authority of the private bus, in polkit's place: it says yes, but for the actions named in a file.

Debian's ModemManager refuses every method as long as no authority answers. Interface:
https://www.freedesktop.org/software/polkit/docs/latest/eggdbus-interface-org.freedesktop.PolicyKit1.Authority.html

Run as ``python -m phonecheck_sandbox.modem.polkit DENY_FILE``, the bus in DBUS_SYSTEM_BUS_ADDRESS.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jeepney import HeaderFields, Message, MessageFlag, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusConnection, open_dbus_connection

NAME = "org.freedesktop.PolicyKit1"
_AUTHORITY = f"{NAME}.Authority"
_PROPERTIES = {"BackendName": ("s", "sandbox"), "BackendVersion": ("s", "1"), "BackendFeatures": ("u", 0)}


def denied_actions(deny_file: Path) -> frozenset[str]:
    """The action ids in the file, parted by white space; none where there is no file."""
    try:
        return frozenset(deny_file.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()


def reply(call: Message, denied: frozenset[str]) -> Message:
    """Answer one method call."""
    fields = call.header.fields
    match fields.get(HeaderFields.interface), fields[HeaderFields.member], call.body:
        case (str() as interface, "CheckAuthorization", (_, str() as action, *_)) if interface == _AUTHORITY:
            return new_method_return(call, "(bba{ss})", ((action not in denied, False, {}),))
        case (str() as interface, "CancelCheckAuthorization", _) if interface == _AUTHORITY:
            return new_method_return(call)
        case ("org.freedesktop.DBus.Properties", "GetAll", _):
            return new_method_return(call, "a{sv}", (_PROPERTIES,))
        case ("org.freedesktop.DBus.Properties", "Get", (_, name)) if name in _PROPERTIES:
            return new_method_return(call, "v", (_PROPERTIES[name],))
    return new_error(
        call, "org.freedesktop.DBus.Error.UnknownMethod", "s", ("the sandbox's polkit has no such method",)
    )


async def serve(connection: DBusConnection, deny_file: Path) -> None:
    """Own the name and answer, until the bus goes. The file is read anew for each question."""
    # The answer is read with all else below: a client that waits for the name may ask before it is here.
    await connection.send(message_bus.RequestName(NAME))
    while True:
        try:
            message = await connection.receive()
        except (EOFError, ConnectionError):
            return
        header = message.header
        if header.message_type is MessageType.method_call and not header.flags & MessageFlag.no_reply_expected:
            await connection.send(reply(message, denied_actions(deny_file)))


async def _run(deny_file: Path) -> None:
    async with await open_dbus_connection("SYSTEM") as connection:
        await serve(connection, deny_file)


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
