"""The device as the rungs see it."""

from __future__ import annotations

from dataclasses import dataclass

from phonecheck.config import Settings
from phonecheck.doctor.ports.agent import Agent
from phonecheck.doctor.ports.kernel import Kernel
from phonecheck.doctor.ports.link import Links
from phonecheck.doctor.ports.modem import Modems
from phonecheck.doctor.ports.network import Network
from phonecheck.doctor.ports.server import Server


@dataclass(frozen=True, slots=True)
class Device:
    """Each side answers from any thread, and remembers what it found out: a second rung that asks gets the same answer.

    Attributes:
        settings: as the command will have them.
        traffic: whether anything may be sent over the link, and the modem be connected for it.
    """

    settings: Settings
    traffic: bool
    kernel: Kernel
    modems: Modems
    links: Links
    network: Network
    server: Server
    agent: Agent
