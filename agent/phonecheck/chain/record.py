"""The evidence of the hop under way, and the time that is left for it."""

from __future__ import annotations

from dataclasses import dataclass

from phonecheck.deadline import Deadline
from phonecheck.errors import CheckError, ExitStatus
from phonecheck.model import IPAddress, Path, Timings


@dataclass(slots=True)
class Record:
    """Filled in by the backend; a kept connection brings its path and TLS version."""

    hop: Deadline
    chain: Deadline
    path: Path | None = None
    dns_server: IPAddress | None = None
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    tls_version: str | None = None
    reused: bool = True
    request_sent: float | None = None
    first_byte: float | None = None

    def timings(self, total: float) -> Timings:
        """The steps as milliseconds."""
        return Timings(self.dns, self.connect, self.tls, self.first_byte, total)

    def left(self, doing: str) -> float:
        """Seconds left for the hop.

        Raises:
            CheckError: hop-timeout. DeadlineExceeded: the whole command's.
        """
        left = self.hop.remaining()
        if left <= 0:
            raise self.too_late(doing)
        return left

    def too_late(self, doing: str) -> CheckError:
        """The error of a wait that ended: the hop's own, or the whole command's."""
        self.chain.require(f"the end of {doing}", ExitStatus.CHECK)
        return CheckError("hop-timeout", f"The hop took too long: {doing}.")
