"""How our characters are spelled on a stream that has no room for them: `...` for an ellipsis, `-` for a dash."""

from __future__ import annotations

import codecs
import os

HANDLER = "phonecheck.spelling"
"""The name by which a stream asks for it: ``reconfigure(errors=HANDLER)``."""

_SPELLED = {
    **dict.fromkeys("‐‑‒–—―−·•", "-"),
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″«»", '"'),
    "→": "->",
    "←": "<-",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "✓": "+",
    "✗": "x",
    "°": "deg",
    "ß": "ss",
}


def spell(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""The error handler: what of the text cannot be encoded, in ASCII.

    Accents are left out, as in an operator's name; what is then left of another script is ``\uXXXX``, as is a byte that
    cannot be decoded.
    """
    if not isinstance(error, UnicodeEncodeError):
        return codecs.backslashreplace_errors(error)
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(character: str) -> str:
    if character in _SPELLED:
        return _SPELLED[character]
    import unicodedata  # 1 MB that most never need

    # An ellipsis is three dots by Unicode's own word.
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain if plain.isprintable() and plain else character.encode("ascii", "backslashreplace").decode()


def as_written(text: str, encoding: str | None) -> str:
    """The text as a stream of this encoding shows it, so that its width is known before it is laid out."""
    return text.encode(encoding or "utf-8", HANDLER).decode(encoding or "utf-8")


def plain_by_choice() -> bool:
    """Whether the environment asks for plain ASCII by name, with LC_ALL=C or the like.

    Python writes UTF-8 there (PEP 540), which whoever says "C" did not ask for. An environment that says nothing is left
    to Python: its terminal takes UTF-8 nearly always.
    """
    if os.environ.get("PYTHONIOENCODING") or os.environ.get("PYTHONUTF8"):
        return False
    chosen = next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return chosen in ("C", "POSIX")


codecs.register_error(HANDLER, spell)
