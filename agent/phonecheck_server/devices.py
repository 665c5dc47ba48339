"""Who may ask: the devices, each known by a token of its own (RFC 6750)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


class Devices:
    """The tokens of the devices. Kept as SHA-256, so that neither a dump of the memory nor the time a look-up takes
    says anything of a token.

    Args:
        names: the device's name by its token. A device may have two, while one takes over from the other.
    """  # noqa: D205  the reason belongs to the sentence

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {_digest(token): name for token, name in names.items()}

    @classmethod
    def parse(cls, text: str) -> Devices:
        """Read a list with ``NAME TOKEN`` on each line; ``#`` begins a comment line.

        Raises:
            ValueError: a line of another shape, a token under 16 characters or used twice, or no device at all. The
                message names the line by its number alone.
        """
        names: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2:
                raise ValueError(f"line {number} is not NAME TOKEN")
            name, token = words
            if len(token) < 16 or not token.isascii():
                raise ValueError(f"the token in line {number} is shorter than 16 plain characters")
            if token in names:
                raise ValueError(f"the token in line {number} is another device's too")
            names[token] = name
        if not names:
            raise ValueError("it names no device")
        return cls(names)

    def named_by(self, authorization: str | None) -> str | None:
        """The device whose token an Authorization header carries, or None."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._names.get(_digest(token.strip()))


def _digest(token: str) -> bytes:
    # Headers arrive as Latin-1; a token with other characters matches nothing and must not raise.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
