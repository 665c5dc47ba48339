"""Hooks: the executables in a directory of the device's owner, run after each event with the facts in the environment."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from phonecheck.service.children import Children
from phonecheck.service.model import Finished
from phonecheck.service.ports import Cancel

HOOK_SECONDS = 30.0
LAST_SECONDS = 5.0
"""What is left to the hook that runs when the service ends."""
_MOST_EVENTS = 32
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_LEFTOVER = re.compile(r"(~|\.bak|\.dpkg-[a-z]+)$")
_log = logging.getLogger(__name__)


class HookRunner:
    """Runs hooks, one after the other; implements :class:`phonecheck.service.ports.Hooks`.

    Args:
        children: this process's.
        directory: where the hooks are, as it is configured now.
    """

    def __init__(self, children: Children, directory: Callable[[], Path]) -> None:
        self._children, self._directory = children, directory
        self._events: deque[tuple[str, dict[str, str]]] = deque()
        self._left: deque[Path] = deque()
        self._event: tuple[str, dict[str, str]] = ("", {})
        self._running: Cancel | None = None
        self._settled: list[Callable[[], None]] = []
        self._warned: set[str] = set()

    def run(self, event: str, facts: Mapping[str, str]) -> None:
        """Have them run with the facts in the environment, after those of earlier events; returns at once."""
        if self._settled:
            return
        if len(self._events) >= _MOST_EVENTS:
            self._events.popleft()
            _log.warning("The hooks are too slow: those of an event were left out.")
        self._events.append((event, dict(facts)))
        if self._running is None:
            self._next()

    def settle(self, done: Callable[[], None]) -> None:
        """Call ``done`` when none runs any more; none is started meanwhile, and the one that runs is hurried."""
        self._events.clear()
        self._left.clear()
        self._settled.append(done)
        if self._running is None:
            self._children.loop.soon(self._next)
        else:
            self._children.loop.later(LAST_SECONDS, self._running.cancel)

    def _next(self) -> None:
        while not self._left and self._events:
            self._event = self._events.popleft()
            self._left.extend(self._found())
        if self._left:
            hook = self._left.popleft()
            event, facts = self._event
            self._running = self._children.start(
                [str(hook), event],
                # Theirs is what the event says, and nothing of ours: no credentials, no address of a bus.
                env={"PATH": _PATH, "LANG": os.environ.get("LANG", "C.UTF-8"), **facts},
                seconds=HOOK_SECONDS,
                cap=0,
                done=lambda finished: self._ended(hook, finished),
            )
            return
        settled, self._settled = self._settled, []
        for done in settled:
            done()

    def _ended(self, hook: Path, finished: Finished) -> None:
        self._running = None
        if how := _complaint(finished):
            last = finished.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            _log.warning("The hook %s %s.%s", hook.name, how, f" It said: {last}" if last else "")
        self._next()

    def _found(self) -> list[Path]:
        """The hooks as they are now; what is wrong with others is said, once."""
        wrong: dict[str, str] = {}
        hooks = sorted(hooks_in(self._directory(), wrong.__setitem__))
        sentences = {f"{name} {why}" for name, why in wrong.items()}
        for sentence in sorted(sentences - self._warned):
            _log.warning("Hooks: %s.", sentence)
        self._warned = sentences
        return hooks


def hooks_in(directory: Path, refuse: Callable[[str, str], None]) -> Iterator[Path]:
    """The hooks of a directory: regular executables, of root's or ours, which nobody else may write to.

    Its own parents are not looked at. Whoever may write to those can put another directory in its place, but none that
    belongs to root or to us, and would have to find one of these that holds such files.

    Args:
        directory: need not exist.
        refuse: told what is left out, and why, so that both make a sentence.
    """
    try:
        if why := _unsafe(directory.stat()):
            refuse(str(directory), why)
            return
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        refuse(str(directory), f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        if not _NAME.fullmatch(entry.name) or _LEFTOVER.search(entry.name):
            continue
        try:
            # Not where a link leads: who may change that cannot be told from it.
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # gone meanwhile
        if stat.S_ISDIR(facts.st_mode):
            continue
        why = "is not a regular file" if not stat.S_ISREG(facts.st_mode) else _unsafe(facts)
        if not why and not facts.st_mode & 0o111:
            why = "is not executable"
        if why:
            refuse(entry.path, why)
        else:
            yield Path(entry.path)


def _unsafe(facts: os.stat_result) -> str:
    if facts.st_uid not in (0, os.geteuid()):
        return "belongs neither to root nor to the service's user"
    # An access list that lets others write shows as the group's bits (acl(5)).
    return "may be written to by others" if facts.st_mode & 0o022 else ""


def _complaint(finished: Finished) -> str:
    if finished.failed:
        return f"could not be run: {finished.failed}"
    if finished.hung:
        return f"was ended after {HOOK_SECONDS:.0f} s"
    if finished.cancelled:
        return "was ended with the service"
    if finished.signal is not None:
        return f"was ended by signal {finished.signal}"
    return f"ended with exit status {finished.status}" if finished.status else ""
