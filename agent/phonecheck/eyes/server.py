"""The app server, asked for what costs nothing: by the device's own routes, or over the link where it is reached there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from phonecheck.config import Settings
from phonecheck.deadline import Deadline
from phonecheck.doctor.ports.server import Coverage, Reached
from phonecheck.errors import AgentError, ConfigError
from phonecheck.exchange import app_server, token_of
from phonecheck.eyes.once import Once
from phonecheck.model import Link

if TYPE_CHECKING:
    from phonecheck.appserver.client import AppServer
    from phonecheck.session import Session


class PreparedLinks(Protocol):
    """As much as is asked of the links here."""

    def prepared(self, deadline: Deadline) -> Link:
        """The link, made ready for an exchange."""


class RealServer:
    """The app server of the settings.

    Args:
        session: holds the connections that go over the link.
        settings: which server; its ``url`` is set where anything is asked.
        links: prepares the link, where the server is reached over it.
    """

    def __init__(self, session: Session, settings: Settings, links: PreparedLinks) -> None:
        self._session = session
        self._settings = settings
        self._links = links
        self._reached = Once[Reached]()

    def credential(self) -> Literal["here", "none", "withheld"]:
        """See :class:`phonecheck.doctor.ports.server.Server`."""
        server = self._settings.server
        try:
            token = token_of(self._settings)
        except ConfigError:
            if any(file is not None and _withheld(file) for file in (server.token_file, server.client_key)):
                return "withheld"
            raise
        return "here" if token is not None or server.client_cert is not None else "none"

    def reach(self, deadline: Deadline) -> Reached:
        """See :class:`phonecheck.doctor.ports.server.Server`."""
        return self._reached(lambda: self._reach(deadline))

    def coverage(self, deadline: Deadline) -> Coverage | None:
        """See :class:`phonecheck.doctor.ports.server.Server`."""
        return self.reach(deadline).coverage

    def _reach(self, deadline: Deadline) -> Reached:
        with self._client(deadline) as client:
            try:
                found = client.probe(deadline)
            except AgentError as error:
                raise self._session.loss.error or error from None
        coverage = Coverage(found.access.url, found.access.token) if found.access else None
        return Reached(found.asked, found.status, busy=found.status == 429, coverage=coverage)

    def _client(self, deadline: Deadline) -> AppServer:
        over = self._links.prepared(deadline) if self._settings.server.over == "modem" else None
        return app_server(self._settings, token_of(self._settings), over, self._session)


def _withheld(file: Path) -> bool:
    try:
        file.open("rb").close()
    except PermissionError:
        return True
    except OSError:
        pass
    return False
