"""GLib without what the service has no use for.

PyGObject 3.50 (Debian 13) imports asyncio, which brings ssl and with it libcrypto, only to ask now and then whether an
asyncio loop runs: 7 MB of a service that is to be idle in 30. Where nobody imported asyncio none runs, and that can be
answered without it.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

_NAME = "asyncio"


class _Asyncio(ModuleType):
    """asyncio as far as PyGObject 3.50 looks at it; the rest is imported by the first who asks for it.

    So nothing breaks, only the saving is lost, where another PyGObject wants more, or another thread comes upon this one.
    """

    class InvalidStateError(Exception):
        """What the result of an awaitable call raises that has not ended; without asyncio nobody awaits one."""

    @staticmethod
    def _get_running_loop() -> object:
        real = _imported()
        return None if real is None else real._get_running_loop()  # noqa: SLF001  PyGObject means this very function

    @staticmethod
    def get_event_loop_policy() -> object:
        real = _imported()
        # What has no get_event_loop_for_context, no more than the policy has that asyncio begins with.
        return object() if real is None else real.get_event_loop_policy()

    def __getattr__(self, name: str) -> Any:
        if _imported() is None:
            sys.modules.pop(_NAME, None)
        return getattr(importlib.import_module(_NAME), name)


def _imported() -> Any:
    """The real asyncio, if somebody imported it by now."""
    module = sys.modules.get(_NAME)
    return None if isinstance(module, _Asyncio) else module


_one_at_a_time = threading.Lock()


def glib() -> Any:
    """``gi.repository.GLib``; if it is the first import of gi, then without asyncio. For the service alone.

    Raises:
        ImportError: python3-gi is missing.
    """
    with _one_at_a_time:
        stand_in = _Asyncio(_NAME)
        sys.modules.setdefault(_NAME, stand_in)
        try:
            from gi.repository import GLib
        finally:
            # Nobody else is to get it: it is no package, and what asks for asyncio by its import means it.
            if sys.modules.get(_NAME) is stand_in:
                del sys.modules[_NAME]
    return GLib
