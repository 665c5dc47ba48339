"""The device of a sandbox, and how a command on it is measured: by the stopwatch, or before a witness."""  # noqa: INP001  a script

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from phonecheck_sandbox.box import Box

_HERE = Path(__file__).parent
_DEBIANS = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Process:
    """One process, from its start to its end: milliseconds, peak memory in MiB, and what it printed."""

    ms: float
    mib: float
    stdout: str


@dataclass(frozen=True)
class Call:
    """A call of a method of ModemManager's, and when it was made and answered, as the bus saw it."""

    method: str
    began: float
    ended: float

    @property
    def ms(self) -> float:
        """What ModemManager took for it."""
        return self.ended - self.began


@dataclass(frozen=True)
class Seen:
    """What the witness saw of a command; all times are milliseconds from the command's start.

    Attributes:
        stdout: what it printed.
        status: its exit status.
        answered: when its first output came.
        ended: when it ended.
        calls: of ModemManager's methods; reading properties is none.
        states: that the modem came to (MMModemState), and when.
        reading: when it began to speak on the bus, and when it had the last answer before `configured`.
        configured: when the kernel told of an address on the modem's interface.
        first_packet: when the first IPv4 packet left by the modem.
        asked: just before the sandbox was asked for the event.
        lost: when the bus or the kernel first told of it.
    """

    stdout: str
    status: int
    answered: float
    ended: float
    calls: tuple[Call, ...]
    states: tuple[tuple[int, float], ...]
    reading: tuple[float, float] | None
    configured: float | None
    first_packet: float | None
    asked: float | None
    lost: float | None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Read what the witness printed."""
        calls = tuple(Call(*call) for call in said["calls"])
        states = tuple((state, at) for state, at in said["states"])
        reading = tuple(said["reading"]) if said["reading"] else None
        return cls(**said | {"calls": calls, "states": states, "reading": reading})


class Device:
    """The device of a sandbox. The agent finds there as many certificate authorities as on a real device.

    With the sandbox's own alone, its TLS would start in no time; the 140 or so of Debian take it 16 ms, twice. curl is
    left with the one, so that its figures are the network's and not its own.

    Args:
        box: the sandbox.
        directory: for files.
    """

    def __init__(self, box: Box, directory: Path) -> None:
        own = box.exec(["sh", "-c", 'cat "$SSL_CERT_FILE"']).stdout
        certificates = (_DEBIANS.read_text() if _DEBIANS.exists() else "") + own
        store = directory / "certificates.pem"
        store.write_text(certificates)
        self._box = box
        self._env = {"SSL_CERT_FILE": str(store)}
        self.directory = directory
        self.authorities = certificates.count("BEGIN CERTIFICATE")
        """How many the agent trusts."""

    def ctl(self, *words: str) -> None:
        """Act on the sandbox."""
        self._box.ctl(*words)

    def run(self, *command: str | Path, stdin: str = "") -> Process:
        """Run a command under the stopwatch.

        Raises:
            RuntimeError: it failed, so there is nothing to measure; the message is what it said.
        """
        stopwatch: list[str | Path] = [sys.executable, "-I", "-S", _HERE / "stopwatch.py"]
        done = self._box.exec([*stopwatch, *command], env=self._env, input=stdin)
        said, _, line = done.stderr.rstrip().rpartition("\n")
        if done.returncode != 0 or not line.endswith(" 0"):
            raise RuntimeError(f"{command[0]} failed: {said or done.stderr or done.stdout}")
        seconds, kib, _ = line.split()
        return Process(float(seconds) * 1000, int(kib) / 1024, done.stdout)

    def watch(self, *command: str, event: str = "", status: int = 0) -> Seen:
        """Run a command before the witness, who asks for the event once a hop is awaited.

        Raises:
            RuntimeError: it ended with another status; the message is what it said.
        """
        done = self._box.exec([sys.executable, _HERE / "witness.py", event, *command], env=self._env)
        if done.returncode != 0:
            raise RuntimeError(f"the witness failed: {done.stderr}")
        seen = Seen.of(json.loads(done.stdout))
        if seen.status != status:
            raise RuntimeError(f"{' '.join(command)} ended with {seen.status}: {done.stderr or seen.stdout}")
        return seen


@contextmanager
def device(*options: str) -> Iterator[Device]:
    """The device of a sandbox of its own, started with ``options``.

    Raises:
        SandboxError: it does not start here.
    """
    with TemporaryDirectory() as directory, Box(*options) as box:
        yield Device(box, Path(directory))
