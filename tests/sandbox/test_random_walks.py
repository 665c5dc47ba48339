"""Checks to which everything happens: none hangs, none sends a packet by the LAN, none leaves anything.

PHONECHECK_WALKS says how many (each takes some seconds), PHONECHECK_SEED which; a walk that fails shows its own events.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError

_log = logging.getLogger("walk")
WALKS = int(os.environ.get("PHONECHECK_WALKS", "12"))
SEED = os.environ.get("PHONECHECK_SEED", "1")
TIMEOUT = 8
AFTER = 14.0
"""Seconds that an end may take beyond: a modem that hangs answers a disconnect late, and peers are taken leave of."""
STATUSES = {0, 4, 5, 6, 7, 130, 143}
"""A match, an error of modem, link, check or app server, or the signal. Never a bug, a crash or another's match."""

EVENTS: dict[str, tuple[str, ...]] = {
    "unplug": ("unplug",),
    "replug": ("unplug", "plug"),
    "drop": ("drop-bearer",),
    "manager dies": ("manager-kill",),
    "manager restarts": ("manager-kill", "manager-start"),
    "manager stops": ("manager-stop",),
    "lock": ("lock-sim",),
    "link down": ("link-down",),
    "address lost": ("address-lost",),
    "device gone": ("device-gone",),
    "searching": ("registration searching",),
    "searching and back": ("registration searching", "registration home"),
    "denied": ("registration denied",),
    "modem restarts": ("reset-modem",),
    "switched off": ("power off",),
    "activation hangs": ("activation hang",),
    "activation slow": ("activation slow 2",),
    "radio dead": ("set radio_dead=yes",),
    "radio dead and back": ("set radio_dead=yes", "set radio_dead=no"),
    "loss": ("set radio_loss=30",),
    "slow": ("set radio_rtt=300",),
    "strict filter": ("rp-filter 1",),
    "vpn": ("vpn on",),
    "hop hangs": ("set mno_hang=yes",),
}
SIGNALS = {"interrupt": "INT", "terminate": "TERM", "kill": "KILL"}


@dataclass(frozen=True)
class Walk:
    """What happens to one check: what somebody had connected before, and events at seconds after its start."""

    seed: str
    connected: bool
    events: tuple[tuple[float, str], ...]


RTT = 40
"""Milliseconds of the radio, so that a check takes more than a second and events find it in every step."""


def walk_of(seed: str) -> Walk:
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0.0, 1.3) for _ in range(chance.choice((1, 1, 1, 2, 2, 3))))
    names = (*EVENTS, *SIGNALS)
    return Walk(seed, chance.random() < 0.4, tuple((round(at, 3), chance.choice(names)) for at in moments))


@pytest.fixture(scope="module")
def bare(start_device: Any) -> Iterator[Any]:
    """A device with all still to do and to undo: the modem is without a bearer, and nobody configures its interface."""
    with start_device("--scenario", "bearer-down", "--no-configure") as device:
        yield device


@pytest.fixture(scope="module")
def settings(bare: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("walks")
    pin = directory / "pin"
    pin.touch(0o600)
    pin.write_text("1234")
    file = directory / "agent.toml"
    own = bare.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
    file.write_text(f'{own}\n[modem]\nconnect = "auto"\napn = "internet"\npin_file = "{pin}"\n')
    return file


class Run:
    """A check under way, in a thread of this process."""

    def __init__(self, device: Any, settings: Path) -> None:
        self._device, self._settings = device, settings
        self._pid_file = settings.parent / "pid"
        self._pid_file.unlink(missing_ok=True)
        self.done: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        verify = f"phonecheck verify +{world.SUBSCRIBER.msisdn} --timeout {TIMEOUT} --json -v"
        env = {"PHONECHECK_CONFIG": str(self._settings)}
        # exec: the pid is the agent's own.
        script = f'echo $$ >"{self._pid_file}"; exec {verify}'
        self.done = self._device.run("sh", "-c", script, env=env, timeout=TIMEOUT + AFTER + 20)

    def signal(self, name: str) -> None:
        until = time.monotonic() + 5
        while not (self._pid_file.exists() and self._pid_file.read_text().strip()) and time.monotonic() < until:
            time.sleep(0.01)
        self._device.run("kill", f"-{name}", self._pid_file.read_text().strip())

    def join(self) -> float:
        """Wait for its end; the seconds that took."""
        started = time.monotonic()
        self._thread.join(TIMEOUT + AFTER + 20)
        return time.monotonic() - started


def act(device: Any, words: str) -> None:
    """Do it if it can be done: an event may meet a device to which another one has happened."""
    try:
        device.box.ctl(*words.split())
    except SandboxError as error:
        _log.info("%s: %s", words, error)


def heal(device: Any) -> None:
    """What a walk did to the device, undone; nothing that the agent should have undone."""
    act(device, "reset")
    for words in ("vpn off", "rp-filter 2", "activation normal", "registration home", "manager-start", "plug"):
        act(device, words)


def kernel(device: Any) -> Any:
    return device.box.ctl("snapshot")


def settle(device: Any, wanted: Any) -> Any:
    """The kernel's state once it is as wanted, or at last: a process that a signal left behind takes some seconds."""
    until = time.monotonic() + AFTER
    while (state := kernel(device)) != wanted and time.monotonic() < until:
        time.sleep(0.2)
    return state


def bearers(device: Any) -> list[bool]:
    """Whether each bearer that ModemManager lists is connected. One of another program stays listed when it is not."""
    listed = device.run("phonecheck", "modem", "list", "--json").stdout
    return [bearer["connected"] for modem in json.loads(listed)["modems"] for bearer in modem["bearers"]]


def settle_bearers(device: Any, others: list[bool]) -> list[bool]:
    until = time.monotonic() + AFTER
    while (any(found := bearers(device)) or len(found) > len(others)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


@pytest.mark.parametrize("n", range(WALKS))
def test_walk(
    n: int, bare: Any, settings: Path, assert_redacted: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    walk = walk_of(f"{SEED}-{n}")
    _log.info("%s", walk)
    caplog.set_level(logging.INFO)
    before = kernel(bare)
    if walk.connected:
        act(bare, "connect")
    others = bearers(bare)
    bare.box.ctl("set", f"radio_rtt={RTT}")
    bare.packets(reset=True)
    run = Run(bare, settings)
    started = time.monotonic()
    for at, name in walk.events:
        time.sleep(max(0.0, started + at - time.monotonic()))
        _log.info("%.2f s: %s", time.monotonic() - started, name)
        if name in SIGNALS:
            run.signal(SIGNALS[name])
        for words in EVENTS.get(name, ()):
            act(bare, words)
    seconds = run.join()
    assert run.done is not None, "it hangs"
    _log.info("status %d\n%s%s", run.done.returncode, run.done.stdout, run.done.stderr)
    killed = any(name == "kill" for _, name in walk.events) and run.done.returncode == 137
    assert run.done.returncode in STATUSES or killed
    assert seconds < TIMEOUT + AFTER
    text = run.done.stdout + run.done.stderr
    assert "Traceback" not in text
    assert_redacted(text)
    if run.done.returncode in {0, 4, 5, 6, 7}:
        assert json.loads(run.done.stdout)["match"] in ({True} if run.done.returncode == 0 else {None})
    heal(bare)
    if killed:
        # Nobody was left to undo anything: the next run does, or this.
        bare.run("phonecheck", "link", "cleanup")
    assert settle(bare, before) == before
    if killed or walk.connected:
        act(bare, "disconnect")
    else:
        left = settle_bearers(bare, others)
        assert not any(left)
        assert len(left) <= len(others)
    lan0 = bare.packets()["lan0"]
    assert not any(lan0[to] for to in ("platform", "mno", "carrier-dns")), lan0
