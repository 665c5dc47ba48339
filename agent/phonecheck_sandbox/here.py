"""This machine as the device: its own network namespace is the node ``device``, its system bus the modem's.

For machines that are thrown away, containers and virtual machines of a test above all: interfaces, routes, sysctls,
nftables and the resolver configuration of the machine itself are changed, and only what hangs on a process is put back.
The processes still stand in pid, mount and network namespaces of their own, so that they end as lifetime.py says, with
the LAN, the carrier and the Internet; but the file systems are the machine's, so that its programs and the sandbox meet.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from phonecheck_sandbox import namespaces
from phonecheck_sandbox.device import RUN
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    NETNS,
    mount,
    name_node,
    unshare,
)

STATE = Path("/var/lib/phonecheck-sandbox")
"""Where the certificates are kept from one run to the next: a device has its trust from its maker."""


class ThisMachine:
    """The ground of ``phonecheck-sandbox here``.

    Args:
        gateway: the interface of this machine that is to become the carrier's; empty where there is none.
    """

    def __init__(self, gateway: str = "") -> None:
        self._gateway = gateway
        self._network = -1

    def check_machine(self) -> None:
        """See `Ground`."""
        if os.getuid() != 0:
            raise SandboxError("Only root can make this machine the device.", hint="Run it as root, in a container.")
        namespaces.check_machine()
        if self._gateway and not Path("/sys/class/net", self._gateway).exists():
            raise SandboxError(
                f"This machine has no interface {self._gateway}.", hint="See those that it has: ip -brief link"
            )

    def enter(self) -> None:
        """See `Ground`."""
        self._network = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            # The network namespace is for the supervisor itself, where a pulled modem's interface is parked.
            unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID)
        except OSError as error:
            raise namespaces.refused(error) from None

    def furnish(self) -> None:
        """See `Ground`; and have the machine ask the sandbox's public DNS."""
        try:
            mount("none", "/", flags=MS_REC | MS_PRIVATE)
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            for place in (NETNS, RUN):
                place.mkdir(exist_ok=True)
                mount("tmpfs", str(place), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
            name_node("device", f"/proc/self/fd/{self._network}")
            os.close(self._network)
            _resolve()
        except OSError as error:
            raise namespaces.refused(error) from None


def _resolve() -> None:
    place = Path(namespaces.RESOLV_CONF)
    with suppress(FileNotFoundError):  # systemd-resolved's is a link, to a file that it would write anew
        place.unlink()
    place.write_text(namespaces.RESOLVER)
