"""One run's hold on a modem and its link: what was brought up, configured and watched for it, and its orderly end.

The order at the end is a promise: first the sockets, then the rules and addresses, then the bearer. A rule that goes
before its sockets leaves the kernel to answer for them by the default route.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from phonecheck import aftermath, credentials
from phonecheck.aside import Aside
from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ExitStatus
from phonecheck.link.closing import Closing
from phonecheck.link.watch import Loss
from phonecheck.model import IPAddress, Link, Modem
from phonecheck.modem import brought, locks
from phonecheck.modem.brought import BroughtUp, NotedBroughtUp

if TYPE_CHECKING:
    from phonecheck.link.routes import Configured
    from phonecheck.modem.bus import ModemBus
    from phonecheck.modem.networkmanager import NetworkManager
    from phonecheck.redact import Secret

TAKE_DOWN_SECONDS = 10.0
"""What taking a bearer down may take; ModemManager gives a modem's own answer to a disconnect about as long."""
_ASK_SECONDS = 2.0


class Watch(Protocol):
    """Something that tells of a loss until it is closed."""

    def close(self) -> None:
        """End it."""


class Session:
    """One run over one link.

    Args:
        settings: already checked.
        pin: the SIM's, where it is configured and may be used.
    """

    def __init__(self, settings: Settings, pin: Secret | None) -> None:
        self._settings = settings
        self._pin = pin
        # What is kept is nobody's to take down.
        file = None if settings.modem.keep else os.environ.get(brought.VARIABLE)
        self._brought = NotedBroughtUp(Path(file), self._bus_id) if file else BroughtUp()
        self._foreseen = self._preparing = False
        self._configured: Configured | None = None
        self._watches: list[Watch] = []
        self._bus: ModemBus | None = None
        self.loss = Loss()
        # The chain takes leave of its peers while the app server, over the link too, is still to be asked for the result.
        self.of_chain, self.of_server = Closing(), Closing()
        self.loss.on(self.of_chain.abort)
        if settings.server.over == "modem":
            self.loss.on(self.of_server.abort)

    def read_modem(
        self,
        deadline: Deadline,
        near: Callable[[], None],
        say: Callable[[str], None],
        saw: Callable[[Modem], None],
    ) -> Modem | None:
        """The modem, made ready as far as the settings allow; None where the link is none of ModemManager's.

        Raises:
            ModemError, SimError, BearerError: of the rung that it did not get over. ConfigError: of the modem's choice.
        """
        if self._settings.link.interface is not None:
            near()
            return None
        from phonecheck.modem.climb import make_ready
        from phonecheck.modem.manager import ModemManager
        from phonecheck.modem.ready import Wishes, bearer_of

        choice = self._settings.modem
        wishes = Wishes.of(self._settings, has_pin=self._pin is not None)

        def seen(modem: Modem) -> None:
            saw(modem)
            if wishes.connect and bearer_of(modem, wishes.family) is None:
                self._foresee_changes()

        started = time.monotonic()
        try:
            return make_ready(
                ModemManager(self._dbus()),
                choice.id,
                wishes,
                self._pin,
                Deadline(deadline.remaining() + choice.wait),
                brought=self._brought,
                near=near,
                say=say,
                network_manager=self._network_manager(),
                saw=seen,
            )
        finally:
            deadline.postpone(min(choice.wait, time.monotonic() - started))

    def look(self, modem: Modem | None, deadline: Deadline) -> Link:
        """The modem's link, or the chosen interface's, with its name servers, whatever the kernel lacks of it.

        Raises:
            SimError, BearerError: the modem has none. LinkError, ConfigError: the interface is none.
        """
        from phonecheck.modem import ready

        choice = self._settings.link
        if modem is None:
            from phonecheck.link import path

            interface = choice.interface or ""
            return path.link_from_kernel(interface, self._name_servers(interface, deadline), strict=choice.strict)
        ppp = ""
        if ready.over_ppp(modem, choice.family):
            ppp = self._network_manager().ip_interface(modem.path, self._moment(deadline))
        link = ready.link_of(modem, choice.dns, choice.family, ppp_interface=ppp)
        return link if link.dns else dataclasses.replace(link, dns=self._name_servers(link.interface, deadline))

    def find_link(self, modem: Modem | None, deadline: Deadline) -> Link:
        """The same, configured where nobody did, proven, and watched from now on.

        Raises:
            SimError, BearerError, LinkError, ConfigError: there is none that the exchange could use, and why.
        """
        from phonecheck.link.prepare import prepare
        from phonecheck.link.watch import LinkWatch
        from phonecheck.modem.ready import bearer_of
        from phonecheck.modem.watching import BearerWatch

        choice = self._settings.link
        found = self.look(modem, deadline)
        self._preparing = choice.routes == "auto"  # from here on, a signal may leave things half set up
        prepared = prepare(
            found, family=choice.family, change=self._preparing, deadline=deadline, dhcp=modem is not None
        )
        self._configured, link = prepared.configured, prepared.link
        self._preparing = False
        self._watches.append(LinkWatch(link.interface, [a.ip for a in link.addresses], self.loss.tell))
        if modem is not None and (bearer := bearer_of(modem, choice.family)) is not None:
            self._watches.append(BearerWatch(self._dbus(), modem.path, bearer.path, self.loss.tell))
        return link

    def settle(self) -> None:
        """Take leave of the peers, then take down what this run set up."""
        self.of_chain.finish()
        self.of_server.finish()
        for watch in self._watches:
            watch.close()
        if self._configured is not None:
            self._configured.remove()
        if self._brought and not self._settings.modem.keep:
            brought.take_down(self._dbus(), self._brought, TAKE_DOWN_SECONDS)
            self._brought.forget()
        if self._bus is not None:
            self._bus.close()

    def linger(self) -> None:
        """The same in a process that was forked off from one that a signal ends at once; does not return.

        Of what is to be taken down another program takes care: here the threads of D-Bus and netlink are missing.
        """
        self.of_chain.linger()
        self.of_server.linger()
        record = self._brought if self._brought and not self._settings.modem.keep else None
        if record is not None or self._configured is not None or self._preparing:
            aftermath.become(record)

    def _foresee_changes(self) -> None:
        """Import what changes links while the modem is busy: nobody has configured the link of one that we connect.

        It takes 70 ms on a PC, and some eight times as long on a Pi Zero 2; a real modem takes seconds to connect.
        """
        if self._settings.link.routes == "auto" and not self._foreseen:
            self._foreseen = True
            from phonecheck.link import capability, changes

            if capability.holds(capability.NET_ADMIN):
                Aside(changes.load, "changes")

    def _name_servers(self, interface: str, deadline: Deadline) -> tuple[IPAddress, ...]:
        """Those of the settings, else what the device's network programs know of the interface; never the system's own."""
        if self._settings.link.dns:
            return self._settings.link.dns
        from phonecheck.link import nameservers

        try:
            known = self._network_manager().name_servers(interface, self._moment(deadline))
        except AgentError:  # a device without D-Bus has no NetworkManager either
            known = ()
        return known or nameservers.of_interface(interface)

    @staticmethod
    def _moment(deadline: Deadline) -> float:
        return min(_ASK_SECONDS, deadline.require("NetworkManager answered", ExitStatus.LINK))

    def _dbus(self) -> ModemBus:
        from phonecheck.modem.bus import ModemBus

        if self._bus is None:
            self._bus = ModemBus()
        return self._bus

    def _bus_id(self) -> str:
        with contextlib.suppress(AgentError):  # then none of what follows will be done either
            return brought.bus_id(self._dbus(), _ASK_SECONDS)
        return ""

    def _network_manager(self) -> NetworkManager:
        from phonecheck.modem.networkmanager import NetworkManager

        return NetworkManager(self._dbus())


def pin_of(settings: Settings) -> Secret | None:
    """The SIM's PIN, where it may be used at all.

    Raises:
        ConfigError: missing-credential, unsafe-file-mode; bad-setting, it is no PIN.
    """
    if settings.modem.connect == "never":
        return None
    pin = credentials.read_secret("sim-pin", settings.modem.pin_file, "modem.pin_file")
    return None if pin is None else locks.parse_pin(pin.value)
