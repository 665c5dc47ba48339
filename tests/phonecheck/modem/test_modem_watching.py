from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fake_modem_manager import MODEM, FakeModemManager, bearer
from phonecheck.errors import LinkError, ModemError
from phonecheck.modem import faults, names
from phonecheck.modem.watching import BearerWatch


class Daemon(FakeModemManager):
    error: ModemError | None = None
    silent = ""

    def get_all(self, path: str, interface: str, timeout: float, service: str = names.SERVICE) -> dict[str, Any]:
        if self.error:
            raise self.error
        if path == self.silent:
            raise faults.Late(timeout)
        return super().get_all(path, interface, timeout, service)


@pytest.fixture
def daemon() -> Daemon:
    made = Daemon()
    made.objects["/b/1"] = bearer()
    made.become(11, 1, Bearers=["/b/1"])
    return made


def stop(daemon: Daemon) -> None:
    daemon.name = ""


def fail(error: ModemError) -> Callable[[Daemon], None]:
    def with_it(daemon: Daemon) -> None:
        daemon.error = error

    return with_it


LOSSES = [
    (lambda d: d.objects.update({"/b/1": bearer(connected=False)}), "was disconnected"),
    (lambda d: d.objects.update({"/b/1": bearer(Suspended=True)}), "was suspended"),
    (lambda d: d.objects.update({"/b/1": {names.BEARER: {"Connected": "yes"}}}), "was disconnected"),
    (lambda d: d.objects.pop("/b/1"), "was removed"),
    (lambda d: d.objects.clear(), "modem is gone"),
    (stop, "ModemManager stopped"),
    (fail(faults.no_bus("The connection is closed")), "system bus"),
]


@pytest.mark.parametrize(("happens", "words"), LOSSES)
def test_a_loss_is_told_once(daemon, happens, words):
    told: list[LinkError] = []
    watch = BearerWatch(daemon, MODEM, "/b/1", told.append)
    daemon.signal()
    assert told == []
    happens(daemon)
    daemon.signal()
    daemon.signal()
    assert [(error.code, words in error.message) for error in told] == [("interface-gone", True)]
    watch.close()
    assert not daemon.listeners


@pytest.mark.parametrize(("happens", "words"), LOSSES)
def test_what_is_lost_already_is_told_at_once(daemon, happens, words):
    told: list[LinkError] = []
    happens(daemon)
    BearerWatch(daemon, MODEM, "/b/1", told.append)
    assert [words in error.message for error in told] == [True]


@pytest.mark.parametrize(
    ("happens", "cure"),
    [
        (stop, "systemctl status ModemManager"),
        (fail(faults.no_bus("The connection is closed")), "systemctl start dbus"),
        (lambda d: d.objects.update({"/b/1": bearer(Suspended=True)}), "when the call is over"),
        (lambda d: d.objects.clear(), "plugged in"),
    ],
)
def test_each_loss_has_its_own_cure(daemon, happens, cure):
    told: list[LinkError] = []
    happens(daemon)
    BearerWatch(daemon, MODEM, "/b/1", told.append)
    assert [cure in error.hint for error in told] == [True]


def test_a_modem_is_not_gone_as_nobody_says_so(daemon):
    told: list[LinkError] = []
    watch = BearerWatch(daemon, MODEM, "/b/1", told.append)
    del daemon.objects["/b/1"]
    daemon.silent = MODEM
    daemon.signal()
    assert [error.message for error in told] == ["The modem's bearer was removed."]
    watch.close()


def test_a_modemmanager_that_hangs_says_nothing_of_the_bearer(daemon):
    told: list[LinkError] = []
    BearerWatch(daemon, MODEM, "/b/1", told.append)
    daemon.error = faults.Late(1)
    daemon.signal()
    assert told == []
    daemon.error = None
    daemon.leave()
    assert len(told) == 1


def test_nothing_is_told_after_the_end(daemon):
    told: list[LinkError] = []
    watch = BearerWatch(daemon, MODEM, "/b/1", told.append)
    listeners = list(daemon.listeners)
    watch.close()
    daemon.leave()
    for heard_late in listeners:
        heard_late()
    assert told == []


def test_whoever_is_told_may_close_it(daemon):
    watches: list[BearerWatch] = []
    watches.append(BearerWatch(daemon, MODEM, "/b/1", lambda _: watches[0].close()))
    daemon.leave()
    assert not daemon.listeners
