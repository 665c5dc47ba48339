"""The system bus that ModemManager is on, and the authority there that it asks: the sandbox's own, or the machine's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.modem import bus, daemons, polkit
from phonecheck_sandbox.modem.daemons import Daemons

if TYPE_CHECKING:
    from jeepney.io.asyncio import DBusRouter

_SECONDS = 10.0
_BUS, _POLKIT = "dbus-daemon", "polkit"


class SystemBus(Protocol):
    """A bus with an authority on it."""

    @property
    def socket(self) -> Path:
        """Where it listens."""

    @property
    def programs(self) -> tuple[str, ...]:
        """What must be installed for it, as `daemons.PACKAGES` names it."""

    async def listen(self, started: Daemons) -> None:
        """Return once it takes connections.

        Raises:
            SandboxError: it does not.
        """

    def listens(self, started: Daemons) -> bool:
        """Whether it was started, and not ended."""

    def check_own(self) -> None:
        """See that it is the sandbox's to end.

        Raises:
            SandboxError: it is not.
        """

    async def end(self, started: Daemons) -> None:
        """End it and its authority; nothing is at its address then."""

    async def judge(self, started: Daemons, router: DBusRouter) -> None:
        """Return once the authority answers, or would be started by a question.

        Raises:
            SandboxError: it does not come.
        """

    def deny(self, actions: Iterable[str]) -> None:
        """Have the authority say no to these action ids from now on, and yes to all others.

        Raises:
            SandboxError: it is not ours to tell.
        """


class PrivateBus:
    """A bus of the sandbox's own, which lets everyone do everything, and a stand-in for polkit."""

    programs = (_BUS,)

    def __init__(self, run: Path) -> None:
        self.socket = run / "bus"
        self._configuration = run / "bus.conf"
        self._deny_file = run / "polkit-deny"

    async def listen(self, started: Daemons) -> None:
        """Start both; see `SystemBus`."""
        self._configuration.write_text(bus.configuration(self.socket), encoding="utf-8")
        options = [f"--config-file={self._configuration}", "--nofork", "--nopidfile", "--nosyslog"]
        await started.start(_BUS, [daemons.find(_BUS), *options])
        listens = bus.wait_until_listening(self.socket)
        await started.within(_SECONDS, _BUS, listens, "takes no connections")
        await started.start(_POLKIT, [sys.executable, "-m", polkit.__name__, str(self._deny_file)])

    def listens(self, started: Daemons) -> bool:
        """See `SystemBus`."""
        return started.running(_BUS)

    def check_own(self) -> None:
        """See `SystemBus`."""

    async def end(self, started: Daemons) -> None:
        """See `SystemBus`."""
        for program in (_POLKIT, _BUS):
            await started.kill(program)
        self.socket.unlink(missing_ok=True)

    async def judge(self, started: Daemons, router: DBusRouter) -> None:
        """See `SystemBus`."""
        answers = bus.wait_for_name(router, polkit.NAME)
        await started.within(_SECONDS, _POLKIT, answers, "is not on the bus")

    def deny(self, actions: Iterable[str]) -> None:
        """See `SystemBus`."""
        self._deny_file.write_text("\n".join(actions), encoding="utf-8")


class MachineBus:
    """The machine's own bus and its own polkit, which a question starts."""

    socket = Path("/run/dbus/system_bus_socket")
    programs = ()

    async def listen(self, started: Daemons) -> None:  # noqa: ARG002  of the interface
        """See `SystemBus`."""
        try:
            async with asyncio.timeout(_SECONDS):
                await bus.wait_until_listening(self.socket)
        except TimeoutError:
            raise SandboxError(
                "This machine has no system bus.", hint="Start it: systemctl start dbus.socket"
            ) from None

    def listens(self, started: Daemons) -> bool:  # noqa: ARG002  of the interface
        """See `SystemBus`; whatever becomes of it is the machine's affair."""
        return True

    def check_own(self) -> None:
        """Refuse to: see `SystemBus`."""
        raise SandboxError(
            "The system bus here is the machine's own.", hint="Say: systemctl stop dbus.socket dbus.service"
        )

    async def end(self, started: Daemons) -> None:
        """See `SystemBus`."""

    async def judge(self, started: Daemons, router: DBusRouter) -> None:
        """See `SystemBus`."""

    def deny(self, actions: Iterable[str]) -> None:  # noqa: ARG002  of the interface
        """Refuse to: see `SystemBus`."""
        raise SandboxError(
            "The polkit here is the machine's own, and it keeps to its rules.",
            hint="Change those: /etc/polkit-1/rules.d, /usr/share/polkit-1/rules.d",
        )
