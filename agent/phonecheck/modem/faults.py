"""D-Bus error names to this project's errors. By name alone: for most names GLib's numeric code is one and the same."""

from __future__ import annotations

from phonecheck import redact
from phonecheck.errors import BearerError, ModemError, SimError
from phonecheck.modem import names


class NotRunning(ModemError):
    """Nobody owns the name, or its owner left before it answered."""


class Busy(ModemError):
    """ModemManager is at something else with this modem just now: to be asked again."""


class Late(ModemError):
    """No answer in the time allowed, which says nothing of what became of the request."""

    def __init__(self, seconds: float, program: str = "ModemManager") -> None:
        super().__init__(
            "modem-manager-unavailable",
            f"{program} did not answer in {seconds:.3g} s.",
            hint=f"See what it does: systemctl status {program}. A restart frees one that hangs.",
        )


_Fault = tuple[type[ModemError], str, str]

_NOT_RUNNING: _Fault = (NotRunning, "modem-manager-unavailable", "{program} is not running.")
_STOPPED: _Fault = (NotRunning, "modem-manager-unavailable", "{program} stopped before it answered.")
_SILENT: _Fault = (ModemError, "modem-manager-unavailable", "{program} did not answer.")
_DENIED: _Fault = (ModemError, "not-authorized", "{program} may not be used by this user.")
_GONE: _Fault = (ModemError, "modem-not-found", "The modem went away while it was read.")

_OF_BUS: dict[str, _Fault] = {
    "ServiceUnknown": _NOT_RUNNING,
    "NameHasNoOwner": _NOT_RUNNING,
    "NoReply": _STOPPED,
    "Disconnected": _STOPPED,
    "Timeout": _SILENT,
    "TimedOut": _SILENT,
    "AccessDenied": _DENIED,
    "AuthFailed": _DENIED,
    "InteractiveAuthorizationRequired": _DENIED,
    "UnknownObject": _GONE,
    "UnknownInterface": _GONE,
    "UnknownMethod": _GONE,  # what GLib answers for an object that is no longer there
}
_BUSY: _Fault = (Busy, "modem-manager-unavailable", "{program} is busy with the modem.")
_OF_CORE: dict[str, _Fault] = {
    "Unauthorized": _DENIED,
    "NotFound": _GONE,
    "InProgress": _BUSY,
    "Retry": _BUSY,
    "WrongState": _BUSY,
}
# MMMobileEquipmentError, after 3GPP TS 27.007 §9.2.
_OF_EQUIPMENT: dict[str, _Fault] = {
    "SimNotInserted": (SimError, "sim-missing", "The modem has no SIM."),
    "SimFailure": (SimError, "sim-missing", "The modem cannot read its SIM."),
    "SimWrong": (SimError, "sim-missing", "The modem refuses this SIM."),
    "SimPin": (SimError, "sim-locked", "The SIM is locked: it wants its PIN."),
    "SimPuk": (SimError, "puk-required", "The SIM is locked: it wants its PUK."),
    "IncorrectPassword": (SimError, "pin-refused", "The SIM refused the PIN."),
    "NoNetwork": (BearerError, "not-registered", "The modem has no network."),
    "NetworkNotAllowed": (BearerError, "not-registered", "The network refuses the modem."),
    "MissingOrUnknownApn": (BearerError, "connect-failed", "The network does not know the APN."),
}
_KNOWN: dict[str, _Fault] = {
    area + word: fault
    for area, words in (
        (names.BUS_ERROR, _OF_BUS),
        (names.CORE_ERROR, _OF_CORE),
        (names.EQUIPMENT_ERROR, _OF_EQUIPMENT),
    )
    for word, fault in words.items()
}

# Activation through dbus-daemon or systemd that came to nothing.
_ACTIVATION = (f"{names.BUS_ERROR}Spawn.", "org.freedesktop.systemd1.")


def of_name(name: str, message: str, program: str = "ModemManager") -> ModemError:
    """The error that a D-Bus error reply stands for.

    Args:
        name: the reply's error name.
        message: what the other side says of it; it is redacted here.
        program: who was asked.
    """
    if found := _KNOWN.get(name, _NOT_RUNNING if name.startswith(_ACTIVATION) else None):
        kind, code, cause = found
        return kind(code, cause.format(program=program))
    word = name.rpartition(".")[2]
    return ModemError(
        "modem-manager-unavailable",
        f"{program} refused, with {_said(word)}: {_said(message)}.",
        hint=f"Look into its log: journalctl -u {program}.",
    )


def of_connect(name: str, message: str) -> ModemError:
    """The error that Simple.Connect's error reply stands for: the network's word is in it."""
    said = message.lower()
    # ModemManager answers Unauthorized both where polkit refuses and where modem or network must not be used.
    if name == f"{names.CORE_ERROR}Unauthorized" and "locked" in said:
        return SimError("sim-locked", "The SIM is locked: it wants its PIN.")
    if "roaming" in said:
        return BearerError(
            "not-connected",
            "The modem is roaming, and ModemManager may not connect it abroad.",
            hint="Allow it where its price is known: roaming = true in [modem] of the configuration.",
        )
    if name == f"{names.CORE_ERROR}InvalidArgs" and "apn" in said:
        return BearerError(
            "connect-failed",
            "ModemManager wants to be told the APN, and none is configured.",
            hint="Give the operator's: --apn APN, or modem.apn in the configuration.",
        )
    if name in _KNOWN or name.startswith(_ACTIVATION):
        return of_name(name, message)
    word = name.rpartition(".")[2]
    return BearerError("connect-failed", f"The data connection failed, with {_said(word)}: {_said(message)}.")


def no_bus(reason: str) -> ModemError:
    """The bus itself cannot be reached, or is lost."""
    return ModemError(
        "modem-manager-unavailable",
        f"The system bus cannot be reached: {_said(reason)}.",
        hint="Start it: systemctl start dbus. DBUS_SYSTEM_BUS_ADDRESS, where it is set, must name a bus that runs.",
    )


def _said(text: str) -> str:
    return redact.text("".join(c for c in text[:200] if c.isprintable())).rstrip(". ")
