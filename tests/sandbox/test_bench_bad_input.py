"""The engineer's verbs where things are bad: streams, terminals, disks, clocks, users, signals, and no service at all."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running_service import Running

CONNECT = ("--connect", "--apn", "internet")
ORDINARY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
SECONDS = 20.0
"""For whatever is waited for."""
NARROW = 20
# A command on a terminal of so many columns: prints what it wrote.
ON_TERMINAL = """
import fcntl, os, pty, struct, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    sys.stdin.readline()  # until the terminal has its size
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, int(sys.argv[1]), 0, 0))
os.write(terminal, b"\\n")
try:
    while piece := os.read(terminal, 65536):
        sys.stdout.buffer.write(piece)
except OSError:  # how a terminal that nobody has open any more ends
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.fixture
def service(device: Any, tmp_path: Path) -> Iterator[Running]:
    """The service, which has made no check yet."""
    running = Running(device, tmp_path, service="on_start = false")
    yield running
    device.box.ctl("reset")
    running.end()


def checked(service: Running) -> None:
    service.kill("USR1")
    service.until(lambda: service.history() and service.status()["outbox"] == 0, "verified and reported")


def failed(answer: Any) -> list[str]:
    return [rung["slug"] for rung in answer.json["rungs"] if rung["state"] == "failed"]


# The doctor's exit status tells what it found, as verify's does; the others are for nothing but their answer.
ANSWERS = {
    "doctor --no-traffic": 0,
    "doctor --no-traffic --json": 0,
    "status": 3,
    "status --json": 3,
    "status --prometheus": 3,
    "history": 3,
    "history --json": 3,
    "monitor --for 0.3": 3,
    "monitor --for 0.3 --json": 3,
    "report --no-traffic --show": 3,
}


def test_streams_that_are_full_or_closed_or_not_read(device: Any, service: Running) -> None:
    checked(service)
    for verb, status in ANSWERS.items():
        full = device.run("sh", "-c", f"phonecheck {verb} >/dev/full")
        assert (verb, full.returncode) == (verb, status)
        assert 1 <= full.stderr.count("No space left on device") <= 2, full.stderr
        for streams in ("<&- >&- 2>&-", "2>/dev/full", "> >(exec true)"):
            done = device.run("bash", "-c", f"phonecheck {verb} {streams}")
            assert (verb, streams, done.returncode, done.stderr) == (verb, streams, 0, "")


SAID = {
    ("doctor", "--no-traffic"): "ALL WELL",
    ("status",): "MATCH",
    ("history",): "MATCH",
    ("monitor", "--for", "0.3"): "connected",
    ("explain", "clock-wrong"): "clock",
}


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}], ids=str
)
def test_a_stream_that_is_not_utf_8(device: Any, service: Running, env: dict[str, str]) -> None:
    checked(service)
    for verb, said in SAID.items():
        done = device.run(*("phonecheck", *verb), env=env)
        assert (done.returncode, said in done.stdout, done.stdout.isascii()) == (0, True, True), done
    for verb in (("doctor", "--no-traffic", "--json"), ("status", "--json"), ("monitor", "--for", "0.3", "--json")):
        done = device.run("phonecheck", *verb, env=env)
        # What no stream of the kind has is escaped, and not lost.
        assert done.stdout.isascii()
        assert "…" in json.dumps(json.loads(done.stdout), ensure_ascii=False)


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {}], ids=str)
def test_a_terminal_of_twenty_columns(device: Any, service: Running, env: dict[str, str]) -> None:
    checked(service)
    for verb, said in SAID.items():
        on_terminal = {"TERM": "xterm", "COLUMNS": ""} | env
        done = device.run(sys.executable, "-c", ON_TERMINAL, NARROW, "phonecheck", *verb, env=on_terminal)
        text = re.sub(r"\x1b\[[0-9]*[AJK]", "", done.stdout) if "TERM" not in env else done.stdout
        assert (done.returncode, said in text) == (0, True), done
        assert ("\x1b" in text) == (not env)
        if verb[0] == "monitor" and "TERM" in env:
            continue  # a line for each change, and none of it cut
        for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
            # A word is not cut, for it may have to be typed; nor is a command, nor the title of a rung.
            kept = len(line.split()) <= 2 or line.startswith(("    ", "ok ", "clock-wrong"))
            assert len(line) <= NARROW or kept, done.stdout


REPORT = "phonecheck report --no-traffic --no-connect"


def test_a_report_that_has_no_place(device: Any, tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text("another's")
    for name in (there, tmp_path / "missing" / "report.html", "/dev/full", tmp_path, there / "report.html"):
        done = device.run(*REPORT.split(), "-o", name)
        assert (done.returncode, "code  file-unwritable (exit status 3)" in done.stderr) == (3, True), done
        assert "Looking at" not in done.stderr, "nobody waits for a report that cannot be written"
    assert there.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [there]


@pytest.mark.parametrize("option", ["", "--force"])
def test_a_report_on_a_full_disk_leaves_nothing_and_replaces_nothing(device: Any, tmp_path: Path, option: str) -> None:
    make = f"mount -t tmpfs -o size=8k none $0 && cd $0 && echo old >old.html && {REPORT} -o $1 {option}"
    script = f"{make}; echo $?; ls -A; cat old.html"
    name = "old.html" if option else "new.html"
    done = device.run("unshare", "-m", "sh", "-c", script, tmp_path, name)
    assert done.stdout == "3\nold.html\nold\n", done
    assert f"{name} cannot be written: No space left on device." in done.stderr


def test_no_service(device: Any) -> None:
    for verb in (("status",), ("status", "--prometheus"), ("history",)):
        done = device.run("phonecheck", *verb)
        assert (done.returncode, done.stdout) == (8, "")
        assert "code  agent-unavailable (exit status 8, worth another try)" in done.stderr
    for verb in ("status", "history"):
        assert device.phonecheck(verb).code == "agent-unavailable"
    assert "service not running" in device.run("phonecheck", "monitor", "--for", "1.5").stdout
    report = json.loads(device.run("phonecheck", "report", "--show").stdout)
    why = {entry["what"]: entry["code"] for entry in report["missing"]}
    assert (why["service"], why["history"]) == ("agent-unavailable", "agent-unavailable")
    answer = device.phonecheck("doctor")
    states = {rung["slug"]: rung["state"] for rung in answer.json["rungs"]}
    assert (answer.status, states["service"], states["outbox"]) == (0, "idle", "idle")


def test_no_check_yet(device: Any, service: Running) -> None:
    assert device.run("phonecheck", "history").stdout == "No check was made yet.\n"
    assert device.phonecheck("history").json["checks"] == []
    assert "no check yet" in device.run("phonecheck", "status").stdout
    status = device.phonecheck("status").json
    assert (status["last"], status["last_success"], status["totals"]) == (None, None, [])
    page = device.run("phonecheck", "report", "--no-traffic", "-o", "-", "--config", service.config).stdout
    assert "No check was made yet." in page


BEFORE = "device_clock=-7300"


def test_a_clock_that_is_years_behind(device: Any, tmp_path: Path) -> None:
    device.box.ctl("set", BEFORE)
    service = Running(device, tmp_path, service="on_start = false")
    try:
        service.kill("USR1")
        service.until(service.history, "verified")
        answer = device.phonecheck("doctor")
        assert (failed(answer), answer.code, answer.status) == (["clock"], "clock-wrong", 3), answer.stdout
        assert_no_time_is_told(device, service)
        # It is set; the service was not told, here, and has the old one.
        device.box.ctl("reset")
        assert_no_time_is_told(device, service)
    finally:
        service.end()


def assert_no_time_is_told(device: Any, service: Running) -> None:
    """The check was made when the clock was not set: no verb tells when, or how long ago if another clock was asked."""
    (check,) = device.phonecheck("history").json["checks"]
    status = device.phonecheck("status").json
    monitor = json.loads(device.run("phonecheck", "monitor", "--for", "1", "--json").stdout.splitlines()[-1])
    assert [check["at"], status["last"]["at"], monitor["service"]["last"]["at"]] == [None] * 3
    assert [status["next_run"], status["last_success"], monitor["service"]["next_run"]] == [None] * 3
    words = [device.run("phonecheck", *verb).stdout for verb in (("history",), ("status",), ("monitor", "--for", "1"))]
    for text in words:
        assert "server-unreachable" in text
        assert not re.search(r"INCONCLUSIVE.*20\d\d-|\d d ago", text), text
    report = json.loads(device.run("phonecheck", "report", "--show", "--no-traffic").stdout)
    assert (report["history"]["checks"][0]["at"], report["service"]["next_run"]) == (None, None)
    page = device.run("phonecheck", "report", "--no-traffic", "-o", "-").stdout
    assert ("time unknown" in page, "None" in page) == (True, False)


def test_a_clock_that_is_years_ahead(device: Any) -> None:
    """It may be right, for all that the device knows by itself; the network knows better."""
    device.box.ctl("set", "device_clock=7300")
    answer = device.phonecheck("doctor")
    assert (answer.json["cause"], answer.code, answer.status) == ("tls", "clock-wrong", 3)
    assert device.phonecheck("doctor", "--no-traffic").json["cause"] in (None, "server")


def test_an_ordinary_user(device: Any) -> None:
    done = device.run(*ORDINARY, "phonecheck", "doctor", "--json")
    rungs = {rung["slug"]: rung for rung in json.loads(done.stdout)["rungs"]}
    assert (done.returncode, rungs["kernel"]["facts"]["net_admin"]) == (0, False)


@pytest.mark.parametrize("act", ["drop-bearer", "unplug", "manager-kill"])
def test_a_link_that_is_lost_while_the_doctor_climbs(device: Any, act: str) -> None:
    """Waiting for a platform that is silent, it hears of the loss; the one is told, and the other is not."""
    device.set(platform_down=True)
    device.box.ctl("later", "1.5", act)
    try:
        answer = device.phonecheck("doctor")
        assert (len(failed(answer)), answer.code, answer.status) == (1, "interface-gone", 5), answer.stdout
        assert answer.json["ms"] < 3500, "that is what a silent platform takes"
    finally:
        for mend in {"unplug": ["plug"], "manager-kill": ["manager-start"]}.get(act, []):
            device.box.ctl(mend)
        device.box.ctl("connect")


@pytest.fixture(scope="module")
def bare(start_device: Any) -> Iterator[Any]:
    """A device whose modem is off and whose link nobody configures; far from the world, that signals come in time."""
    with start_device("--no-connect", "--no-configure", "--rtt", "150") as device:
        yield device


def state_of(device: Any) -> dict[str, Any]:
    (modem,) = json.loads(device.run("phonecheck", "modem", "list", "--json").stdout)["modems"]
    return {"kernel": device.box.ctl("snapshot"), "modem": (modem["state"], modem["bearers"])}


@pytest.fixture(scope="module")
def before(bare: Any) -> dict[str, Any]:
    """The state that it has to be in after each run."""
    return state_of(bare)


def test_without_traffic_nothing_is_brought_up_and_nothing_sent(bare: Any, before: dict[str, Any]) -> None:
    bare.packets(reset=True)
    for verb in ("doctor", "report"):
        bare.run("phonecheck", verb, "--no-traffic", *CONNECT, *(["--show"] if verb == "report" else []))
        assert state_of(bare) == before
    sent = bare.packets()
    assert not any(sent.get("wwan0", {}).values()), sent


def test_a_link_that_an_ordinary_user_may_not_set_up_is_named(bare: Any, before: dict[str, Any]) -> None:
    done = bare.run(*ORDINARY, "phonecheck", "doctor", *CONNECT, "--json")
    answer = json.loads(done.stdout)
    assert (answer["cause"], answer["error"]["code"], done.returncode) == ("address", "no-route", 5), done
    assert "CAP_NET_ADMIN" in answer["error"]["hint"]
    assert state_of(bare) == before


@pytest.mark.parametrize(
    ("seconds", "signal", "verb"),
    [
        ("0.2", "INT", "doctor"),
        ("0.35", "TERM", "doctor"),
        ("0.5", "INT", "doctor --json"),
        ("0.7", "TERM", "doctor"),
        ("0.9", "INT", "doctor"),
        ("1.1", "HUP", "doctor --json"),
        ("0.9", "INT", "report -o -"),
        ("1.1", "TERM", "report --show"),
    ],
)
def test_a_signal_leaves_nothing_behind(
    bare: Any, before: dict[str, Any], seconds: str, signal: str, verb: str
) -> None:
    bare.packets(reset=True)
    limited = ("timeout", "--preserve-status", "-s", signal, seconds)
    done = bare.run(*limited, "phonecheck", *verb.split(), *CONNECT)
    assert done.returncode % 256 == {"INT": 130, "TERM": 143, "HUP": 129}[signal], done
    assert "Traceback" not in done.stderr
    end = time.monotonic() + SECONDS
    while (after := state_of(bare)) != before and time.monotonic() < end:
        time.sleep(0.2)
    assert after == before
    assert bare.run("phonecheck", "link", "cleanup").stdout == "Nothing was left behind.\n"
    bare.assert_no_leak()
