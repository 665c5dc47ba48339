"""Whether a caller may have a check made: root may, others where polkit says so.

The bus's policy has let the caller through before that, and where there is no polkit it has decided alone.
https://www.freedesktop.org/software/polkit/docs/latest/eggdbus-interface-org.freedesktop.PolicyKit1.Authority.html
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from phonecheck.modem import names

ACTION = "org.phonecheck.Agent1.verify"

_SERVICE = "org.freedesktop.PolicyKit1"
_PATH = "/org/freedesktop/PolicyKit1/Authority"
_INTERFACE = f"{_SERVICE}.Authority"
_ABSENT = ("ServiceUnknown", "NameHasNoOwner", "Spawn.")
_BUS_SECONDS = 5.0
_RULES_SECONDS, _PERSON_SECONDS = 25.0, 120.0
"""For polkit to decide by its rules, and for a person whom it asks for a password."""

_log = logging.getLogger("phonecheck.service")


class Ask(Protocol):
    """Calls a method without waiting; ``done`` gets the reply, or None and the name of the error."""

    def __call__(
        self,
        service: str,
        path: str,
        interface: str,
        method: str,
        arguments: Any,
        reply: str,
        seconds: float,
        done: Callable[[Any, str], None],
    ) -> None:
        """Call it."""


def admit(
    ask: Ask,
    variant: Callable[[str, Any], Any],
    sender: str,
    interactive: bool,
    go: Callable[[], None],
    refuse: Callable[[str], None],
) -> None:
    """Find out whether the caller may have a check made, and then call one of the two.

    Args:
        ask: how to call a method.
        variant: makes GLib's variant of a signature and a value.
        sender: the caller's unique name on the bus.
        interactive: a person may be asked for a password meanwhile.
        go: called if it may.
        refuse: called with a sentence of cause if it may not.
    """

    def user_known(reply: Any, error: str) -> None:
        if error:
            refuse("The caller left the bus.")
        elif reply[0] == 0:
            go()  # as polkit itself has it; and so a polkit that hangs does not lock root out
        else:
            subject = ("system-bus-name", {"name": variant("s", sender)})
            arguments = variant("((sa{sv})sa{ss}us)", (subject, ACTION, {}, int(interactive), ""))
            seconds = _PERSON_SECONDS if interactive else _RULES_SECONDS
            ask(_SERVICE, _PATH, _INTERFACE, "CheckAuthorization", arguments, "((bba{ss}))", seconds, decided)

    def decided(reply: Any, error: str) -> None:
        if error.removeprefix(names.BUS_ERROR).startswith(_ABSENT) or (not error and reply[0][0] is True):
            go()
        elif error:
            _log.warning("polkit did not decide whether %s may have a check made: %s.", sender, error)
            refuse("polkit did not decide whether this user may have a check made.")
        else:
            refuse("This user may not have a check made.")

    who = variant("(s)", (sender,))
    ask(names.BUS, names.BUS_PATH, names.BUS, "GetConnectionUnixUser", who, "(u)", _BUS_SECONDS, user_known)
