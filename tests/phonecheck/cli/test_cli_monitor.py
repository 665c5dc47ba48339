"""`phonecheck monitor`: what it shows, how it draws, where it gets its news from, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import pty
import queue
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_modem_manager import FakeModemManager, bearer
from phonecheck import document
from phonecheck.cli.monitor import follow
from phonecheck.cli.scene import Row, Scene, as_object, line, page, service_of, written
from phonecheck.cli.sources import ChosenModem, Source
from phonecheck.cli.table import width
from phonecheck.cli.views import Canvas
from phonecheck.deadline import Deadline
from phonecheck.errors import ConfigError, ModemError, ServiceError
from phonecheck.modem import faults, names
from phonecheck.modem.manager import ModemManager
from service_bus import FakeCalls, LoopInThread, ServiceBus, a_bus, a_loop, an_api, result

IMSI, ICCID, IMEI = "001010123456789", "8944001012345678909", "867223029999992"


def manager(**modem: Any) -> FakeModemManager:
    fake = FakeModemManager()
    fake.objects["/b"] = bearer(Properties={"apn": "internet"})
    fake.modem.update(
        {"State": 11, "SignalQuality": (67, True), "AccessTechnologies": 1 << 14, "Bearers": ["/b"]} | modem
    )
    for content in fake.objects.values():
        if names.MODEM_3GPP in content:
            found = {"RegistrationState": 1, "OperatorName": "Sandbox Mobile", "OperatorCode": "00101", "Imei": IMEI}
            content[names.MODEM_3GPP].update(found)
        if names.SIM in content:
            content[names.SIM].update({"SimIdentifier": ICCID, "Imsi": IMSI})
    return fake


def modem_object(**modem: Any) -> dict[str, Any]:
    return document.of_modem(ModemManager(manager(**modem)).find(None, Deadline(5)))


PROPERTIES = FakeCalls(last=result(error_code="hop-timeout", outcome="inconclusive")).properties()
SCENE = Scene(modem=modem_object(), service=service_of(PROPERTIES))
GONE = Scene(error=document.of_error(faults.NotRunning("modem-manager-unavailable", "ModemManager is not running.")))


def text(scene: Scene, room: int = 80, signals: Any = (41, 67), encoding: str = "utf-8") -> list[str]:
    return ["".join(written(row, room, "…")).rstrip() for row in page(scene, signals, room, encoding)]


def test_the_page() -> None:
    assert text(SCENE) == [
        "signal    67 % ███████████████████████████░░░░░░░░░░░░░",
        "         ▄▆  41-67 %",
        "modem    connected",
        "network  home",
        "operator Sandbox Mobile (00101)",
        "radio    lte",
        "bearer   connected, wwan0, apn internet",
        "service  idle  next 2027-01-15T09:00:00Z",
        "last     INCONCLUSIVE  hop-timeout  512 ms  2027-01-15T08:00:00Z",
    ]


def test_the_page_without_a_modem() -> None:
    assert text(GONE, signals=[67, None]) == [
        "modem    none",
        "         ModemManager is not running.",
        "         Start it: systemctl start ModemManager.",
        "service  not running",
    ]


def test_a_modem_that_waits_for_its_pin() -> None:
    shown = text(Scene(modem=modem_object(State=2, UnlockRequired=2, SignalQuality=(0, False), Bearers=[])))
    assert "modem    locked: sim-pin" in shown
    assert "bearer   none" in shown


def test_at_20_columns_it_can_be_read() -> None:
    assert text(SCENE, 19) == [
        "signal    67 %",
        "         ▄▆",
        "modem    connected",
        "network  home",
        "operator Sandbox M…",
        "radio    lte",
        "bearer   connected…",
        "service  idle  nex…",
        "last     INCONCLUS…",
    ]


def test_plain_where_there_are_no_blocks() -> None:
    assert "\n".join(text(SCENE, encoding="ascii")).isascii()


@given(
    st.integers(1, 200),
    st.lists(st.none() | st.integers(0, 100), max_size=300),
    st.sampled_from([SCENE, GONE, Scene(), Scene(modem=modem_object(Bearers=[]))]),
)
def test_no_row_is_longer_than_there_is_room(room: int, signals: list[int | None], scene: Scene) -> None:
    assert max(map(width, text(scene, room, signals))) <= max(room, 10)


def test_a_line() -> None:
    assert line(SCENE) == (
        "connected  Sandbox Mobile (00101)  home  lte  67 %  connected, wwan0, apn internet"
        "  service idle  last  INCONCLUSIVE  hop-timeout  512 ms  2027-01-15T08:00:00Z"
    )
    assert line(GONE) == "ModemManager is not running  service not running"
    assert line(Scene()) == "no modem  service not running"


def test_an_object() -> None:
    found = as_object(SCENE, 1800000000.0, 1.23456)
    assert (found["schema"], found["at"], found["seconds"]) == (1, "2027-01-15T08:00:00Z", 1.235)
    assert (found["modem"]["signal"], found["modem"]["bearers"][0]["interface"]) == (67, "wwan0")
    assert found["service"]["last"]["error_code"] == "hop-timeout"
    assert as_object(GONE, 0.0, 0.0)["at"] is None, "the clock is not set"
    assert as_object(GONE, 0.0, 0.0)["error"]["code"] == "modem-manager-unavailable"


def test_nothing_of_an_identity() -> None:
    shown = "\n".join([*text(SCENE, 200), line(SCENE), json.dumps(as_object(SCENE, 0.0, 0.0), ensure_ascii=False)])
    assert not re.search(f"{IMSI}|{ICCID}|{IMEI}", shown)
    assert "…8909" in shown


# The terminal.


class Terminal:
    """As much of a terminal as the canvas may use."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines = [""] * rows
        self.at = 0

    def write(self, text: str) -> None:
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|\n|[^\x1b\n]+", text):
            self._take(part)

    def _take(self, part: str) -> None:
        if part == "\n":
            self.at += 1
            if self.at == self.rows:
                self.lines = [*self.lines[1:], ""]
                self.at -= 1
        elif part == "\x1b[2K":
            self.lines[self.at] = ""
        elif part == "\x1b[J":
            self.lines[self.at :] = [""] * (self.rows - self.at)
        elif part == "\x1b[H":
            self.at = 0
        elif part == "\x1b[2J":
            self.lines = [""] * self.rows
        elif part.endswith("A"):
            self.at = max(self.at - int(part[2:-1]), 0)
        else:
            assert not part.startswith("\x1b"), repr(part)
            assert len(part) <= self.columns, "it would wrap"
            self.lines[self.at] = part

    @property
    def shown(self) -> list[str]:
        return [one for one in self.lines if one]


def test_drawn_over_what_was_drawn_and_nothing_else() -> None:
    terminal = Terminal(80, 10)
    canvas = Canvas(terminal.write)
    terminal.write("before\n")
    canvas.draw(["one", "two", "three"], (80, 10))
    canvas.draw(["four"], (80, 10))
    assert terminal.shown == ["before", "four"]
    canvas.draw(["five", "six"], (80, 10))
    terminal.write("after")
    assert terminal.shown == ["before", "five", "six", "after"], "the cursor is below"


def test_at_the_bottom_of_the_terminal() -> None:
    terminal = Terminal(80, 4)
    canvas = Canvas(terminal.write)
    terminal.write("a\nb\nc\n")
    canvas.draw(["one", "two"], (80, 4))
    canvas.draw(["three", "four"], (80, 4))
    assert terminal.shown == ["c", "three", "four"]


def test_more_lines_than_the_terminal_has() -> None:
    terminal = Terminal(80, 4)
    canvas = Canvas(terminal.write)
    for n in range(3):
        canvas.draw([f"{n}{m}" for m in range(8)], (80, 4))
    assert terminal.shown == ["20", "21", "22"]


def test_another_size() -> None:
    terminal = Terminal(80, 10)
    canvas = Canvas(terminal.write)
    terminal.write("before\n")
    canvas.draw(["one", "two"], (80, 10))
    canvas.draw(["three"], (40, 10))
    assert terminal.shown == ["three"], "what a resize made of the rest nobody knows"


def test_after_a_stop_it_is_drawn_where_the_cursor_is() -> None:
    terminal = Terminal(80, 10)
    canvas = Canvas(terminal.write)
    canvas.draw(["one"], (80, 10))
    terminal.write("dev> fg\n")
    canvas.forget()
    canvas.draw(["two"], (80, 10))
    assert terminal.shown == ["one", "dev> fg", "two"]


def test_what_has_a_colour_is_cut_before_it_is_painted() -> None:
    assert written(Row("modem", "connected", "  and more", "green"), 14, "…") == ("modem    ", "conn…", "")


# The news.


class Recording:
    """A view that remembers."""

    def __init__(self, fails: OSError | None = None) -> None:
        self.scenes: list[Scene] = []
        self.agains: list[bool] = []
        self._fails = fails

    def show(self, scene: Scene) -> None:
        if self._fails:
            raise self._fails
        self.scenes.append(scene)

    def again(self, *, elsewhere: bool) -> None:
        self.agains.append(elsewhere)


def followed(*events: tuple[str, Any], view: Recording | None = None) -> Recording:
    """What a view was shown of these and the reader's leaving."""
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for event in (*events, ("left", None)):
        news.put(event)
    view = view or Recording()
    assert follow(news, view, None) == 0
    return view


def the_modem(**modem: Any) -> Any:
    return ModemManager(manager(**modem)).find(None, Deadline(5))


NOT_RUNNING = faults.NotRunning("modem-manager-unavailable", "ModemManager is not running.")
SILENT = ServiceError("agent-unavailable", "The service did not answer in time.")
AMBIGUOUS = ModemError("ambiguous-modem", "2 modems fit.")


def test_shown_when_both_are_known() -> None:
    shown = followed(("modem", the_modem()), ("resized", None), ("service", PROPERTIES)).scenes
    assert shown == [SCENE]


def test_a_modem_that_goes_and_comes_back() -> None:
    shown = followed(("service", None), ("modem", the_modem()), ("modem", NOT_RUNNING), ("modem", the_modem())).scenes
    assert [scene.modem is not None for scene in shown] == [True, False, True]
    assert shown[1].error["code"] == "modem-manager-unavailable"
    assert shown[2].error is None


def test_a_service_that_does_not_answer_is_told_from_one_that_does_not_run() -> None:
    events = [
        ("modem", the_modem()),
        ("service", SILENT),
        ("service", None),
        ("service", PROPERTIES),
        ("service", SILENT),
    ]
    shown = followed(*events).scenes
    assert [scene.service is None for scene in shown] == [True, True, False, True]
    assert [line(scene).partition("service ")[2][:11] for scene in shown] == [
        "does not an",
        "not running",
        "idle  last ",
        "does not an",
    ]


def test_two_modems_are_a_question_at_the_begin_and_a_fact_later() -> None:
    with pytest.raises(ModemError, match="2 modems fit"):
        followed(("modem", AMBIGUOUS))
    shown = followed(("service", None), ("modem", the_modem()), ("modem", AMBIGUOUS)).scenes
    assert shown[-1].error["code"] == "ambiguous-modem"


def test_one_that_does_not_answer_does_not_keep_the_other_from_being_shown() -> None:
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()
    view = Recording()
    news.put(("modem", the_modem()))
    assert follow(news, view, Deadline(1.2)) == 0
    assert [scene.signal for scene in view.scenes] == [67]


def test_it_ends_in_time_in_the_greatest_bustle() -> None:
    class Bustle(queue.SimpleQueue):  # type: ignore[type-arg]
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            return ("service", None)

    assert follow(Bustle(), Recording(), Deadline(0.05)) == 0


def test_nobody_reads_it() -> None:
    followed(("modem", the_modem()), ("service", None), view=Recording(BrokenPipeError()))


def test_the_disk_is_full() -> None:
    with pytest.raises(ConfigError) as caught:
        followed(("modem", the_modem()), ("service", None), view=Recording(OSError(errno.ENOSPC, "No space left")))
    assert (caught.value.code, "No space left" in caught.value.message) == ("file-unwritable", True)


def test_a_terminal_that_is_another_is_drawn_again() -> None:
    assert followed(("resized", None), ("resumed", None)).agains == [False, True]


def test_watched_before_it_is_read_and_read_at_each_change() -> None:
    log: list[str] = []
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    hears: list[Callable[[], None]] = []

    def watch(changed: Callable[[], None]) -> None:
        log.append("watch")
        hears.append(changed)

    def read() -> int:
        log.append("read")
        return len(log)

    Source("test", watch, read, told.put)
    assert told.get(timeout=5) == 2
    hears[0]()
    assert told.get(timeout=5) == 3
    assert log == ["watch", "read", "read"]


def test_a_bus_that_is_away_is_asked_again() -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    answers: Iterator[Any] = iter([NOT_RUNNING, 1])

    def watch(changed: Callable[[], None]) -> None:
        if isinstance(answer := next(answers), Exception):
            raise answer

    Source("test", watch, lambda: "facts", told.put)
    assert told.get(timeout=5) is NOT_RUNNING
    assert told.get(timeout=5) == "facts"


def test_the_modem_that_was_chosen_stays_it() -> None:
    fake = manager()
    chosen = ChosenModem(ModemManager(fake), None)
    first = chosen.read()
    other = f"{names.ROOT}/Modem/1"
    fake.objects[other] = {names.MODEM: {"Device": "/sys/devices/usb1/1-2", "State": 3}, names.MODEM_3GPP: {}}
    assert chosen.read() == first
    assert ChosenModem(ModemManager(fake), None).read().code == "ambiguous-modem"  # type: ignore[union-attr]
    fake.leave()
    assert chosen.read().code == "modem-not-found"  # type: ignore[union-attr]
    fake.name = ""
    assert isinstance(chosen.read(), faults.NotRunning)


# The process.


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[ServiceBus]:
    with a_bus(tmp_path) as made:
        yield made


@pytest.fixture
def loop(bus: ServiceBus) -> Iterator[LoopInThread]:
    with a_loop() as made:
        yield made


def start(address: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PHONECHECK")}
    environment |= {"DBUS_SYSTEM_BUS_ADDRESS": address, "PHONECHECK_CONFIG": "/dev/null", "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "phonecheck", "monitor", *arguments]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more
    return subprocess.Popen(command, text=True, env=environment, **given)


def objects(process: subprocess.Popen[str], until: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The first of its objects that fulfils a condition."""
    assert process.stdout is not None
    for each in process.stdout:
        if until(found := json.loads(each)):
            return found
    pytest.fail(f"it ended: {process.stderr.read() if process.stderr else ''}")


@pytest.mark.dbus
def test_it_lives_through_services_and_buses_that_go(bus: ServiceBus, loop: LoopInThread) -> None:
    process = start(bus.address, "--json")
    try:
        first = objects(process, lambda _: True)
        assert (first["service"], first["error"]["code"]) == (None, "modem-manager-unavailable")
        calls = FakeCalls()
        with an_api(bus.address, loop, calls) as api:
            objects(process, lambda found: found["service"] and found["service"]["state"] == "idle")
            calls.state = "checking"
            loop.run(api.changed)
            objects(process, lambda found: found["service"] and found["service"]["state"] == "checking")
            bus.stop()
            objects(process, lambda found: found["service"] is None)
            bus.start()
            objects(process, lambda found: found["service"] and found["service"]["state"] == "checking")
        objects(process, lambda found: found["service"] is None)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


@pytest.mark.dbus
def test_its_time_is_up(bus: ServiceBus) -> None:
    process = start(bus.address, "--for", "0.3")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert re.fullmatch(r"\S+Z  ModemManager is not running  service not running\n", out)


@pytest.mark.dbus
def test_a_reader_that_leaves_ends_it_without_waiting_for_a_change(bus: ServiceBus) -> None:
    process = start(bus.address)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_without_a_bus_it_says_so_and_waits() -> None:
    process = start("unix:path=/nonexistent/bus", "--for", "1.5", "--json")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out.splitlines()[0])["error"]["code"] == "modem-manager-unavailable"


def test_a_modem_that_cannot_be_meant_is_not_waited_for() -> None:
    process = start("unix:path=/nonexistent/bus", "--modem", "3")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "bad-setting" in err


def on_a_terminal(address: str, term: str, until: bytes) -> tuple[bytes, int]:
    """What it writes to a terminal up to some words, then Ctrl-C; and its exit status."""
    ours, theirs = pty.openpty()
    environment_term = os.environ.get("TERM")
    os.environ["TERM"] = term
    try:
        process = start(address, stdout=theirs, stderr=theirs, stdin=theirs, start_new_session=True)
    finally:
        if environment_term is None:
            del os.environ["TERM"]
        else:
            os.environ["TERM"] = environment_term
    os.close(theirs)
    said = b""
    end = time.monotonic() + 30
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([ours], [], [], 1)
            if ready:
                try:
                    said += os.read(ours, 4096)
                except OSError:  # EIO: nobody has the other side any more
                    break
            if until in said and process.poll() is None:
                process.send_signal(signal.SIGINT)
                until = b"\0"
        return said, process.wait(20)
    finally:
        process.kill()
        os.close(ours)


@pytest.mark.dbus
def test_on_a_terminal_it_draws_and_leaves_it_clean(bus: ServiceBus) -> None:
    said, status = on_a_terminal(bus.address, "xterm", b"Ctrl-C ends")
    assert status == 130
    terminal = Terminal(80, 24)
    shown = re.sub(r"\x1b\[[\d;]*m", "", said.decode().replace("\r\n", "\n"))
    terminal.write(shown)
    assert terminal.shown[0] == "modem    none"
    assert terminal.shown[-1] == "phonecheck: interrupted"
    assert "\x1b[?" not in shown, "no mode of the terminal is changed that would have to be changed back"


@pytest.mark.dbus
def test_a_dumb_terminal_gets_lines(bus: ServiceBus) -> None:
    said, status = on_a_terminal(bus.address, "dumb", b"service not running")
    assert status == 130
    assert b"\x1b" not in said
