"""Phone numbers as people write them, brought to E.164."""

from __future__ import annotations

import re

from phonecheck.model import PhoneNumber

# RFC 3966 §5.1.1, visual-separator, and the space that people use.
_SEPARATORS = str.maketrans("", "", " -.()")
_TRUNK_ZERO = re.compile(r"\(\s*0\s*\)")


def normalise(text: str) -> PhoneNumber:
    """Read an international number: ``+44 7700 900-123``, ``0044…`` or ``447700900123``.

    The platform takes the digits without ``+`` (:attr:`PhoneNumber.digits`); CAMARA wants them with it.

    Raises:
        ValueError: not an international number. ``+44 (0)7700…`` is refused rather than guessed at.
    """
    if len(text) > 40 or _TRUNK_ZERO.search(text):
        raise ValueError("not an international number: drop the (0), and give the country code and the number")
    plain = text.translate(_SEPARATORS)
    return PhoneNumber.parse("+" + plain[2:] if plain.startswith("00") else plain)
