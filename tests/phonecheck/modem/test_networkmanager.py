"""NetworkManager's side of a modem, with the objects that the daemon 1.42 showed of a virtual one."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError, ModemError
from phonecheck.modem import faults, names, nmdevice
from phonecheck.modem.networkmanager import NetworkManager
from phonecheck.modem.nmdevice import ActiveState, Device, DeviceState, Step

NM = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
DEVICE, ACTIVE, SETTINGS = f"{ROOT}/Devices/4", f"{ROOT}/ActiveConnection/1", f"{ROOT}/Settings/1"
MODEM, BEARER = f"{names.ROOT}/Modem/0", f"{names.ROOT}/Bearer/0"

CAPTURED: dict[str, dict[str, dict[str, Any]]] = {
    ROOT: {NM: {"NetworkingEnabled": True, "WwanEnabled": True, "WwanHardwareEnabled": True}},
    f"{ROOT}/Devices/2": {
        f"{NM}.Device": {
            "Udi": "/virtual/device/placeholder/2",
            "Interface": "lan0",
            "IpInterface": "lan0",
            "State": 10,
            "Ip4Config": f"{ROOT}/IP4Config/2",
            "Ip6Config": f"{ROOT}/IP6Config/2",
        }
    },
    DEVICE: {
        f"{NM}.Device": {
            "Udi": MODEM,
            "Interface": "cdc-wdm0",
            "IpInterface": "wwan0",
            "State": 100,
            "StateReason": (100, 0),
            "ActiveConnection": ACTIVE,
            "Ip4Config": f"{ROOT}/IP4Config/4",
            "Ip6Config": f"{ROOT}/IP6Config/4",
            "Managed": True,
            "Autoconnect": True,
            "DeviceType": 8,
            "AvailableConnections": [SETTINGS],
        }
    },
    f"{ROOT}/IP4Config/4": {
        f"{NM}.IP4Config": {"NameserverData": [{"address": "10.64.1.53"}, {"address": "10.64.2.53"}]}
    },
    f"{ROOT}/IP6Config/4": {f"{NM}.IP6Config": {"Nameservers": [list(ip_address("2001:db8:65:1::53").packed)]}},
    ACTIVE: {f"{NM}.Connection.Active": {"State": 2}},
}


@pytest.fixture
def objects() -> dict[str, dict[str, dict[str, Any]]]:
    return copy.deepcopy(CAPTURED)


class FakeBus:
    """NetworkManager and ModemManager as plain dictionaries; each act upon them is told in `asked`."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects
        self.bearers: dict[str, dict[str, Any]] = {}
        self.settings: dict[str, dict[str, Any]] = {SETTINGS: {"connection": {"autoconnect": False}}}
        self.unique_name = ":1.7"
        self.asked: list[tuple[Any, ...]] = []
        self.on_activate: Callable[[], None] = self.come_up
        self.on_wait: Callable[[], None] = lambda: None
        self.watching = 0
        self.error: ModemError | None = None

    @property
    def device(self) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[DEVICE][f"{NM}.Device"]
        return found

    def come_up(self) -> None:
        self.objects[ACTIVE] = {f"{NM}.Connection.Active": {"State": 2}}
        self.device.update(State=100, ActiveConnection=ACTIVE)

    def come_down(self, reason: tuple[str, str] = ("", "")) -> None:
        self.objects.pop(ACTIVE, None)
        self.device.update(State=30, ActiveConnection="/")
        if reason[0]:
            self.bearers[BEARER] = {"Stats": {"attempts": len(self.bearers) + 1}, "ConnectionError": reason}

    def call(
        self,
        path: str,
        interface: str,
        method: str,
        timeout: float,
        signature: str = "()",
        args: tuple[Any, ...] = (),
        *,
        reply: str | None = None,
        service: str = names.SERVICE,
        fault: Callable[[str, str], AgentError] | None = None,
    ) -> tuple[Any, ...]:
        assert service == NM
        assert timeout > 0
        if self.error:
            raise self.error
        if not self.unique_name:
            raise faults.NotRunning("modem-manager-unavailable", "NetworkManager is not running.")
        if method == "GetManagedObjects":
            return (copy.deepcopy(self.objects),)
        if method == "GetSettings":
            return (self.settings[path],)
        self.asked.append((method, *args))
        if method == "ActivateConnection":
            self.on_activate()
            return (ACTIVE,)
        assert method == "DeactivateConnection"
        if args[0] not in self.objects:
            assert fault is not None
            raise fault(f"{NM}.ConnectionNotActive", "The connection was not active.")
        self.come_down()
        return ()

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        assert service == names.SERVICE
        return {"Bearers": list(self.bearers)} if path == MODEM else self.bearers[path]

    def owner(self, service: str, timeout: float) -> str:
        return self.unique_name

    def watch(self, changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        self.watching += 1

        def end() -> None:
            self.watching -= 1

        return end


@pytest.fixture
def daemon(objects: dict[str, Any]) -> FakeBus:
    """A modem that is idle and waits to be activated."""
    made = FakeBus(objects)
    made.come_down()
    return made


def activate(daemon: FakeBus, seconds: float = 1.0) -> list[str]:
    started: list[str] = []
    try:
        NetworkManager(daemon).activate(MODEM, Deadline(seconds), started.append)
    finally:
        assert daemon.watching == 0
        asked = ("ActivateConnection", "/", DEVICE, "/") in daemon.asked
        assert started == ([daemon.unique_name + DEVICE, daemon.unique_name + ACTIVE] if asked else [])
    return started[1:]


IDLE = Device(DEVICE, DeviceState.DISCONNECTED, connections=(SETTINGS,))
PASSING = ("PREPARE", "CONFIG", "NEED_AUTH", "IP_CONFIG", "IP_CHECK", "SECONDARIES", "DEACTIVATING", "FAILED")


@pytest.mark.parametrize(
    ("device", "begins_itself", "step"),
    [
        (IDLE, False, Step.ASK),
        (IDLE, True, Step.LET_BEGIN),
        (Device(DEVICE, DeviceState.ACTIVATED), False, Step.DONE),
        (Device(DEVICE, DeviceState.UNAVAILABLE), False, Step.WAIT),
        *((Device(DEVICE, DeviceState[name]), False, Step.WAIT) for name in PASSING),
        (Device(DEVICE, DeviceState(85)), False, Step.WAIT),
    ],
)
def test_step_before_asking(device, begins_itself, step):
    assert nmdevice.next_step(device, None, asked=False, begins_itself=begins_itself) is step


@pytest.mark.parametrize(
    ("ours", "step"),
    [
        (ActiveState.ACTIVATED, Step.DONE),
        (ActiveState.UNKNOWN, Step.WAIT),
        (ActiveState.ACTIVATING, Step.WAIT),
        (ActiveState.DEACTIVATING, Step.FAILED),
        (ActiveState.DEACTIVATED, Step.FAILED),
        (None, Step.FAILED),
    ],
)
def test_step_after_asking(ours, step):
    assert nmdevice.next_step(IDLE, ours, asked=True, begins_itself=False) is step


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (None, "does not manage"),
        (Device(DEVICE, DeviceState.UNMANAGED), "does not manage"),
        (Device(DEVICE, DeviceState.DISCONNECTED), "no connection"),
        (Device(DEVICE, DeviceState.UNAVAILABLE, allowed=False), "switched off"),
    ],
)
def test_what_activating_would_not_help(device, message):
    with pytest.raises(BearerError, match=message) as raised:
        nmdevice.next_step(device, None, asked=False, begins_itself=False)
    assert raised.value.code == "not-connected"


@pytest.mark.parametrize(("state", "manages"), [(100, True), (30, True), (20, True), (10, False), (0, False)])
def test_unmanaged_is_not_managing(daemon, state, manages):
    daemon.device["State"] = state
    assert NetworkManager(daemon).manages(MODEM, 1) is manages


def test_other_modem(daemon):
    manager = NetworkManager(daemon)
    assert not manager.manages(MODEM + "1", 1)
    assert manager.ip_interface(MODEM + "1", 1) == ""


def test_not_running(daemon):
    daemon.unique_name = ""
    manager = NetworkManager(daemon)
    assert not manager.manages(MODEM, 1)
    assert manager.ip_interface(MODEM, 1) == ""
    assert manager.name_servers("wwan0", 1) == ()
    manager.deactivate(":1.7" + ACTIVE, 1)


def test_hung(daemon):
    """A manager that hangs may still manage the modem: to connect past it would be a guess."""
    daemon.error = faults.Late(1, "NetworkManager")
    manager = NetworkManager(daemon)
    with pytest.raises(faults.Late):
        manager.manages(MODEM, 1)
    assert manager.ip_interface(MODEM, 1) == ""
    assert manager.name_servers("wwan0", 1) == ()


def test_interface_and_name_servers(objects):
    manager = NetworkManager(FakeBus(objects))
    assert manager.ip_interface(MODEM, 1) == "wwan0"
    assert [str(a) for a in manager.name_servers("wwan0", 1)] == ["10.64.1.53", "10.64.2.53", "2001:db8:65:1::53"]
    assert manager.name_servers("lan0", 1) == manager.name_servers("", 1) == ()


@given(
    st.lists(
        st.one_of(st.text(max_size=8), st.none(), st.just("dns+tls://192.0.2.1"), st.just("192.0.2.7")), max_size=4
    )
)
def test_name_servers_of_any_text(texts):
    objects = copy.deepcopy(CAPTURED)
    objects[f"{ROOT}/IP4Config/4"][f"{NM}.IP4Config"]["NameserverData"] = [{"address": text} for text in texts]
    found = {str(address) for address in nmdevice.name_servers(objects, "wwan0")}
    assert ("192.0.2.7" in found) is ("192.0.2.7" in texts)


def test_activation(daemon):
    assert activate(daemon) == [":1.7" + ACTIVE]
    assert daemon.asked == [("ActivateConnection", "/", DEVICE, "/")]


def test_what_is_up_stays_theirs(daemon):
    daemon.come_up()
    assert activate(daemon) == []


def test_what_begins_itself_stays_theirs(daemon):
    daemon.settings[SETTINGS] = {"connection": {}}  # autoconnect is true where nothing is said
    original = daemon.watch

    def watch(changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        def begin() -> None:
            daemon.come_up()
            changed()

        threading.Timer(0.02, begin).start()
        return original(changed, timeout)

    daemon.watch = watch
    assert activate(daemon) == []


def test_what_would_begin_itself_and_does_not(daemon):
    daemon.settings[SETTINGS] = {"connection": {"autoconnect": True}}
    assert activate(daemon, 2) == [":1.7" + ACTIVE]


@pytest.mark.parametrize(
    ("reason", "code", "message"),
    [
        ((names.EQUIPMENT_ERROR + "MissingOrUnknownApn", "Missing or unknown APN"), "connect-failed", "APN"),
        ((names.EQUIPMENT_ERROR + "Unknown", "Unknown error"), "connect-failed", "the network refused, with Unknown"),
        ((names.CORE_ERROR + "Cancelled", "no more"), "connect-failed", "ModemManager ended it, with Cancelled"),
        (("", ""), "connect-failed", "does not say why"),
    ],
)
def test_failure_has_the_networks_word(daemon, reason, code, message):
    daemon.bearers[f"{names.ROOT}/Bearer/9"] = {"ConnectionError": (names.EQUIPMENT_ERROR + "SimPuk", "an old one")}
    daemon.on_activate = lambda: daemon.come_down(reason)
    with pytest.raises(BearerError, match=message) as raised:
        activate(daemon)
    assert raised.value.code == code
    assert "nmcli connection" in raised.value.hint


def test_manager_lets_go_of_the_modem(daemon):
    def let_go() -> None:
        daemon.come_down((names.CORE_ERROR + "Cancelled", ""))
        daemon.device["State"] = 10

    daemon.on_activate = let_go
    with pytest.raises(BearerError, match="does not manage") as raised:
        activate(daemon)
    assert raised.value.code == "not-connected"


def test_modem_goes(daemon):
    daemon.on_activate = lambda: daemon.objects.pop(DEVICE) and daemon.objects.pop(ACTIVE, None)
    with pytest.raises(ModemError, match="went away") as raised:
        activate(daemon)
    assert raised.value.code == "modem-not-found"


def test_manager_goes(daemon):
    daemon.on_activate = daemon.objects.clear
    with pytest.raises(ModemError, match="NetworkManager stopped"):
        activate(daemon)


@pytest.mark.parametrize(
    ("state", "message"), [(40, "still connecting"), (60, "PIN"), (70, "configuring"), (110, "had it at deactivating")]
)
def test_time_is_up(daemon, state, message):
    def hang() -> None:
        daemon.come_up()
        daemon.objects[ACTIVE][f"{NM}.Connection.Active"]["State"] = 1
        daemon.device["State"] = state

    daemon.on_activate = hang
    with pytest.raises(BearerError, match=message) as raised:
        activate(daemon, 0.05)
    assert raised.value.code == "connect-failed"


def test_deactivation(daemon):
    (token,) = activate(daemon)
    manager = NetworkManager(daemon)
    manager.deactivate(token, 1)
    assert daemon.asked[-1] == ("DeactivateConnection", ACTIVE)
    assert daemon.device["State"] == 30
    manager.deactivate(token, 1)  # gone already
    assert daemon.watching == 0


@pytest.mark.parametrize(("error", "told"), [("refused", [DEVICE, ""]), ("late", [DEVICE])])
def test_what_was_begun_is_told_before_it_is_known(daemon, error, told):
    def fail() -> None:
        raise (faults.Late(1.0, "NetworkManager") if error == "late" else ModemError("not-authorized", "No."))

    daemon.on_activate = fail
    started: list[str] = []
    with pytest.raises(ModemError):
        NetworkManager(daemon).activate(MODEM, Deadline(1), started.append)
    assert started == [word and daemon.unique_name + word for word in told]


def test_deactivation_of_what_was_begun_and_never_known(daemon):
    original = daemon.watch

    def watch(changed: Callable[[], None], timeout: float) -> Callable[[], None]:
        def begin() -> None:
            daemon.come_up()
            changed()

        threading.Timer(0.02, begin).start()
        return original(changed, timeout)

    daemon.watch = watch
    NetworkManager(daemon).deactivate(daemon.unique_name + DEVICE, 5)
    assert daemon.asked == [("DeactivateConnection", ACTIVE)]


def test_deactivation_of_what_was_never_begun(daemon):
    NetworkManager(daemon).deactivate(daemon.unique_name + DEVICE, 0.05)
    assert daemon.asked == []
    assert daemon.watching == 0


def test_deactivation_spares_a_restarted_managers_connection(daemon):
    (token,) = activate(daemon)
    daemon.unique_name = ":1.9"
    NetworkManager(daemon).deactivate(token, 1)
    assert len(daemon.asked) == 1


@pytest.mark.dbus
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("UnknownConnection", "not-connected"),
        ("UnknownDevice", "modem-not-found"),
        ("PermissionDenied", "not-authorized"),
        ("Failed", "modem-manager-unavailable"),
    ],
)
def test_refusals_over_the_bus(modem_bus, peer, refusal, code):
    idle = {"Udi": ("s", MODEM), "State": ("u", 30), "AvailableConnections": ("ao", [SETTINGS])}
    served = peer(
        {
            ("GetManagedObjects", "/org/freedesktop"): ("a{oa{sa{sv}}}", ({DEVICE: {f"{NM}.Device": idle}},)),
            ("ActivateConnection", ROOT): {f"{NM}.{refusal}": "no"},
        },
        NM,
    )
    manager = NetworkManager(modem_bus)
    assert manager.manages(MODEM, 5)
    started: list[str] = []
    with pytest.raises(AgentError) as raised:
        manager.activate(MODEM, Deadline(5), started.append)
    assert raised.value.code == code
    assert started[-1] == ""  # there is nothing to take down
    assert served.bodies[-1] == ("/", DEVICE, "/")
