"""NetworkManager on the sandbox's device: the real daemon where this machine has it, else a stand-in of its D-Bus API.

It manages the modems that ModemManager shows on the private bus, with one connection each that nobody activates unasked.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from jeepney import DBusAddress, MatchRule
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusRouter, Proxy

from phonecheck_sandbox import nm_package, nm_stand_in
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.modem import bus
from phonecheck_sandbox.modem.daemons import Daemons, Spawn

_PROGRAM = "NetworkManager"
_DEVICE = f"{nm_stand_in.NAME}.Device"
_MODEM_MANAGER_ROOT, _MODEM = "/org/freedesktop/ModemManager1", "org.freedesktop.ModemManager1.Modem"
_START_SECONDS = 8.0
_STOP_SECONDS = 5.0
_UNMANAGED = 10  # NMDeviceState
_APN = "internet"

# The options name every file but these: it keeps a key and time stamps in /var/lib, and would switch the machine's own
# radios by /dev/rfkill. A /sys that cannot be written is its sign that there is no udev, as in a container; the flags
# are those that the kernel does not let a user namespace take off. Of the plugins it gets copies of those for a modem: it
# loads only what is root's, who is nobody in an ordinary user's namespace.
_CONTAINED = """\
set -e
tree=$1 copies=$2; shift 2
if [ -n "$tree" ]; then cd "$tree"; mount -t overlay -o lowerdir=usr:/usr overlay /usr; cd /; fi
plugins=$(echo /usr/lib/*/NetworkManager/[0-9]*)
cp "$plugins/libnm-wwan.so" "$plugins/libnm-device-plugin-wwan.so" "$copies"
mount --bind "$copies" "$plugins"
mount -t tmpfs tmpfs /var/lib
[ ! -e /dev/rfkill ] || mount --bind /dev/null /dev/rfkill
[ ! -d /sys/class/rfkill ] || mount -t tmpfs tmpfs /sys/class/rfkill
mount --bind /sys /sys
mount -o remount,bind,ro,nosuid,nodev,noexec /sys
exec "$@"
"""

_CONFIGURATION = """\
[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
systemd-resolved=false
hostname-mode=none
dhcp=internal
auth-polkit=false
no-auto-default=*
configure-and-quit=no
[keyfile]
path={connections}
unmanaged-devices=*,except:type:gsm
[connectivity]
enabled=false
"""

_CONNECTION = f"""\
[connection]
id=mobile
uuid=7f0c2c5e-5d0f-4a3e-8d55-6a0f6c0f9a01
type=gsm
autoconnect=false
[gsm]
apn={_APN}
[ipv4]
method=auto
[ipv6]
method=auto
"""


class NetworkManagerPart:
    """NetworkManager on the device's node, on the private bus.

    Args:
        run: a directory for its files and its log; made where it is missing.
        spawn: starts a program.
        bus_address: of the private bus, where ModemManager is already.
        real: False for the stand-in in any case.
        on_death: called with the name, the return code and the log, where it ends by itself.

    Attributes:
        kind: which one runs, once it was started.
        why: why it is the stand-in, a sentence; empty where it is the real one.
    """

    def __init__(
        self,
        run: Path,
        spawn: Spawn,
        bus_address: str,
        *,
        real: bool = True,
        on_death: Callable[[str, int, Path], None] = lambda *_: None,
    ) -> None:
        self.kind: Literal["real", "stand-in"] = "stand-in"
        self.why = "" if real else "The stand-in was asked for."
        self._run = run
        self._bus_address = bus_address
        self._on_death = on_death
        self._started = False
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": bus_address}
        self._daemons = Daemons(spawn, node="device", logs=run, environment=environment, on_death=self._died)

    async def start(self) -> None:
        """Start it; return when it is on the bus and manages every modem that ModemManager shows.

        Raises:
            SandboxError: not even the stand-in came up.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        try:
            if not self.why:
                await self._try_real()
            if self.why:
                self.kind = "stand-in"
                await self._start([sys.executable, "-P", "-m", nm_stand_in.__name__, _APN])
        except BaseException:
            await self.stop()
            raise
        self._started = True

    async def stop(self) -> None:
        """End it as systemd would; it takes down what is up first."""
        self._started = False
        await self._daemons.terminate(_PROGRAM, grace=_STOP_SECONDS)

    def ended(self) -> dict[str, int]:
        """Its return code under its name, where it ended by itself."""
        return self._daemons.ended()

    async def _try_real(self) -> None:
        program = nm_package.find()
        if program is None:
            self.why = "NetworkManager is neither installed nor unpacked."
            return
        self.kind = "real"
        try:
            await self._start(self._command(program))
        except SandboxError as error:
            await self._daemons.kill_all()
            self.why = f"The real one does not run here: {error.message}"

    def _command(self, program: nm_package.Program) -> list[str]:
        connections, state, etc, plugins = (self._run / name for name in ("connections", "state", "etc", "plugins"))
        for directory in (connections, state, etc, plugins):
            directory.mkdir(exist_ok=True)
        configuration = self._run / "NetworkManager.conf"
        configuration.write_text(_CONFIGURATION.format(connections=connections), encoding="utf-8")
        connection = connections / "mobile.nmconnection"
        connection.touch(mode=0o600)  # it takes none that others may read
        connection.write_text(_CONNECTION, encoding="utf-8")
        contained = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _CONTAINED, "sh"]
        return [
            *contained,
            *(
                str(program.tree or ""),
                str(plugins),
                nm_package.PATH,
                "--debug",
            ),  # in the foreground, and its log to us
            f"--config={configuration}",
            f"--config-dir={etc}",
            f"--system-config-dir={etc}",
            f"--intern-config={state}/intern.conf",
            f"--state-file={state}/state",
            f"--pid-file={state}/pid",
            "--log-level=INFO",
        ]

    async def _start(self, argv: Sequence[str]) -> None:
        async with nm_stand_in.client(self._bus_address) as router:
            await self._daemons.start(_PROGRAM, argv)
            await self._daemons.within(_START_SECONDS, _PROGRAM, _manages_all(router), "does not manage the modem")

    def _died(self, name: str, code: int, log: Path) -> None:
        if self._started:
            self._on_death(name, code, log)


async def _manages_all(router: DBusRouter) -> None:
    """Return once it is on the bus, and manages every modem that ModemManager shows."""
    await bus.wait_for_name(router, nm_stand_in.NAME)
    changes = MatchRule(type="signal", interface=_DEVICE, member="StateChanged")
    with router.filter(changes, queue=asyncio.Queue()) as heard:
        await Proxy(message_bus, router).AddMatch(changes)
        modems = {path for path, shown in (await _objects(router, _MODEM_MANAGER_ROOT)).items() if _MODEM in shown}
        while True:
            objects = await _objects(router, "/org/freedesktop")
            devices = [shown[_DEVICE] for shown in objects.values() if _DEVICE in shown]
            if modems <= {device["Udi"][1] for device in devices if device["State"][1] > _UNMANAGED}:
                return
            await heard.get()


async def _objects(router: DBusRouter, path: str) -> dict[str, dict[str, dict[str, Any]]]:
    name = nm_stand_in.MODEM_MANAGER if path == _MODEM_MANAGER_ROOT else nm_stand_in.NAME
    target = DBusAddress(path, name, "org.freedesktop.DBus.ObjectManager")
    (objects,) = await bus.call(router, target, "GetManagedObjects")
    found: dict[str, dict[str, dict[str, Any]]] = objects
    return found
