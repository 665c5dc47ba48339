"""The eyes opened: every side of the device behind its port, on one session that is taken down at the end."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from phonecheck.config import Settings
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Diagnosis
from phonecheck.eyes.agent import RealAgent
from phonecheck.eyes.kernel import RealKernel
from phonecheck.eyes.links import RealLinks
from phonecheck.eyes.modems import RealModems
from phonecheck.eyes.network import RealNetwork
from phonecheck.eyes.server import RealServer
from phonecheck.session import Session, pin_of

_COUNTERS = Path("/proc/net/dev")


@dataclass(frozen=True, slots=True)
class Eyes:
    """A device to be looked at, until ``settle``; ``linger`` is a Session's, for a process that a signal ends."""

    device: Device
    session: Session
    modems: RealModems
    before: dict[str, int]

    def weigh(self, diagnosis: Diagnosis) -> Diagnosis:
        """The diagnosis with the bytes that its link has carried since the eyes were opened."""
        interface = next((r.facts.get("interface") for r in diagnosis.readings if r.rung.slug == "address"), None)
        if not isinstance(interface, str) or not interface:
            return diagnosis
        after = counted().get(interface)
        if after is None:
            return diagnosis
        return dataclasses.replace(diagnosis, traffic=max(0, after - self.before.get(interface, 0)))

    def settle(self) -> None:
        """Take leave of the peers, and take down what was set up."""
        self.session.settle()
        self.modems.close()

    def linger(self) -> None:
        """The same in a process that was forked off; does not return."""
        self.session.linger()


def open_eyes(settings: Settings, *, traffic: bool) -> Eyes:
    """The device as it is, ready to be looked at.

    Args:
        settings: already checked.
        traffic: whether anything may be sent over the link, and the modem be connected for it.

    Raises:
        ConfigError: missing-credential, unsafe-file-mode, bad-setting: of the SIM's PIN.
    """
    before = counted()
    session = Session(settings, pin_of(settings))
    modems = RealModems(session, settings, traffic=traffic)
    links = RealLinks(session, settings, modems, traffic=traffic)
    network = RealNetwork(session, settings, links)
    server = RealServer(session, settings, links)
    device = Device(settings, traffic, RealKernel(), modems, links, network, server, RealAgent())
    return Eyes(device, session, modems, before)


def counted(file: Path = _COUNTERS) -> dict[str, int]:
    """The bytes that each interface has received and sent so far (proc_net_dev(5))."""
    found = {}
    for line in file.read_text(encoding="ascii", errors="replace").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if len(fields) > 8 and fields[0].isdecimal() and fields[8].isdecimal():
            found[name.strip()] = int(fields[0]) + int(fields[8])
    return found
