"""The service's last words, from the journal."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from phonecheck import redact
from phonecheck.errors import AgentError, ServiceError

LINES = 200
UNIT = "phonecheck-agent"
# As JSON, because every other form names the host in each line.
COMMAND = ("journalctl", f"--unit={UNIT}", f"--lines={LINES}", "--output=json", "--no-pager")
_SECONDS = 15.0
_LEVELS = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")  # syslog(3)
_MEMBERS = "Run it as root, or as a member of the group adm or systemd-journal."

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[bytes]"]


def lines(run: Run | None = None) -> list[dict[str, Any]]:
    """The last lines of the service's log, the oldest first: ``at`` (UTC), ``level``, ``text``, redacted.

    Raises:
        ServiceError: not-allowed, agent-unavailable: there is no journal, or none that this user may read.
    """
    try:
        done = (run or _run)(COMMAND)
    except FileNotFoundError:
        raise ServiceError(
            "agent-unavailable", "There is no journalctl here.", hint="Send the service's log along."
        ) from None
    except subprocess.TimeoutExpired:
        raise _silent("journalctl did not answer in time") from None
    except OSError as error:
        raise _silent(f"journalctl cannot be run: {error.strerror}") from None
    found = [entry for line in done.stdout.splitlines() if (entry := _entry(line)) is not None]
    if not found:
        raise _why_none(done)
    return found


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
        at = int(fields["__REALTIME_TIMESTAMP"]) / 1e6
        when = f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        message = fields.get("MESSAGE")
        if isinstance(message, list):  # the journal's own way with what is not UTF-8
            message = bytes(message).decode(errors="replace")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return None
    level = str(fields.get("PRIORITY", ""))
    return {
        "at": when,
        "level": _LEVELS[int(level)] if level in tuple("01234567") else "info",
        "text": redact.text(str(message or "")),
    }


def _why_none(done: subprocess.CompletedProcess[bytes]) -> AgentError:
    said = done.stderr.decode(errors="replace").lower()
    if "permission" in said or "not seeing messages" in said:
        return ServiceError("not-allowed", "This user may not read the service's log.", hint=_MEMBERS)
    if done.returncode != 0:
        return _silent("journalctl failed")
    return _silent("The journal holds no line of the service")


def _silent(why: str) -> ServiceError:
    return ServiceError("agent-unavailable", f"{why}.".replace("..", "."), hint=f"See: journalctl -u {UNIT}.")
