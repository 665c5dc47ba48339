"""Checks and the aftermath as processes for real, with scripts in their place."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck.config import Chain, ModemChoice, Settings
from phonecheck.model import PhoneNumber
from phonecheck.modem.brought import BroughtUp
from phonecheck.service.checks import GRACE_SECONDS, Accepted, ChildChecks
from phonecheck.service.children import Children
from phonecheck.service.model import Finished, Request
from select_loop import SelectLoop

TELLS = """
import json, os, sys
config = sys.argv[sys.argv.index("--config") + 1]
number = sys.stdin.read()
print(json.dumps({"argv": sys.argv[1:], "config": open(config).read(), "number": number, "env": dict(os.environ)}))
"""
LEAVES_A_NOTE = """
import os, signal, sys, time
open(os.environ["PHONECHECK_BROUGHT"], "w").write("noted")
open(os.path.join(os.path.dirname(__file__), "ready"), "w")
time.sleep(60)
"""
TAKES_DOWN = """
import os, sys
with open(os.path.join(os.path.dirname(__file__), "log"), "a") as log:
    log.write(sys.stdin.read() + "\\n")
"""


class Bench:
    """Where a service's checks are made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.state.mkdir()
        self.note = self.state / "brought.json"
        self.loop = SelectLoop()
        self.children = Children(self.loop)
        self.accepted = Accepted(b"[chain]\n", Path("/etc/phonecheck/agent.toml"), Settings())
        self.ends: list[Finished] = []
        self.write("aftermath", TAKES_DOWN)

    def write(self, name: str, script: str) -> Path:
        file = self.directory / name
        file.write_text(script)
        return file

    def checks(self, script: str = TELLS) -> ChildChecks:
        self.script = self.write("verify", script)
        return ChildChecks(
            self.children,
            lambda: self.accepted,
            self.state,
            environ={"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x", "NOTIFY_SOCKET": "/n"}
            | {"PHONECHECK_MODEM": "mine", "PHONECHECK_CONFIG": "/mine"},
            program=(sys.executable, "-S", str(self.script)),
            aftermath=(sys.executable, "-S", str(self.directory / "aftermath")),
        )

    def make(self, checks: ChildChecks, request: Request) -> Finished:
        """One check to its end, and to that of all that follows."""
        self.ends.clear()
        checks.start(request, self.ends.append)
        self.loop.run(lambda: self.ends)
        self.settle()
        (end,) = self.ends
        return end

    def settle(self) -> None:
        for _ in range(2):  # what takes down is started when those that a check left are gone
            settled: list[bool] = []
            self.children.settle(lambda settled=settled: settled.append(True))  # type: ignore[misc]
            self.loop.run(lambda settled=settled: settled)  # type: ignore[misc]

    @property
    def ready(self) -> bool:
        return (self.directory / "ready").exists()

    @property
    def taken_down(self) -> list[str]:
        log = self.directory / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.settle()
    assert made.loop.idle
    made.loop.close()
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def test_what_a_check_is_given(bench):
    request = Request("request", modem="iccid:8944001012345678909", number=PhoneNumber("447700900123"), timeout=12.5)
    finished = bench.make(bench.checks(), request)
    told = json.loads(finished.stdout)
    assert told["argv"][:3] == ["verify", "--json", "--config"]
    assert told["argv"][4:] == ["--timeout", "12.5", "-"]
    assert (told["number"], told["config"]) == ("447700900123\n", "[chain]\n")
    assert not any(secret in word for word in told["argv"] for secret in ("8944", "4477"))
    environment = {k: v for k, v in told["env"].items() if k not in ("PATH", "LC_CTYPE")}
    assert environment == {
        "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x",
        "PHONECHECK_MODEM": "iccid:8944001012345678909",
        "PHONECHECK_BROUGHT": str(bench.note),
    }


def test_what_a_check_is_not_given(bench):
    told = json.loads(bench.make(bench.checks(), Request("schedule")).stdout)
    assert (told["argv"][4:], told["number"]) == (["--timeout", "30.0"], "")
    assert "PHONECHECK_MODEM" not in told["env"]


def test_each_check_goes_by_the_configuration_of_its_time(bench):
    checks = bench.checks()
    bench.make(checks, Request("start"))
    bench.accepted = dataclasses.replace(bench.accepted, raw=b"", settings=Settings(chain=Chain(timeout=7)))
    told = json.loads(bench.make(checks, Request("start")).stdout)
    assert (told["config"], told["argv"][-1]) == ("", "7")


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 30 + 100 + GRACE_SECONDS), (5.0, 5 + 100 + GRACE_SECONDS)])
def test_how_long_it_may_take(bench, timeout, seconds):
    bench.accepted = dataclasses.replace(bench.accepted, settings=Settings(modem=ModemChoice(wait=100)))
    checks = bench.checks("import os, time; open(os.path.dirname(__file__) + '/ready', 'w'); time.sleep(60)")
    checks.start(Request("start", timeout=timeout), bench.ends.append)
    bench.loop.run(lambda: bench.ready)
    bench.loop.pass_time(seconds - 2)
    bench.loop.turn(0)
    assert not bench.ends
    bench.loop.pass_time(2)
    bench.loop.run(lambda: bench.ends)
    assert bench.ends == [Finished(signal=signal.SIGTERM, hung=True)]


def test_what_the_last_service_left_is_taken_down_before_the_first_check(bench):
    bench.note.write_text('{"of": "yesterday"}')
    checks = bench.checks(TELLS + "assert not os.path.exists(os.environ['PHONECHECK_BROUGHT'])")
    assert bench.make(checks, Request("start")).status == 0
    assert (bench.taken_down, bench.note.exists()) == (['{"of": "yesterday"}'], False)


def test_what_the_last_service_left_is_taken_down_without_a_check_too(bench):
    bench.note.write_text("old")
    bench.checks()
    bench.settle()
    assert (bench.taken_down, bench.note.exists()) == (["old"], False)


@pytest.mark.parametrize(("kills", "done"), [(2, 1), (3, 0)])
def test_what_takes_down_may_be_killed_as_well(bench, kills, done):
    """As by the kernel, where memory is short; but whoever kills it again and again is not fought for ever."""
    log = "os.path.join(os.path.dirname(__file__), 'kills')"
    dies = f"import os\nopen({log}, 'a').write('x')\nif os.path.getsize({log}) <= {kills}: os.kill(os.getpid(), 9)\n"
    bench.write("aftermath", dies + TAKES_DOWN)
    bench.note.write_text("old")
    bench.checks()
    bench.settle()
    assert (bench.taken_down, bench.note.exists()) == (["old"] * done, False)


def test_without_a_note_nothing_is_taken_down(bench):
    assert bench.make(bench.checks(), Request("start")).status == 0
    assert bench.taken_down == []


def kill_in_the_middle(bench: Bench, checks: ChildChecks) -> None:
    checks.start(Request("start"), bench.ends.append)
    bench.loop.run(lambda: bench.ready)
    (child,) = bench.children._running
    os.kill(child.pid, signal.SIGKILL)
    bench.loop.run(lambda: bench.ends)


def test_after_a_kill_what_was_noted_is_taken_down_before_the_next_check(bench):
    checks = bench.checks(LEAVES_A_NOTE)
    kill_in_the_middle(bench, checks)
    assert bench.ends.pop() == Finished(signal=signal.SIGKILL)
    bench.script.write_text("import os, sys; sys.exit(os.path.exists(os.environ['PHONECHECK_BROUGHT']))")
    assert bench.make(checks, Request("retry")).status == 0
    assert bench.taken_down == ["noted"]


def test_after_a_kill_without_a_note_the_kernel_is_looked_at(bench):
    checks = bench.checks("import os; os.kill(os.getpid(), 9)")
    bench.make(checks, Request("start"))
    assert bench.taken_down == ["null"]


def test_after_sigterm_the_one_that_takes_down_by_itself_is_waited_for(bench):
    """As `verify` does: it forks, and the fork takes down and removes the note."""
    forks = (
        "def leave(*_):\n"
        "    if os.fork() == 0:\n"
        "        while not os.path.exists(os.path.dirname(__file__) + '/over'): time.sleep(0.01)\n"
        "        os.unlink(os.environ['PHONECHECK_BROUGHT'])\n"
        "        os._exit(0)\n"
        "    signal.signal(15, signal.SIG_DFL)\n"
        "    os.kill(os.getpid(), 15)\n"
        "signal.signal(15, leave)\n"
    )
    checks = bench.checks(LEAVES_A_NOTE.replace("open(os.path", forks + "open(os.path"))
    check = checks.start(Request("start"), bench.ends.append)
    bench.loop.run(lambda: bench.ready)
    check.cancel()
    bench.loop.run(lambda: bench.ends)
    assert bench.ends == [Finished(signal=signal.SIGTERM, cancelled=True)], "told at once"
    bench.script.write_text("import os, sys; sys.exit(os.path.exists(os.environ['PHONECHECK_BROUGHT']))")
    checks.start(Request("retry"), bench.ends.append)
    for _ in range(3):
        bench.loop.turn(0.01)
    assert not bench.children._running, "the next check waits"
    (bench.directory / "over").touch()
    bench.loop.run(lambda: len(bench.ends) == 2)
    assert bench.ends[1].status == 0
    assert bench.taken_down == []


def test_a_check_that_ends_by_itself_and_leaves_a_note_is_seen_to(bench):
    checks = bench.checks(LEAVES_A_NOTE.replace("time.sleep(60)", "os._exit(70)"))
    assert bench.make(checks, Request("start")).status == 70
    assert (bench.taken_down, bench.note.exists()) == (["noted"], False)


def test_one_that_takes_down_and_fails_or_hangs_holds_up_no_check(bench, caplog):
    bench.note.write_text("rubbish")
    bench.write("aftermath", "import sys; sys.exit('no such bus, 447700900123')")
    assert bench.make(bench.checks(), Request("start")).status == 0
    assert "may still be up. no such bus" in caplog.text
    assert not bench.note.exists(), "once is enough"

    bench.note.write_text("hangs")
    ready = bench.directory / "ready"
    bench.write("aftermath", f"import time; open({str(ready)!r}, 'w'); time.sleep(60)")
    bench.ends.clear()
    bench.checks().start(Request("start"), bench.ends.append)
    bench.loop.run(lambda: bench.ready)
    bench.loop.pass_time(21)
    bench.loop.run(lambda: bench.ends)
    assert bench.ends[0].status == 0


def test_one_that_waits_for_its_turn_is_called_off_at_once(bench):
    bench.note.write_text("old")
    check = bench.checks().start(Request("start"), bench.ends.append)
    check.cancel()
    check.cancel()
    assert not bench.ends, "told only from the loop"
    bench.loop.turn(0)
    assert bench.ends == [Finished(cancelled=True)]
    bench.settle()
    assert len(bench.ends) == 1


def test_a_check_that_cannot_be_started_is_told(bench):
    checks = bench.checks()
    finished = bench.make(checks, Request("request", modem="a\0b"))
    assert finished.failed
    assert bench.make(checks, Request("request")).status == 0


def test_a_state_directory_that_is_not_there_stops_no_check(bench):
    bench.state.rmdir()
    assert bench.make(bench.checks(), Request("start")).status == 0


@pytest.mark.parametrize(
    ("ending", "level"),
    [("sys.exit(5)", logging.DEBUG), ("sys.exit(70)", logging.WARNING), ("os.abort()", logging.WARNING)],
)
def test_what_a_check_logged_is_passed_on(bench, caplog, ending, level):
    caplog.set_level(logging.DEBUG, "phonecheck")
    bench.make(
        bench.checks(f"import os, sys; print('what happened', file=sys.stderr, flush=True); {ending}"), Request("start")
    )
    assert [(r.levelno, r.getMessage()) for r in caplog.records if "happened" in r.getMessage()] == [
        (level, "The check's process said: what happened")
    ]


def test_the_real_one_takes_what_it_is_given(bench):
    """`phonecheck verify` itself, as far as it goes without a bus; and a note that it would write can be read."""
    bench.accepted = dataclasses.replace(bench.accepted, raw=b'[server]\nurl = "https://app.example"\n')
    environ = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
    checks = ChildChecks(bench.children, lambda: bench.accepted, bench.state, environ=environ)
    finished = bench.make(checks, Request("request", number=PhoneNumber("447700900123"), modem="imei:867223029999992"))
    document = json.loads(finished.stdout)
    assert (finished.status, document["error"]["code"]) == (4, "modem-manager-unavailable")
    assert document["phone_number"] == "…0123"


def test_the_real_one_takes_down(bench, caplog):
    bench.note.write_text(BroughtUp(modem="/m", manager=":1.7", bearer="/b", bus="0123").to_json())
    environ = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
    ChildChecks(bench.children, lambda: bench.accepted, bench.state, environ=environ)
    bench.settle()
    assert not caplog.text
    assert not bench.note.exists()
