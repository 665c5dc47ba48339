"""The link as the kernel has it, and made ready by the session as for a check."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.link import Barrier, Survey
from phonecheck.errors import AgentError, BearerError, SimError
from phonecheck.eyes.once import Once
from phonecheck.model import IPAddress, Link, Modem

if TYPE_CHECKING:
    from phonecheck.link.rtmessage import Device
    from phonecheck.session import Session


class ReadyModems(Protocol):
    """As much as is asked of the modems here."""

    def ready(self, deadline: Deadline) -> Modem | None:
        """The chosen modem; made ready where that is allowed."""


class RealLinks:
    """The chosen modem's link.

    Args:
        session: prepares the link, and takes down at its end what was set up.
        settings: which link.
        modems: whose it is.
        traffic: whether it may be prepared; else it is looked at alone.
    """

    def __init__(self, session: Session, settings: Settings, modems: ReadyModems, *, traffic: bool) -> None:
        self._session = session
        self._settings = settings
        self._modems = modems
        self._traffic = traffic
        self._looked, self._surveyed, self._prepared = Once[Link](), Once[Survey | None](), Once[Link]()

    def look(self, deadline: Deadline) -> Link:
        """See :class:`phonecheck.doctor.ports.link.Links`."""
        return self._looked(lambda: self._session.look(self._modems.ready(deadline), deadline))

    def survey(self, deadline: Deadline) -> Survey | None:
        """See :class:`phonecheck.doctor.ports.link.Links`."""
        return self._surveyed(lambda: self._survey(deadline))

    def prepared(self, deadline: Deadline) -> Link:
        """See :class:`phonecheck.doctor.ports.link.Links`."""
        return self._prepared(lambda: self._prepare(deadline))

    def obstacle(self, deadline: Deadline) -> AgentError | None:
        """See :class:`phonecheck.doctor.ports.link.Links`."""
        if not self._traffic:
            survey = self.survey(deadline)
            return None if survey is None else survey.obstacle
        try:
            self.prepared(deadline)
        except AgentError as error:
            return error
        return None

    def _prepare(self, deadline: Deadline) -> Link:
        modem = self._modems.ready(deadline)
        # Before anything is changed; what is wrong with the link, the session says better than who looks at it.
        with contextlib.suppress(AgentError):
            self.survey(deadline)
        return self._session.find_link(modem, deadline)

    def _survey(self, deadline: Deadline) -> Survey | None:
        from phonecheck.link import netlink, path, prepare

        choice = self._settings.link
        try:
            found = self.look(deadline)
        except (SimError, BearerError):
            if self._traffic:
                raise
            return None
        device = netlink.device(found.interface)
        if device is None:
            raise path.gone(found.interface, "does not exist")
        link = prepare.as_wanted(found, device, choice.family)
        lacks: tuple[str, ...] = ()
        obstacle: AgentError | None = None
        try:
            dhcp = self._modems.ready(deadline) is not None
            _, lacks = prepare.examine(found, family=choice.family, change=choice.routes == "auto", dhcp=dhcp)
        except AgentError as error:
            obstacle, lacks = error, _commands(link)
        own = {a.interface.ip for a in netlink.addresses() if a.device == device.index}
        return Survey(
            link,
            up=device.up,
            carrier=device.carrier,
            mtu=device.mtu,
            missing=tuple(a.ip for a in link.addresses if a.ip not in own),
            routed=path.ways_out(link, device),
            filter=netlink.reverse_path_filter(device.index),
            barriers=_barriers(link, device),
            lacks=lacks,
            obstacle=obstacle,
        )


def _commands(link: Link) -> tuple[str, ...]:
    """What a person would type to give the link what it lacks, where anybody knows."""
    from phonecheck.link import routes

    try:
        return routes.commands(link) if link.addresses else ()
    except AgentError:
        return ()


def _barriers(link: Link, device: Device) -> tuple[Barrier, ...]:
    """The first rule in each way of each family: to and from its first name server, or anywhere else.

    The way back is looked up by the reverse path filter alone, which IPv6 has not.
    """
    from phonecheck.link import netlink
    from phonecheck.link.path import SOMEWHERE

    filtered = netlink.reverse_path_filter(device.index) != 0

    found = []
    for source in {a.version: a.ip for a in reversed(link.addresses)}.values():
        peers = (*(s for s in link.dns if s.version == source.version), SOMEWHERE[source.version == 6])
        ways: tuple[Literal["out", "back"], ...] = ("out", "back") if filtered and source.version == 4 else ("out",)
        for way in ways:
            barrier = _first_barrier(way, source, peers[:1] + peers[-1:], device)
            if barrier is not None:
                found.append(barrier)
    return tuple(found)


def _first_barrier(
    way: Literal["out", "back"], source: IPAddress, peers: Sequence[IPAddress], device: Device
) -> Barrier | None:
    from phonecheck.link import policy

    for peer in peers:
        index = device.index if way == "out" else None
        found = policy.barrier(policy.Flow(source, peer, index, device.name, os.geteuid()))
        if found is not None:
            return Barrier(way, 4 if peer.version == 4 else 6, str(found.rule), found.refusal)
    return None
