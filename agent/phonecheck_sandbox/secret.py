"""Secrets of the sandbox's own making. They all begin alike, so that a test can find one that is shown anywhere."""

from __future__ import annotations

import secrets

MARK = "sbxsecret"


def fresh(size: int) -> str:
    """A new token, code, cookie or state of ``size`` random bytes."""
    return f"{MARK}-{secrets.token_urlsafe(size)}"
