from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck.errors import AgentError, ServiceError
from phonecheck.modem import names
from phonecheck.modem.bus import ModemBus
from phonecheck.service.dbus import INTERFACE, NAME, PATH, Api, interface_xml
from phonecheck.service.model import Record
from service_bus import (
    OPEN,
    STRICT,
    SYSTEMD,
    FakeCalls,
    FakePolkit,
    LoopInThread,
    ServiceBus,
    a_bus,
    a_loop,
    an_api,
    result,
)

pytestmark = pytest.mark.dbus
ROOT = os.geteuid() == 0


@pytest.fixture
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceBus]:
    with a_bus(tmp_path, getattr(request, "param", OPEN)) as made:
        yield made


@pytest.fixture
def loop(bus: ServiceBus) -> Iterator[LoopInThread]:
    with a_loop() as made:
        yield made


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def api(bus: ServiceBus, loop: LoopInThread, calls: FakeCalls) -> Iterator[Api]:
    with an_api(bus.address, loop, calls) as made:
        yield made


class Refused(AgentError):
    """An error reply, by its name."""

    def __init__(self, name: str, message: str) -> None:
        Exception.__init__(self, name)
        self.name, self.message = name, message


class Caller:
    """Somebody on the bus."""

    def __init__(self, address: str) -> None:
        self.bus = ModemBus(address, (names.Rule(NAME, None),))

    def __call__(self, method: str, signature: str = "()", *args: Any, interface: str = INTERFACE) -> Any:
        reply = self.bus.call(PATH, interface, method, 10, signature, args, service=NAME, fault=Refused)
        return reply[0] if reply else None

    def refusal(self, method: str, signature: str, *args: Any) -> str:
        with pytest.raises(Refused) as caught:
            self(method, signature, *args)
        return caught.value.name


@pytest.fixture
def caller(bus: ServiceBus) -> Iterator[Caller]:
    made = Caller(bus.address)
    yield made
    made.bus.close()


class Ear:
    """Hears the service's signals."""

    def __init__(self, address: str) -> None:
        from jeepney import MatchRule
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection

        self._connection = open_dbus_connection(address)
        rule = MatchRule(type="signal", path=PATH)
        self._connection.send_and_get_reply(message_bus.AddMatch(rule))

    def next(self) -> tuple[str, tuple[Any, ...]]:
        from jeepney import HeaderFields, MessageType

        while True:
            message = self._connection.receive(timeout=10)
            fields = message.header.fields
            if message.header.message_type is MessageType.signal and fields.get(HeaderFields.path) == PATH:
                return fields[HeaderFields.member], message.body

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def ear(bus: ServiceBus) -> Iterator[Ear]:
    made = Ear(bus.address)
    yield made
    made.close()


def record(**more: Any) -> Record:
    return Record("1f2e", "request", 1800000000.5, {"schema": 1, "outcome": "match", "match": True, "ms": 512.4} | more)


# Methods


def test_what_is_asked_reaches_the_service(api, caller, calls):
    options = {"number": ("s", "+447700900123"), "modem": ("s", "iccid:8944001012345678909"), "timeout": ("d", 20.0)}
    assert caller("Verify", "(a{sv})", options) == "1f2e"
    assert calls.told == [{"number": "+447700900123", "modem": "iccid:8944001012345678909", "timeout": 20.0}]


def test_what_the_service_remembers_is_told(api, caller, calls):
    assert caller("Check", "(s)", "1f2e") == {"state": "done", **result()}
    assert [check["id"] for check in caller("History", "(u)", 2)] == ["0", "1"]
    caller("History", "(u)", 0)
    assert calls.limit == 1000
    caller("History", "(u)", 0xFFFFFFFF)
    assert calls.limit == 1000


def test_errors_have_their_names(api, caller, calls):
    assert caller.refusal("Check", "(s)", "nobody") == "org.phonecheck.Error.UnknownCheck"
    calls.raises = ServiceError("agent-busy", "Eight checks wait.")
    with pytest.raises(Refused) as caught:
        caller("Verify", "(a{sv})", {})
    assert (caught.value.name, caught.value.message) == ("org.phonecheck.Error.AgentBusy", "Eight checks wait.")


def test_a_bug_is_the_callers_error_and_not_the_services_end(api, caller, calls, caplog):
    calls.raises = ZeroDivisionError("447700900123")
    assert caller.refusal("Verify", "(a{sv})", {}) == "org.phonecheck.Error.InternalError"
    assert "ZeroDivisionError" in caplog.text
    calls.checks["odd"] = {"state": "done", "at": "no number"}
    assert caller.refusal("Check", "(s)", "odd") == "org.phonecheck.Error.InternalError"
    calls.raises = None
    assert caller("Verify", "(a{sv})", {}) == "1f2e"


DEEP: tuple[str, Any] = ("s", "x")
for _ in range(40):
    DEEP = ("v", DEEP)


@pytest.mark.parametrize(
    "options",
    [
        {"number": ("d", 447700900123.0)},
        {"number": ("s", "07700900123")},
        {"number": ("s", "")},
        {"number": ("a{sv}", {"number": ("s", "+447700900123")})},
        {"modem": ("u", 0)},
        {"modem": ("s", "0")},
        {"modem": ("s", "iccid:\n")},
        {"timeout": ("s", "20")},
        {"timeout": ("b", True)},
        {"timeout": ("d", float("nan"))},
        {"timeout": ("d", float("inf"))},
        {"timeout": ("d", -1.0)},
        {"timeout": ("d", 0.0)},
        {"timeout": ("x", 2**62)},
        {"time_out": ("d", 20.0)},
        {"unknown": DEEP},
        {"modem": ("s", "x" * 2**20)},
        {str(n): ("u", n) for n in range(10_000)},
    ],
    ids=lambda options: str(options)[:60],
)
def test_bad_options_are_refused(api, caller, calls, options):
    assert caller.refusal("Verify", "(a{sv})", options) == "org.phonecheck.Error.BadOption"
    assert calls.told == []


@pytest.mark.parametrize(
    ("method", "signature", "args"),
    [
        ("Verify", "(s)", ("x",)),
        ("Verify", "(a{ss})", ({"number": "+447700900123"},)),
        ("History", "(i)", (-1,)),
        ("Check", "()", ()),
    ],
)
def test_arguments_of_another_type_are_refused(api, caller, method, signature, args):
    assert caller.refusal(method, signature, *args) == "org.freedesktop.DBus.Error.InvalidArgs"


def test_the_interface_is_the_file(api, caller):
    from gi.repository import Gio

    introspected = caller("Introspect", interface="org.freedesktop.DBus.Introspectable")
    there = Gio.DBusNodeInfo.new_for_xml(introspected).lookup_interface(INTERFACE)
    written = Gio.DBusNodeInfo.new_for_xml(interface_xml()).lookup_interface(INTERFACE)
    for members in ("methods", "signals", "properties"):
        assert {m.name for m in getattr(there, members)} == {m.name for m in getattr(written, members)} != set()


# Properties


def test_properties_are_read(api, caller, calls):
    calls.last = result()
    everything = caller("GetAll", "(s)", INTERFACE, interface=names.PROPERTIES)
    assert everything == calls.properties()
    for name, value in everything.items():
        assert caller("Get", "(ss)", INTERFACE, name, interface=names.PROPERTIES) == value
    with pytest.raises(Refused, match="InvalidArgs"):
        caller("Set", "(ssv)", INTERFACE, "State", ("s", "idle"), interface=names.PROPERTIES)
    with pytest.raises(Refused, match="InvalidArgs"):
        caller("Get", "(ss)", INTERFACE, "Nothing", interface=names.PROPERTIES)


def test_properties_are_announced_once_and_only_when_they_changed(api, loop, calls, ear):
    loop.run(api.changed)  # nothing did

    def twice() -> None:
        api.changed()
        calls.state = "checking"
        api.changed()

    loop.run(twice)
    assert ear.next() == ("PropertiesChanged", (INTERFACE, {"State": ("s", "checking")}, []))
    loop.run(api.changed)
    loop.run(lambda: api.sim_changed("iccid:…1234"))
    assert ear.next() == ("SimChanged", ("iccid:…1234",))


# Signals


def test_a_check_is_told_of(api, loop, calls, ear):
    loop.run(lambda: api.check_started("1f2e"))
    assert ear.next() == ("CheckStarted", ("1f2e",))

    def complete() -> None:  # in one turn: what the start has announced later would tell of it before
        calls.last = result()
        api.check_completed(record(link={"interface": "wwan0"}, modem=None))

    loop.run(complete)
    signal, (id_, told) = ear.next()
    assert (signal, id_) == ("CheckCompleted", "1f2e")
    assert (told["outcome"], told["match"], told["interface"]) == (("s", "match"), ("b", True), ("s", "wwan0"))
    assert (told["at"], told["ms"], told["exit_status"]) == (("x", 1800000000), ("d", 512.4), ("u", 0))
    signal, (_, changed, _) = ear.next()
    assert (signal, set(changed)) == ("PropertiesChanged", {"LastResult"})


def test_what_is_said_last_is_sent(bus, loop, calls, ear):
    api = loop.run(lambda: Api(bus.address, loop, calls))

    def live_and_die() -> None:
        api.start()
        api.check_started("1f2e")
        calls.state = "checking"
        api.close()
        api.close()
        api.check_started("late")  # nobody hears it, and nothing breaks

    loop.run(live_and_die)
    assert [ear.next()[0], ear.next()[0]] == ["CheckStarted", "PropertiesChanged"]


# The bus


def test_a_name_that_is_taken(api, bus, loop):
    second = loop.run(lambda: Api(bus.address, loop, FakeCalls()))
    with pytest.raises(ServiceError) as caught:
        loop.run(second.start)
    assert caught.value.code == "already-running"
    assert (second.connected, api.connected) == (False, True)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_it_outlives_the_bus(api, bus, loop, calls, caller, caplog):
    caplog.set_level(logging.INFO)
    bus.stop()
    wait_for(lambda: not api.connected)
    loop.run(lambda: api.check_started("unheard"))
    calls.state = "checking"
    bus.start()
    wait_for(lambda: api.connected)
    assert caller("Get", "(ss)", INTERFACE, "State", interface=names.PROPERTIES) == "checking"
    ear = Ear(bus.address)
    calls.state = "idle"
    loop.run(api.changed)
    assert ear.next() == ("PropertiesChanged", (INTERFACE, {"State": ("s", "idle")}, []))
    ear.close()
    assert [r.getMessage() for r in caplog.records if "bus" in r.getMessage()] == [
        "The system bus cannot be reached, there is no D-Bus API for now: it closed the connection.",
        "The system bus is back.",
    ]


def test_a_bus_that_comes_late(bus, loop, calls, caller):
    bus.stop()
    api = loop.run(lambda: Api(bus.address, loop, calls))
    loop.run(api.start)
    assert not api.connected
    bus.start()
    wait_for(lambda: api.connected)
    assert caller("Verify", "(a{sv})", {}) == "1f2e"
    loop.run(api.close)


DENIES = OPEN + f'<policy context="mandatory"><deny own="{NAME}"/></policy>'


@pytest.mark.parametrize("bus", [DENIES], indirect=True)
def test_a_bus_that_refuses_the_name_is_a_warning(bus, loop, calls, caplog):
    api = loop.run(lambda: Api(bus.address, loop, calls))
    loop.run(api.start)
    assert not api.connected
    loop.run(api.close)
    assert "there is no D-Bus API" in caplog.text


def test_an_idle_api_asks_for_no_timer(bus, loop, calls, monkeypatch):
    timers = []
    monkeypatch.setattr(loop, "later", lambda seconds, do: timers.append(seconds))
    api = loop.run(lambda: Api(bus.address, loop, calls))
    loop.run(api.start)
    loop.run(api.close)
    assert timers == []


# Who may

ASK = """
import json, os, sys
from jeepney import DBusAddress, MessageFlag, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection
address, uid, gid, interface, method, signature, body, interactive = json.loads(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
connection = open_dbus_connection(address)
object = DBusAddress("/org/phonecheck/Agent1", "org.phonecheck.Agent1", interface)
call = new_method_call(object, method, signature, tuple(body))
if interactive:
    call.header.flags |= MessageFlag.allow_interactive_authorization
reply = connection.send_and_get_reply(call, timeout=20)
error = reply.header.message_type is MessageType.error
print(reply.header.fields[4] if error else json.dumps(reply.body, default=str))
"""
NOBODY = 65534
VERIFY = (INTERFACE, "Verify", "a{sv}", [{}])
READS = {
    "Get": (names.PROPERTIES, "Get", "ss", [INTERFACE, "State"]),
    "GetAll": (names.PROPERTIES, "GetAll", "s", [INTERFACE]),
    "Introspect": ("org.freedesktop.DBus.Introspectable", "Introspect", "", []),
    "Ping": ("org.freedesktop.DBus.Peer", "Ping", "", []),
}
CALLS = {
    "Verify": VERIFY,
    "Check": (INTERFACE, "Check", "s", ["1f2e"]),
    "History": (INTERFACE, "History", "u", [1]),
    "Set": (names.PROPERTIES, "Set", "ssv", [INTERFACE, "State", ["s", "x"]]),
}


def ask_as_another(bus: ServiceBus, what: tuple[Any, ...], *, gid: int = NOBODY, interactive: bool = False) -> str:
    """The error's name, or the reply as JSON, for a user who is not root: nobody, where root runs the test."""
    arguments = json.dumps([bus.address, NOBODY, gid, *what, interactive])
    done = subprocess.run([sys.executable, "-c", ASK, arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def polkit(bus: ServiceBus) -> Iterator[FakePolkit]:
    made = FakePolkit(bus.address)
    made.start()
    yield made
    made.stop()


def test_polkit_is_asked_about_the_caller(api, bus, polkit, calls):
    assert ask_as_another(bus, VERIFY) == '["1f2e"]'
    ((kind, subject), action, details, flags, _), *_ = polkit.asked
    assert (kind, action, details, flags) == ("system-bus-name", "org.phonecheck.Agent1.verify", {}, 0)
    assert subject["name"][1].startswith(":")
    polkit.answer = "no"
    assert ask_as_another(bus, VERIFY) == "org.phonecheck.Error.NotAllowed"
    assert len(calls.told) == 1


def test_polkit_may_ask_a_person_where_the_caller_says_so(api, bus, polkit):
    ask_as_another(bus, VERIFY, interactive=True)
    assert polkit.asked[0][3] == 1


def test_reading_is_nothing_that_polkit_is_asked_for(api, bus, polkit):
    for what in (CALLS["Check"], CALLS["History"], *READS.values()):
        assert "Error" not in ask_as_another(bus, what)
    assert polkit.asked == []


@pytest.mark.parametrize("name", ["org.freedesktop.PolicyKit1.Error.Failed", "org.freedesktop.DBus.Error.AccessDenied"])
def test_a_polkit_that_fails_is_a_no(api, bus, polkit, calls, name):
    polkit.answer = name
    assert ask_as_another(bus, VERIFY) == "org.phonecheck.Error.NotAllowed"
    assert calls.told == []


def test_without_polkit_the_bus_has_decided(api, bus):
    assert ask_as_another(bus, VERIFY) == '["1f2e"]'


@pytest.mark.skipif(not ROOT, reason="only root is root")
def test_root_needs_no_polkit(api, caller, polkit):
    polkit.answer = ""
    assert caller("Verify", "(a{sv})", {}) == "1f2e"
    assert polkit.asked == []


def test_a_caller_that_waits_for_polkit_holds_nobody_up(api, bus, polkit, caller, calls):
    polkit.answer = ""
    arguments = json.dumps([bus.address, NOBODY, NOBODY, *VERIFY, False])
    waiting = subprocess.Popen([sys.executable, "-c", ASK, arguments], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: bool(polkit.asked))
        assert caller("History", "(u)", 1)
    finally:
        waiting.kill()
        waiting.wait()
    assert calls.told == []


POLICY = (SYSTEMD / "org.phonecheck.Agent1.conf").read_text()
REAL = STRICT + POLICY.partition("<busconfig>")[2].removesuffix("</busconfig>\n")
NEEDS_ROOT = pytest.mark.skipif(not ROOT, reason="the policy lets root and the user phonecheck have the name")


@NEEDS_ROOT
@pytest.mark.parametrize("bus", [REAL], indirect=True)
def test_by_the_policy_others_may_read_the_state_and_nothing_else(api, bus, caller, calls):
    assert api.connected
    for name, what in READS.items():
        assert "Error" not in ask_as_another(bus, what), name
    for name, what in CALLS.items():
        assert ask_as_another(bus, what) == "org.freedesktop.DBus.Error.AccessDenied", name
    assert calls.told == []
    assert caller("Verify", "(a{sv})", {}) == "1f2e"  # root may


@NEEDS_ROOT
@pytest.mark.parametrize("bus", [REAL.replace('group="phonecheck"', 'group="nogroup"')], indirect=True)
def test_by_the_policy_the_group_may_call(api, bus):
    assert ask_as_another(bus, VERIFY, gid=NOBODY) == '["1f2e"]'
    assert "Error" not in ask_as_another(bus, CALLS["History"], gid=NOBODY)
    assert ask_as_another(bus, VERIFY, gid=1) == "org.freedesktop.DBus.Error.AccessDenied"


@NEEDS_ROOT
@pytest.mark.parametrize("bus", [REAL.replace('user="phonecheck"', 'user="daemon"')], indirect=True)
def test_by_the_policy_the_services_user_has_the_name_and_others_do_not(bus):
    own = (
        "import os, sys\nfrom jeepney.bus_messages import message_bus\n"
        "from jeepney.io.blocking import open_dbus_connection\n"
        "os.setgroups([]); os.setgid(1); os.setuid(int(sys.argv[2]))\n"
        "reply = open_dbus_connection(sys.argv[1]).send_and_get_reply(message_bus.RequestName(sys.argv[3]))\n"
        "print(reply.body[0])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", own, bus.address, uid, NAME], capture_output=True, text=True, check=False
        ).stdout
        for uid in ("1", str(NOBODY))
    ]
    assert said[0] == "1\n"
    assert "not allowed to own" in said[1]


# What each call leaves behind


def test_calls_leave_nothing_behind(api, bus):
    """PyGObject before GLib 2.84 keeps each invocation, 1.9 kB of it, unless it is told not to."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    from gi.repository import Gio, GLib

    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    line = Gio.DBusConnection.new_for_address_sync(bus.address, flags, None, None)
    asked = GLib.Variant("(u)", (1,))

    def ask(times: int) -> None:
        for _ in range(times):
            line.call_sync(NAME, PATH, INTERFACE, "History", asked, None, Gio.DBusCallFlags.NONE, 5000, None)

    ask(200)
    gc.collect()
    before = resident()
    ask(1000)
    gc.collect()
    assert resident() - before < 700_000
    line.close_sync(None)
