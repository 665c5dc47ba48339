"""What a caller may ask of ``Verify``, checked before anything is done for it."""

from __future__ import annotations

from collections.abc import Mapping

from phonecheck.errors import ServiceError
from phonecheck.model import PhoneNumber

LARGEST = 4096
"""Bytes of the whole dictionary on the bus; the three options take some hundred."""

_LONGEST_MODEM = 256  # a device path of sysfs; an ICCID has 20 digits
_LONGEST_TIMEOUT = 3600.0
_KNOWN = ("number", "modem", "timeout")


def options_of(options: Mapping[str, object]) -> tuple[str | None, PhoneNumber | None, float | None]:
    """The modem, the number and the timeout in seconds that were asked for; None for each that was not.

    Raises:
        ServiceError: bad-option; the message names the option, never its value.
    """
    if unknown := sum(key not in _KNOWN for key in options):
        raise _bad(f"{unknown} of the options {'is' if unknown == 1 else 'are'} unknown.")
    return _modem(options), _number(options), _timeout(options)


def too_large() -> ServiceError:
    """The error for a dictionary beyond :data:`LARGEST`."""
    return _bad("The options are too large.")


def _modem(options: Mapping[str, object]) -> str | None:
    modem = _text(options, "modem")
    if modem is None:
        return None
    # What it must be beyond this, the check itself says; an index is told apart here, for it is what mmcli's users try.
    if not modem or len(modem) > _LONGEST_MODEM or not modem.isprintable() or modem.isdecimal():
        raise _bad("The option modem is not iccid:NUMBER, imei:NUMBER or a device path.")
    return modem


def _number(options: Mapping[str, object]) -> PhoneNumber | None:
    number = _text(options, "number")
    try:
        return None if number is None else PhoneNumber.parse(number)
    except ValueError as error:
        raise _bad(f"The option number is {error}.") from None


def _timeout(options: Mapping[str, object]) -> float | None:
    if "timeout" not in options:
        return None
    timeout = options["timeout"]
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise _bad("The option timeout must be a number.")
    if not 0 < timeout <= _LONGEST_TIMEOUT:  # false of NaN, too
        raise _bad(f"The option timeout must be above 0 and at most {_LONGEST_TIMEOUT:.0f} seconds.")
    return float(timeout)


def _text(options: Mapping[str, object], name: str) -> str | None:
    value = options.get(name)
    if name in options and not isinstance(value, str):
        raise _bad(f"The option {name} must be a string.")
    return value if isinstance(value, str) else None


def _bad(message: str) -> ServiceError:
    return ServiceError("bad-option", message)
