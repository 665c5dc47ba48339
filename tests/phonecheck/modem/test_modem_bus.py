from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ModemError
from phonecheck.modem import faults, names
from phonecheck.modem.bus import ModemBus
from phonecheck.modem.manager import ModemManager

OBJECTS = ("GetManagedObjects", names.ROOT)
MODEM, SIM, BEARER = f"{names.ROOT}/Modem/0", f"{names.ROOT}/SIM/0", f"{names.ROOT}/Bearer/0"
ONE_MODEM = (
    "a{oa{sa{sv}}}",
    (
        {
            MODEM: {
                names.MODEM: {
                    "State": ("i", 11),
                    "Sim": ("o", SIM),
                    "Bearers": ("ao", [BEARER]),
                    "SignalQuality": ("(ub)", (67, True)),
                    "UnlockRetries": ("a{uu}", {2: 3}),
                }
            }
        },
    ),
)
NO_MODEM = ("a{oa{sa{sv}}}", ({},))
A_SIM = ("a{sv}", ({"SimIdentifier": ("s", "8944001012345678909")},))
A_BEARER = (
    "a{sv}",
    (
        {
            "Interface": ("s", "wwan0"),
            "Connected": ("b", True),
            "Ip4Config": ("a{sv}", {"method": ("u", 2), "address": ("s", "10.64.0.2"), "prefix": ("u", 30)}),
        },
    ),
)


def failure(bus: ModemBus, timeout: float = 5.0) -> AgentError:
    with pytest.raises(AgentError) as caught:
        bus.managed_objects(timeout)
    return caught.value


@pytest.mark.dbus
def test_reads_modems_in_plain_values(peer, modem_bus):
    asked = peer({OBJECTS: ONE_MODEM, ("GetAll", SIM): A_SIM, ("GetAll", BEARER): A_BEARER}).asked
    (modem,) = ModemManager(modem_bus).modems(Deadline(5))
    assert (modem.signal, modem.retries[0][1]) == (67, 3)
    assert str(modem.sim.iccid) == "…8909"
    assert str(modem.bearers[0].ip4.address) == "10.64.0.2/30"
    # One round trip for the modems and one for each part: nothing was introspected, nothing read twice.
    assert asked == [OBJECTS, ("GetAll", SIM), ("GetAll", BEARER)]


@pytest.mark.dbus
def test_a_bearer_that_is_gone_by_now_does_not_hide_the_modem(peer, modem_bus):
    peer({OBJECTS: ONE_MODEM, ("GetAll", SIM): A_SIM})
    (modem,) = ModemManager(modem_bus).modems(Deadline(5))
    assert (str(modem.sim.iccid), modem.bearers[0].connected) == ("…8909", False)


@pytest.mark.dbus
@pytest.mark.parametrize("listens", [False, True])
def test_a_connection_that_was_closed_leaves_no_descriptor(modem_bus, listens):
    bus = ModemBus(modem_bus._address)

    def use() -> int:
        if listens:
            bus.watch(lambda: None, 5)
        bus.owner(names.SERVICE, 5)
        bus.close()
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    use()
    before = use()
    for _ in range(8):
        after = use()
    assert after < before + 8, "one each time"  # not equal: threads of other tests open and close some too


HAMMER = """
import os, sys, threading
from phonecheck.modem.bus import ModemBus

def speak():
    line = ModemBus(sys.argv[1])
    line.watch(lambda: None, 30)
    while True:
        line.owner("org.freedesktop.DBus", 30)

threading.Thread(target=speak, daemon=True).start()
for _ in range(400):
    line = ModemBus(sys.argv[1])
    line.watch(lambda: None, 30)
    line.owner("a.b", 30)
    line.close()
    del line
os._exit(0)
"""


@pytest.mark.dbus
def test_a_connection_may_end_while_another_one_hears(modem_bus):
    """It stood still for ever: Python's lock and one of GLib's, taken in either order."""
    done = subprocess.run([sys.executable, "-c", HAMMER, modem_bus._address], check=False, timeout=90)
    assert done.returncode == 0


@pytest.mark.dbus
def test_nobody_owns_the_name(modem_bus):
    error = failure(modem_bus)
    assert (error.code, error.message) == ("modem-manager-unavailable", "ModemManager is not running.")
    assert error.retryable


@pytest.mark.dbus
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ("silence", "modem-manager-unavailable", "did not answer in 0.2 s"),
        ("hang up", "modem-manager-unavailable", "stopped before it answered"),
        (("s", ("garbage",)), "modem-manager-unavailable", "not ModemManager"),
        (("", ()), "modem-manager-unavailable", "not ModemManager"),
        ({"org.freedesktop.DBus.Error.AccessDenied": "no"}, "not-authorized", "this user"),
        ({"org.freedesktop.ModemManager1.Error.Core.Unauthorized": "no"}, "not-authorized", "this user"),
        ({"org.example.Odd": "IMSI 001010123456789 is odd."}, "modem-manager-unavailable", "Odd: IMSI …6789 is odd."),
    ],
)
def test_a_service_that_does_not_behave(peer, modem_bus, answer, code, words):
    peer({OBJECTS: answer})
    error = failure(modem_bus, 0.2)
    assert error.code == code
    assert words in error.message


@pytest.mark.dbus
def test_the_error_names_only_what_its_own_message_says(peer, modem_bus):
    peer({OBJECTS: {"org.example.Odd": "a: b"}})
    assert failure(modem_bus).message == "ModemManager refused, with Odd: a: b."


REFUSES = f'<policy context="default"><deny send_destination="{names.SERVICE}"/></policy>'


@pytest.mark.dbus
@pytest.mark.parametrize("bus", [REFUSES], indirect=True)
def test_the_bus_itself_refuses(peer, modem_bus):
    peer({OBJECTS: NO_MODEM})
    assert failure(modem_bus).code == "not-authorized"


@pytest.mark.dbus
def test_a_modemmanager_that_was_stopped_stays_so(bus, modem_bus, tmp_path):
    started = tmp_path / "started"
    (tmp_path / "mm.service").write_text(f"[D-BUS Service]\nName={names.SERVICE}\nExec=/usr/bin/touch {started}\n")
    bus.stop()
    bus.configure(f"<servicedir>{tmp_path}</servicedir>")
    bus.start()
    assert failure(modem_bus).message == "ModemManager is not running."
    assert not started.exists()


@pytest.mark.dbus
def test_outlives_the_bus_and_reads_again_when_it_is_back(bus, peer, modem_bus):
    peer({OBJECTS: NO_MODEM})
    assert modem_bus.managed_objects(5) == {}
    bus.stop()
    assert failure(modem_bus).code == "modem-manager-unavailable"
    bus.start()
    peer({OBJECTS: NO_MODEM})
    assert modem_bus.managed_objects(5) == {}


@pytest.mark.dbus
def test_the_environment_moves_the_system_bus(bus, peer, monkeypatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    peer({OBJECTS: NO_MODEM})
    with ModemManager() as manager:
        assert manager.modems(Deadline(5)) == ()


@pytest.mark.dbus
@pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "no address", "unix:abstract=phonecheck-nobody"])
def test_there_is_no_bus(bus, address):
    error = failure(ModemBus(address))
    assert error.code == "modem-manager-unavailable"
    assert "system bus cannot be reached" in error.message
    assert "systemctl start dbus" in error.hint


@pytest.mark.dbus
def test_a_bus_that_never_greets(bus, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute"))
        listener.listen()
        giving_up = threading.Timer(20, listener.close)
        giving_up.start()
        error = failure(ModemBus(f"unix:path={tmp_path}/mute"), 0.2)
        giving_up.cancel()
    assert (error.code, "did not answer in 0.2 s" in error.message) == ("modem-manager-unavailable", True)


ASK = """
import sys
from phonecheck.modem.bus import ModemBus
try:
    ModemBus(sys.argv[1]).managed_objects(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.dbus
def test_ctrl_c_does_not_wait_for_an_answer(bus, peer):
    asked = peer({OBJECTS: "silence"}).was_asked
    child = subprocess.Popen([sys.executable, "-c", ASK, bus.address], stdout=subprocess.PIPE, text=True)
    assert asked.wait(20)
    child.send_signal(signal.SIGINT)
    try:
        told, _ = child.communicate(timeout=20)
    finally:
        child.kill()
    assert (told, child.returncode) == ("interrupted\n", 0)


@pytest.mark.dbus
def test_a_watch_tells_of_properties_of_objects_and_of_the_owner(bus, peer, modem_bus):
    changed = threading.Event()
    modem_bus.watch(changed.set, 5)
    failure(modem_bus)  # answered, so the subscriptions sent before it stand
    # The owner comes,
    modem_peer = peer({OBJECTS: NO_MODEM})
    assert changed.wait(5)
    # so does an object, and a property changes below any path,
    for path, interface, member, signature, body in (
        (names.ROOT, names.OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", (MODEM, {})),
        (names.ROOT, names.OBJECT_MANAGER, "InterfacesRemoved", "oas", (MODEM, [names.MODEM])),
        (BEARER, names.PROPERTIES, "PropertiesChanged", "sa{sv}as", (names.BEARER, {"Connected": ("b", False)}, [])),
    ):
        modem_bus.managed_objects(5)  # what was on its way has arrived
        changed.clear()
        modem_peer.emit(path, interface, member, signature, body)
        assert changed.wait(5), member
    # and the owner goes.
    modem_bus.managed_objects(5)
    changed.clear()
    modem_peer.stop()
    assert changed.wait(5)


@pytest.mark.dbus
def test_a_watch_may_read_and_ends_with_the_bus(peer, modem_bus):
    modem_peer = peer({OBJECTS: NO_MODEM})
    read = threading.Event()

    def changed() -> None:
        assert modem_bus.managed_objects(5) == {}
        read.set()

    modem_bus.watch(changed, 5)
    modem_bus.managed_objects(5)
    modem_peer.emit(BEARER, names.PROPERTIES, "PropertiesChanged", "sa{sv}as", (names.BEARER, {}, []))
    assert read.wait(5)
    modem_bus.close()
    assert "phonecheck-signals" not in {thread.name for thread in threading.enumerate()}


def test_missing_libraries_are_named_with_their_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydbus", None)
    error = failure(ModemBus("unix:path=/nonexistent"))
    assert error.code == "modem-manager-unavailable"
    assert "apt install python3-gi python3-pydbus" in error.hint


def test_importing_the_package_imports_no_dbus_library():
    modules = "bus", "faults", "manager", "names", "parse", "ready", "select"
    code = "import sys\n" + "".join(f"import phonecheck.modem.{m}\n" for m in modules)
    code += "print({'gi', 'pydbus'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout == "set()\n"


def test_closing_what_was_never_opened_is_nothing():
    ModemBus().close()


def test_an_unopened_bus_raises_its_own_errors_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydbus", None)
    with pytest.raises(ModemError):
        ModemBus().watch(lambda: None, 1)


NM_MANAGER = "/org/freedesktop/NetworkManager"


@pytest.mark.dbus
def test_the_owner_of_a_name(peer, modem_bus):
    assert modem_bus.owner(names.SERVICE, 5) == ""
    first = peer({})
    owner = modem_bus.owner(names.SERVICE, 5)
    assert owner.startswith(":")
    first.stop()
    peer({})
    assert modem_bus.owner(names.SERVICE, 5) not in ("", owner)


@pytest.mark.dbus
def test_variants_are_given_as_signature_and_value(peer, modem_bus):
    asked = peer({("Connect", MODEM): ("o", (BEARER,))})
    given = {"apn": ("s", "internet"), "ip-type": ("u", 4), "more": ("a{sv}", {"inner": ("ai", [1, 2])})}
    reply = modem_bus.call(MODEM, names.SIMPLE, "Connect", 5, "(a{sv})", (given,), reply="(o)")
    assert reply == (BEARER,)
    assert asked.bodies == [(given,)]


@pytest.mark.dbus
def test_the_caller_may_have_its_own_word_for_an_error_reply(peer, modem_bus):
    peer({("Enable", MODEM): {"org.example.Error.Odd": "it is odd"}})
    with pytest.raises(ModemError, match=r"^org.example.Error.Odd/it is odd$"):
        modem_bus.call(
            *(MODEM, names.MODEM, "Enable", 5, "(b)", (True,)),
            fault=lambda name, said: ModemError("not-authorized", f"{name}/{said}"),
        )


@pytest.mark.dbus
def test_another_service_is_named_in_its_errors(peer, modem_bus):
    with pytest.raises(faults.NotRunning, match="NetworkManager is not running"):
        modem_bus.get_all(NM_MANAGER, names.NETWORK_MANAGER, 5, names.NETWORK_MANAGER)
    peer({("GetAll", NM_MANAGER): ("a{sv}", ({"State": ("u", 70)},))}, names.NETWORK_MANAGER)
    assert modem_bus.get_all(NM_MANAGER, names.NETWORK_MANAGER, 5, names.NETWORK_MANAGER) == {"State": 70}


@pytest.mark.dbus
def test_a_watch_hears_of_networkmanager_too(peer, modem_bus):
    changed = threading.Event()
    modem_bus.watch(changed.set, 5)
    modem_bus.owner(names.NETWORK_MANAGER, 5)
    network_manager = peer({("GetAll", NM_MANAGER): ("a{sv}", ({},))}, names.NETWORK_MANAGER)
    assert changed.wait(5)
    for interface, member, signature, body in (
        (f"{names.NETWORK_MANAGER}.Connection.Active", "StateChanged", "uu", (2, 0)),
        (names.PROPERTIES, "PropertiesChanged", "sa{sv}as", (names.NETWORK_MANAGER, {"State": ("u", 70)}, [])),
    ):
        modem_bus.get_all(NM_MANAGER, names.NETWORK_MANAGER, 5, names.NETWORK_MANAGER)
        changed.clear()
        network_manager.emit(f"{NM_MANAGER}/ActiveConnection/1", interface, member, signature, body)
        assert changed.wait(5), member


@pytest.mark.dbus
def test_of_several_watches_one_may_end(peer, modem_bus):
    ended, kept = threading.Event(), threading.Event()
    end = modem_bus.watch(ended.set, 5)
    modem_bus.watch(kept.set, 5)
    end()
    end()
    # What came before is no matter: the bus tells of other names too.
    ended.clear()
    kept.clear()
    peer({})
    assert kept.wait(5)
    assert not ended.is_set()


@pytest.mark.dbus
def test_a_watch_is_told_that_the_bus_goes_and_goes_on_when_it_is_back(bus, peer, modem_bus):
    changed = threading.Event()
    modem_bus.watch(changed.set, 5)
    bus.stop()
    assert changed.wait(5)
    failure(modem_bus)
    bus.start()
    assert modem_bus.owner(names.SERVICE, 5) == ""
    changed.clear()
    peer({})
    assert changed.wait(5)


@pytest.mark.dbus
def test_a_watch_that_reads_in_its_call_outlives_the_bus(bus, peer, modem_bus):
    """The thread that carries the signals is the one that finds the bus gone and opens it anew."""
    heard = []
    enough = threading.Event()

    def changed() -> None:
        try:
            heard.append(modem_bus.owner(names.SERVICE, 5))
        except ModemError as error:
            heard.append(error.code)
        enough.set()

    modem_bus.watch(changed, 5)
    bus.stop()
    assert enough.wait(5)
    assert heard == ["modem-manager-unavailable"]
    bus.start()
    modem_bus.owner(names.SERVICE, 5)
    enough.clear()
    peer({})
    assert enough.wait(5)
    assert heard[-1].startswith(":")
