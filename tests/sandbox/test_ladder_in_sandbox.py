"""The modem's ladder against the real ModemManager, where no command of the agent's shows it: killed, pulled, watched."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Makes the modem ready and dies at once, or so many seconds after its Connect was sent; says what it had brought up.
KILLED = """
import os, sys, threading, time
from phonecheck.deadline import Deadline
from phonecheck.modem.brought import BroughtUp
from phonecheck.modem.climb import make_ready
from phonecheck.modem.manager import ModemManager
from phonecheck.modem.ready import Wishes

brought = BroughtUp()
def climb():
    make_ready(ModemManager(), None, Wishes(connect=True, apn="internet"), None, Deadline(20), brought=brought,
        near=lambda: None, say=lambda words: None, network_manager=None)
threading.Thread(target=climb, daemon=True).start()
while not brought.connecting:
    time.sleep(0.0001)
time.sleep(float(sys.argv[1]))
print(brought.to_json(), flush=True)
os._exit(9)
"""
TAKE_DOWN = """
import sys
from phonecheck.modem.brought import BroughtUp, take_down
from phonecheck.modem.bus import ModemBus

bus = ModemBus()
take_down(bus, BroughtUp.from_json(sys.argv[1]), 5)
bus.close()
"""
MODEM = """
import json
from phonecheck.deadline import Deadline
from phonecheck.modem.manager import ModemManager

with ModemManager() as manager:
    (modem,) = manager.modems(Deadline(5))
print(json.dumps([modem.state.word, len(modem.bearers)]))
"""
# Makes the modem ready, with all the time in the world; says the error that ends it.
CLIMB = """
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.modem.brought import BroughtUp
from phonecheck.modem.climb import make_ready
from phonecheck.modem.manager import ModemManager
from phonecheck.modem.ready import Wishes

try:
    make_ready(ModemManager(), None, Wishes(connect=True, apn="internet"), None, Deadline(50), brought=BroughtUp(),
        near=lambda: None, say=lambda words: None, network_manager=None)
except AgentError as error:
    print(error.code)
"""
WATCH = """
import sys, threading
from pathlib import Path
from phonecheck.deadline import Deadline
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.manager import ModemManager
from phonecheck.modem.ready import bearer_of
from phonecheck.modem.watching import BearerWatch

bus, lost, told = ModemBus(), threading.Event(), []
modem = ModemManager(bus).find(None, Deadline(5))
watch = BearerWatch(bus, modem.path, bearer_of(modem).path, lambda error: (told.append(error), lost.set()))
Path(sys.argv[1]).touch()
lost.wait(20)
watch.close()
bus.close()
print(*(f"{error.code}: {error.message}" for error in told))
"""
# The service's checks, without the service: one that is ended as soon as it has noted so much, and another after it.
ENDED_BY_THE_SERVICE = """
import json, os, signal, sys
from pathlib import Path
from phonecheck import config
from phonecheck.service.checks import Accepted, ChildChecks
from phonecheck.service.children import Children
from phonecheck.service.model import Request
from select_loop import SelectLoop

how, noted = sys.argv[1], sys.argv[2]
directory = Path(sys.argv[3])
file = Path(os.environ["PHONECHECK_CONFIG"])
raw = file.read_bytes() + b'\\n[modem]\\nconnect = "auto"\\napn = "internet"\\n'
accepted = Accepted(raw, file, config.read(raw, file))
loop, ends = SelectLoop(), []
children = Children(loop)
checks = ChildChecks(children, lambda: accepted, directory)
check = checks.start(Request("start"), ends.append)
note = directory / "brought.json"
while not (note.exists() and json.loads(note.read_text())[noted]):
    loop.turn(0.001)
    assert not ends, ends
check.cancel() if how == "cancel" else os.kill(check.child.pid, signal.SIGKILL)
loop.run(lambda: ends)
checks.start(Request("retry"), ends.append)
loop.run(lambda: len(ends) == 2, 40)
print(json.dumps([ends[0].signal, json.loads(ends[1].stdout)["outcome"], note.exists()]))
"""


@pytest.fixture(scope="module")
def device(start_device: Any) -> Iterator[Any]:
    with start_device("--no-connect") as made:
        yield made


def state(device: Any) -> list[Any]:
    found: list[Any] = json.loads(device.run(sys.executable, "-c", MODEM).stdout)
    return found


@pytest.mark.parametrize("activation", ["normal", "hang"])
@pytest.mark.parametrize("seconds", [0, 0.001, 0.3])
def test_what_a_killed_run_brought_up_another_process_takes_down(device: Any, activation: str, seconds: float) -> None:
    before = state(device)
    device.box.ctl("activation", activation)
    killed = device.run(sys.executable, "-c", KILLED, seconds)
    device.box.ctl("activation", "normal")
    assert killed.returncode == 9, killed.stderr
    down = device.run(sys.executable, "-c", TAKE_DOWN, killed.stdout)
    assert down.returncode == 0, down.stderr
    assert state(device) == before == ["disabled", 0]


@pytest.mark.parametrize("noted", ["connecting", "bearer"])
@pytest.mark.parametrize(("how", "number"), [("kill", 9), ("cancel", 15)])
def test_what_a_check_of_the_service_brought_up_is_taken_down_before_the_next(
    device: Any, tmp_path: Any, how: str, number: int, noted: str
) -> None:
    before = state(device)
    tests = Path(__file__).parents[1]
    done = device.run(sys.executable, "-c", ENDED_BY_THE_SERVICE, how, noted, tmp_path, env={"PYTHONPATH": str(tests)})
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == [number, "match", False]
    assert state(device) == before == ["disabled", 0]
    assert device.run("ip", "rule").stdout.count("\n") == 3


def test_the_modem_is_chosen_without_the_process_list(device: Any) -> None:
    done = device.run("phonecheck", "verify", "--json", env={"PHONECHECK_MODEM": "imei:000000000000000"})
    assert json.loads(done.stdout)["error"]["message"] == "None of the modems is the one that was chosen."


def when_there(file: Any, act: Any) -> threading.Thread:
    """Act as soon as a file is there; to be joined."""
    over = threading.Event()

    def wait() -> None:
        for _ in range(2000):
            if file.exists():
                act()
                return
            over.wait(0.01)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (["drop-bearer"], "was disconnected"),
        (["disconnect"], "was disconnected"),
        (["manager-kill"], "ModemManager stopped"),
        (["unplug"], "modem is gone"),
    ],
)
def test_a_bearer_that_goes_is_told_at_its_signal(start_device: Any, tmp_path: Any, act: list[str], words: str) -> None:
    with start_device() as device:
        actor = when_there(tmp_path / "watching", lambda: device.box.ctl(*act))
        told = device.run(sys.executable, "-c", WATCH, tmp_path / "watching")
        actor.join()
    assert told.stdout.startswith("interface-gone: "), told.stderr
    assert words in told.stdout


def test_a_modem_that_is_pulled_while_it_connects_ends_the_request(device: Any) -> None:
    """ModemManager leaves such a Connect without an answer; the test would take the deadline's 50 s then."""
    device.box.ctl("activation", "hang")
    pulling = threading.Timer(1.5, device.box.ctl, ("unplug",))
    pulling.start()
    ended = device.run(sys.executable, "-c", CLIMB, timeout=30)
    pulling.join()
    assert ended.stdout.strip() == "modem-not-found", ended.stderr
