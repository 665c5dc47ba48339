"""Which modem is meant: by what stays the same over a reboot or a replugging, never by ModemManager's index."""

from __future__ import annotations

import re
from collections.abc import Sequence

from phonecheck.errors import ConfigError, ModemError
from phonecheck.model import Modem

# ITU-T E.118: 18 to 20 digits in practice, on some SIMs padded with F or with letters in them. 3GPP TS 23.003 §6.2:
# 15 digits, 16 as IMEISV; an MEID has 14 hexadecimal ones.
_FORM = {"iccid": re.compile(r"[0-9]{10}[0-9A-F]{8,14}"), "imei": re.compile(r"[0-9A-F]{14}[0-9]{0,2}")}


def select(modems: Sequence[Modem], wanted: str | None) -> Modem:
    """The one modem that is meant.

    Args:
        modems: all that ModemManager knows.
        wanted: ``iccid:…`` or ``imei:…`` with the whole number, or a device path; None where there is only one.

    Raises:
        ConfigError: bad-setting, ``wanted`` has none of these forms.
        ModemError: modem-not-found; ambiguous-modem, more than one fits.
    """
    found = [modem for modem in modems if wanted is None or _is(modem, wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(f"{modem.id} at {modem.device or modem.path}" for modem in found)
        raise ModemError("ambiguous-modem", f"{len(found)} modems fit: {named}.")
    if wanted is not None:
        _check_form(wanted)
    if not modems:
        raise ModemError("modem-not-found", "ModemManager knows no modem.", hint=_NONE)
    raise ModemError("modem-not-found", "None of the modems is the one that was chosen.")


_WHOLE = ModemError.cures["ambiguous-modem"]
_NONE = "Check that it is plugged in, and give it 30 s; one that is a router of its own is chosen by --interface."


def _is(modem: Modem, wanted: str) -> bool:
    kind, _, number = wanted.partition(":")
    if kind.lower() in _FORM:
        iccid = modem.sim.iccid if modem.sim else None
        identity = iccid if kind.lower() == "iccid" else modem.imei
        return identity is not None and _unpadded(identity.value) == _unpadded(number) != ""
    # ModemManager's Device is a sysfs path, or any word that a udev rule put there (ID_MM_PHYSDEV_UID); a number alone
    # would be mistaken for an index.
    return wanted in (modem.device, modem.path) and wanted != "" and not wanted.isdecimal()


def _unpadded(number: str) -> str:
    return number.upper().rstrip("F")


def _check_form(wanted: str) -> None:
    kind, _, number = wanted.partition(":")
    if kind.lower() in _FORM:
        if not _FORM[kind.lower()].fullmatch(number.upper()):
            raise ConfigError(
                "bad-setting", f"The modem was chosen by an {kind.upper()} that is not whole.", hint=_WHOLE
            )
    elif wanted.isdecimal():
        raise ConfigError("bad-setting", "A modem cannot be chosen by its index, which changes.", hint=_WHOLE)
    elif not wanted.startswith("/"):
        raise ConfigError("bad-setting", "The modem was chosen by what is no identity and no path.", hint=_WHOLE)
