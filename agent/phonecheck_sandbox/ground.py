"""What a sandbox stands on: namespaces that are all its own (namespaces.py), or this machine as the device (here.py)."""

from __future__ import annotations

from typing import Protocol


class Ground(Protocol):
    """The steps from the machine to where the sandbox can be built, in the order of their calls (lifetime.py)."""

    def check_machine(self) -> None:
        """See that the machine has what it takes.

        Raises:
            SandboxError: the first thing that is missing, and the command that mends it.
        """

    def enter(self) -> None:
        """Take this process, and the children it forks from here on, to namespaces of their own.

        Raises:
            SandboxError: the kernel refuses.
        """

    def furnish(self) -> None:
        """Give PID 1 of the new pid namespace the mounts that it and its children need.

        Raises:
            SandboxError: the kernel refuses.
        """
