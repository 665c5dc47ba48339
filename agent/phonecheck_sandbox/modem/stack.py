"""The modem side of the sandbox as one thing: system bus, virtual modems, ModemManager."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.modem import bus, daemons, sysfs
from phonecheck_sandbox.modem.daemons import Daemons, Spawn
from phonecheck_sandbox.modem.device import VirtualModem
from phonecheck_sandbox.modem.manager import Manager
from phonecheck_sandbox.modem.network import Network, absent
from phonecheck_sandbox.modem.state import PIN_TRIES, ModemState
from phonecheck_sandbox.modem.sysfs import UsbModem
from phonecheck_sandbox.modem.system_bus import PrivateBus, SystemBus
from phonecheck_sandbox.plan import IpMethod, IpType

__all__ = ["ModemStack", "Spawn"]

_PROXY, _MANAGER = "mbim-proxy", "ModemManager"
_START_SECONDS = 10.0
_MODEM_SECONDS = 45.0
"""Without a SIM, ModemManager asks for it for some 15 s before it shows the modem; the rest is for slow machines."""
_STOP_SECONDS = 10.0


class ModemStack:
    """One modem for each subscriber, as ModemManager shows it at `bus_address`.

    Args:
        run: a directory for sockets, logs and trees; made where it is missing, not removed.
        spawn: starts programs.
        subscribers: whose SIM is in which modem. Where there is none, and the bus is the machine's, so is ModemManager.
        system_bus: what ModemManager is to be on; a private one by default.
        ip: the families that the network gives a session.
        ip_method: whether IPv4's configuration comes with the session, or is left to a lease.
        on_session: called with a modem's index, and whether its data session has just come up or gone down.
        on_death: called with the name, the return code and the log of a program that ended by itself.
    """

    def __init__(
        self,
        run: Path,
        spawn: Spawn,
        subscribers: Sequence[world.Subscriber],
        *,
        system_bus: SystemBus | None = None,
        ip: IpType = "4",
        ip_method: IpMethod = "static",
        on_session: Callable[[int, bool], None],
        on_death: Callable[[str, int, Path], None],
    ) -> None:
        self._run = run
        self._ip: IpType = ip
        self._modems: list[tuple[UsbModem, VirtualModem]] = []
        for index, subscriber in enumerate(subscribers):
            usb, state = UsbModem(index), ModemState.of(subscriber, ip=ip, ip_method=ip_method)
            node = run / "dev" / usb.control_port
            self._modems.append((usb, VirtualModem(state, node, on_session=partial(on_session, index))))
        self.network = Network([modem for _, modem in self._modems])
        """What the operator does to the modems."""
        self._bus: SystemBus = system_bus or PrivateBus(run)
        self._idle = not subscribers and system_bus is not None
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.bus_address}
        self._daemons = Daemons(spawn, node="device", logs=run, environment=environment, on_death=on_death)
        self._connection = AsyncExitStack()
        self._manager: Manager

    @property
    def bus_address(self) -> str:
        """What DBUS_SYSTEM_BUS_ADDRESS must be for a program to see this ModemManager."""
        return bus.address(self._bus.socket)

    @property
    def modems(self) -> int:
        """How many there are, plugged in or not."""
        return len(self._modems)

    def ended(self) -> dict[str, int]:
        """The programs that ended by themselves, and their return codes. In a sound stack there is none."""
        return self._daemons.ended()

    async def start(self) -> None:
        """Bring all of it up, once; return when ModemManager shows every modem, in whatever state.

        The modems answer from this event loop: whoever blocks it, as with a synchronous mmcli, silences them.

        Raises:
            SandboxError: a program is missing or died, or no modem appeared in time.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        if self._idle:
            return
        for program in (_PROXY, _MANAGER, *self._bus.programs):
            daemons.find(program)
        self._run.mkdir(parents=True, exist_ok=True)
        sysfs.build_sys(self._run / "sys", [usb for usb, _ in self._modems])
        sysfs.build_dev(self._run / "dev")
        for _, modem in self._modems:
            modem.plug()
        await self._bus.listen(self._daemons)
        # All at once: ModemManager asks nothing of polkit, and opens no port, before the first kernel event.
        await self._daemons.start(_PROXY, sysfs.entered(self._run, daemons.find(_PROXY), "--no-exit"))
        await self._start_manager()
        await self._show_all()

    async def _meet(self) -> None:
        """Come on to the bus, anew where this stack was there before: the machine's may have been restarted."""
        await self._connection.aclose()
        router = await self._connection.enter_async_context(bus.client(self._bus.socket))
        self._manager = Manager(router)
        await self._manager.watch()
        await self._bus.judge(self._daemons, router)

    async def stop(self) -> None:
        """End every program of the stack at once. Nothing in it is worth saving, so none is asked politely."""
        await self._daemons.kill(_MANAGER)
        for _, modem in self._modems:
            modem.unplug()
        await self._connection.aclose()
        await self._daemons.kill_all()

    # What happens to ModemManager

    async def stop_manager(self) -> None:
        """Stop ModemManager as systemd would, with SIGTERM."""
        await self._daemons.terminate(_MANAGER, grace=_STOP_SECONDS)

    async def kill_manager(self) -> None:
        """Have ModemManager die as in a crash, with SIGKILL."""
        await self._daemons.kill(_MANAGER)

    async def start_manager(self) -> None:
        """Start ModemManager again; return when it shows every modem that is plugged in.

        Raises:
            SandboxError: it is the machine's, it died, or a modem did not appear in time.
        """
        if self._idle:
            raise SandboxError("ModemManager is the machine's own here.", hint="Say: systemctl start ModemManager")
        if not self._bus.listens(self._daemons):
            raise SandboxError("There is no bus that ModemManager could be on.", hint="Say: ctl bus-start")
        if not self._daemons.running(_MANAGER):
            await self._start_manager()
            await self._show_all()

    # What happens to the bus

    async def stop_bus(self) -> None:
        """End the bus, and ModemManager with it, as nothing on a bus outlives it.

        Raises:
            SandboxError: it is the machine's own.
        """
        self._bus.check_own()
        await self._connection.aclose()
        await self._daemons.kill(_MANAGER)
        await self._bus.end(self._daemons)

    async def start_bus(self) -> None:
        """Start the bus and ModemManager again; return when it shows every modem that is plugged in.

        Raises:
            SandboxError: it is the machine's own, a program died, or a modem did not appear in time.
        """
        self._bus.check_own()
        if not self._bus.listens(self._daemons):
            await self._bus.listen(self._daemons)
        await self.start_manager()

    def deny(self, actions: Iterable[str]) -> None:
        """Have polkit say no to these action ids from now on, and yes to all others.

        Raises:
            SandboxError: it is the machine's own.
        """
        self._bus.deny(actions)

    async def _show_all(self) -> None:
        """Report the modems that are plugged in, and wait until ModemManager shows them."""
        await self._meet()
        await self._daemons.within(_START_SECONDS, _MANAGER, self._manager.wait_until_running(), "is not on the bus")
        plugged = [usb for usb, modem in self._modems if modem.plugged]
        for usb in plugged:
            await self._manager.report("add", usb)
        for usb in plugged:
            await self._shown(usb)

    async def _shown(self, usb: UsbModem, *, other_than: str | None = None) -> None:
        shown = self._manager.wait_for(usb, present=True, other_than=other_than)
        await self._daemons.within(_MODEM_SECONDS, _MANAGER, shown, f"shows no modem at {usb.control_port}")

    # What happens to a modem

    async def connect(self, index: int = 0, apn: str = "internet") -> None:
        """Bring up a bearer; returns when it is connected.

        Raises:
            SandboxError: it did not connect, with the D-Bus name of ModemManager's error.
        """
        usb, _ = self._at(index)
        await self._manager.connect(usb, apn, self._ip)

    async def disconnect(self, index: int = 0) -> None:
        """Take down the bearer from the device's side.

        Raises:
            SandboxError: there is no such modem, or ModemManager refuses.
        """
        usb, _ = self._at(index)
        await self._manager.disconnect(usb)

    async def unplug(self, index: int = 0) -> None:
        """Pull the modem out; returns when ModemManager shows it no more."""
        usb, modem = self._at(index)
        modem.unplug()
        if self._daemons.running(_MANAGER):
            await self._manager.report("remove", usb)
            gone = self._manager.wait_for(usb, present=False)
            await self._daemons.within(_MODEM_SECONDS, _MANAGER, gone, f"still shows a modem at {usb.control_port}")

    async def plug(self, index: int = 0) -> None:
        """Put the modem in again; returns when ModemManager shows it, after 2.5 s (1.20) or 4 s (1.24)."""
        usb, modem = self._at(index)
        modem.plug()
        if self._daemons.running(_MANAGER):
            await self._manager.report("add", usb)
            await self._shown(usb)

    async def enable(self, index: int = 0, *, on: bool) -> None:
        """Enable the modem as ModemManager's clients do, or disable it.

        Raises:
            SandboxError: there is no such modem, or ModemManager refuses.
        """
        usb, _ = self._at(index)
        await self._manager.enable(usb, on)

    async def lock_sim(self, index: int = 0, pin: str = "1234", tries: int = PIN_TRIES) -> None:
        """Protect the SIM with a PIN and power the modem off and on; returns when it is back, locked."""
        _, modem = self._at(index)
        with modem.changing() as state:
            state.sim.lock(pin, tries)
        await self.reboot(index)

    async def block_sim(self, index: int = 0) -> None:
        """Spend the PIN's tries and power the modem off and on; returns when it is back and wants the PUK."""
        _, modem = self._at(index)
        with modem.changing() as state:
            state.sim.block()
        await self.reboot(index)

    async def reboot(self, index: int = 0) -> None:
        """Power the modem off and on; returns when ModemManager shows it, under another object path."""
        await self.unplug(index)
        await self.plug(index)

    async def remove_sim(self, index: int = 0) -> None:
        """Pull the SIM out; returns when ModemManager shows the modem without, which takes it some 15 s."""
        await self._swap_sim(index, inserted=False)

    async def insert_sim(self, index: int = 0) -> None:
        """Put the SIM in again; returns when ModemManager shows the modem anew."""
        await self._swap_sim(index, inserted=True)

    def swap_sim(self, index: int = 0) -> world.Subscriber:
        """Put the other subscriber's SIM into a modem that is unplugged, and tell whose it is.

        Raises:
            SandboxError: there is no such modem, or that SIM is in the second one.
        """
        _, modem = self._at(index)
        if self.modems > 1:
            raise SandboxError("The other SIM is in the other modem.", hint="Start a sandbox with one modem.")
        with modem.changing() as state:
            subscriber = next(one for one in world.SIMS if one.imsi != state.sim.imsi)
            state.become(subscriber)
        return subscriber

    async def _swap_sim(self, index: int, *, inserted: bool) -> None:
        usb, modem = self._at(index)
        before = await self._manager.find(usb) if self._daemons.running(_MANAGER) else None
        with modem.changing() as state:
            changed, state.sim.inserted = state.sim.inserted != inserted, inserted
        if changed and before:
            await self._shown(usb, other_than=before)

    def _at(self, index: int) -> tuple[UsbModem, VirtualModem]:
        if not 0 <= index < len(self._modems):
            raise absent(index, len(self._modems))
        return self._modems[index]

    # Programs

    async def _start_manager(self) -> None:
        # --test-no-udev: with udev, libudev refuses a /sys that is none; without, ModemManager reads the files itself.
        options = ["--test-no-udev", "--no-auto-scan", "--test-no-suspend-resume", "--log-level=INFO"]
        await self._daemons.start(_MANAGER, sysfs.entered(self._run, daemons.find(_MANAGER), *options))
