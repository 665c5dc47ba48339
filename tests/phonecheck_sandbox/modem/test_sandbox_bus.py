import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jeepney import DBusAddress, DBusErrorResponse
from jeepney.io.asyncio import DBusRouter

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.modem import bus, polkit
from phonecheck_sandbox.modem.daemons import Daemons, find
from phonecheck_sandbox.modem.manager import Manager
from phonecheck_sandbox.modem.stack import ModemStack
from phonecheck_sandbox.modem.sysfs import UsbModem

AUTHORITY = DBusAddress("/org/freedesktop/PolicyKit1/Authority", polkit.NAME, f"{polkit.NAME}.Authority")
ENABLE, CONNECT = "org.freedesktop.ModemManager1.Device.Control", "org.freedesktop.ModemManager1.Connect"


def unheard(name: str, code: int, log: Path) -> None:
    """A death that the test does not ask about."""


async def spawn(
    argv: Sequence[str], *, node: str, log: Path, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **(env or {})}
        )


@asynccontextmanager
async def private_bus(run: Path) -> AsyncIterator[tuple[Daemons, DBusRouter]]:
    socket = run / "bus"
    configuration = run / "bus.conf"
    configuration.write_text(bus.configuration(socket))
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address(socket)}
    daemons = Daemons(spawn, node="", logs=run, environment=environment, on_death=unheard)
    await daemons.start("dbus-daemon", [find("dbus-daemon"), f"--config-file={configuration}", "--nofork"])
    try:
        await daemons.within(10, "dbus-daemon", bus.wait_until_listening(socket), "takes no connections")
        async with bus.client(socket) as router:
            yield daemons, router
    finally:
        await daemons.kill_all()


async def allowed(router: DBusRouter, action: str) -> bool:
    question: tuple[Any, ...] = (("system-bus-name", {"name": ("s", ":1.1")}), action, {}, 0, "")
    ((answer, _challenge, _details),) = await bus.call(
        router, AUTHORITY, "CheckAuthorization", "(sa{sv})sa{ss}us", *question
    )
    return bool(answer)


def test_a_path_with_marks_is_escaped_in_address_and_configuration() -> None:
    socket = Path("/run/a b&c/bus")
    assert bus.address(socket) == "unix:path=/run/a%20b%26c/bus"
    assert ET.fromstring(bus.configuration(socket)).findtext("listen") == bus.address(socket)


@pytest.mark.dbus
def test_polkit_says_yes_but_for_the_actions_in_the_file(tmp_path: Path) -> None:
    deny_file = tmp_path / "deny"

    async def run() -> None:
        async with private_bus(tmp_path) as (daemons, router):
            await daemons.start("polkit", [sys.executable, "-m", polkit.__name__, str(deny_file)])
            await daemons.within(10, "polkit", bus.wait_for_name(router, polkit.NAME), "is not on the bus")
            assert await allowed(router, ENABLE)
            deny_file.write_text(f"{ENABLE}\n")
            assert not await allowed(router, ENABLE)
            assert await allowed(router, CONNECT)
            deny_file.write_text("")
            assert await allowed(router, ENABLE)

            properties = AUTHORITY.with_interface("org.freedesktop.DBus.Properties")
            (everything,) = await bus.call(router, properties, "GetAll", "s", AUTHORITY.interface)
            (version,) = await bus.call(router, properties, "Get", "ss", AUTHORITY.interface, "BackendVersion")
            assert everything["BackendVersion"] == version
            with pytest.raises(DBusErrorResponse, match="UnknownMethod"):
                await bus.call(router, AUTHORITY, "EnumerateActions", "s", "")

    asyncio.run(run())


@pytest.mark.dbus
def test_a_name_is_waited_for_whether_it_is_there_or_comes_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with private_bus(tmp_path) as (_, router), bus.client(tmp_path / "bus") as owner:
            waiting = asyncio.create_task(bus.wait_for_name(router, "org.example.Late"))
            await bus.wait_for_name(router, router.unique_name)
            assert not waiting.done()
            bus_itself = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
            await bus.call(owner, bus_itself, "RequestName", "su", "org.example.Late", 0)
            await asyncio.wait_for(waiting, 5)
            await asyncio.wait_for(bus.wait_for_name(router, "org.example.Late"), 5)

    asyncio.run(run())


@pytest.mark.dbus
def test_a_client_outlives_the_bus_without_an_error(tmp_path: Path) -> None:
    async def run() -> None:
        async with private_bus(tmp_path) as (daemons, _):
            await daemons.kill("dbus-daemon")

    asyncio.run(run())


def test_a_program_that_dies_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def run() -> None:
        daemons = Daemons(spawn, node="", logs=tmp_path, environment={}, on_death=unheard)
        await daemons.start("broken", ["sh", "-c", "echo no such thing >&2; exit 3"])
        with pytest.raises(SandboxError, match=r"^broken ended with status 3\.$") as error:
            await daemons.within(10, "broken", asyncio.Event().wait(), "says nothing")
        assert "no such thing" in error.value.hint
        assert not daemons.running("broken")

    asyncio.run(run())


def test_a_program_that_stays_silent_is_an_error_after_its_time(tmp_path: Path) -> None:
    async def run() -> None:
        daemons = Daemons(spawn, node="", logs=tmp_path, environment={}, on_death=unheard)
        await daemons.start("silent", ["sleep", "60"])
        with pytest.raises(SandboxError, match=r"^silent says nothing after 0\.05 s\.$"):
            await daemons.within(0.05, "silent", asyncio.Event().wait(), "says nothing")
        assert daemons.running("silent")
        await daemons.terminate("silent", grace=5)
        assert not daemons.running("silent")

    asyncio.run(run())


def test_a_death_is_told_once_and_only_where_nobody_asked_for_it(tmp_path: Path) -> None:
    async def run() -> None:
        told: list[tuple[str, int]] = []
        died = asyncio.Event()

        def on_death(name: str, code: int, log: Path) -> None:
            told.append((f"{name} {log.name}", code))
            died.set()

        daemons = Daemons(spawn, node="", logs=tmp_path, environment={}, on_death=on_death)
        for name in ("killed", "stopped"):
            await daemons.start(name, ["sleep", "60"])
        await daemons.kill("killed")
        await daemons.terminate("stopped", grace=5)
        assert daemons.ended() == {}
        await daemons.start("crashed", ["sh", "-c", "exit 7"])
        async with asyncio.timeout(10):
            await died.wait()
        assert told == [("crashed crashed.log", 7)]
        assert daemons.ended() == {"crashed": 7}
        await daemons.start("crashed", ["sleep", "60"])
        assert daemons.ended() == {}
        await daemons.kill_all()

    asyncio.run(run())


def test_waiting_for_a_program_that_another_request_ended_is_an_error_in_words(tmp_path: Path) -> None:
    async def run() -> None:
        daemons = Daemons(spawn, node="", logs=tmp_path, environment={}, on_death=unheard)
        with pytest.raises(SandboxError, match=r"^gone is not running\.$"):
            await daemons.within(10, "gone", asyncio.Event().wait(), "says nothing")

    asyncio.run(run())


@pytest.mark.dbus
def test_a_bus_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    async def run() -> None:
        async with private_bus(tmp_path) as (daemons, router):
            await daemons.kill("dbus-daemon")
            manager = Manager(router)
            for request in (manager.wait_until_running(), manager.find(UsbModem(0))):
                with pytest.raises(SandboxError, match=r"^The private bus is gone\.$"):
                    await request

    asyncio.run(run())


def test_a_program_that_is_not_installed_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    with pytest.raises(SandboxError, match="dbus-daemon is not installed") as error:
        find("dbus-daemon")
    assert error.value.hint == "Install it: sudo apt install dbus"


def test_a_stack_knows_its_modems_and_the_words_of_registration(tmp_path: Path) -> None:
    stack = ModemStack(tmp_path, spawn, [world.SUBSCRIBER], on_session=lambda index, up: None, on_death=unheard)
    with pytest.raises(SandboxError, match=r"no modem 1"):
        stack.network.be_heard(50, index=1)
    with pytest.raises(ValueError, match=r"registration 'lost'\. Known are: idle, searching, home, roaming, denied\.$"):
        stack.network.register("lost")
    hat = ModemStack(tmp_path, spawn, [], on_session=lambda index, up: None, on_death=unheard)
    with pytest.raises(SandboxError, match="HAT"):
        hat.network.end_session()
