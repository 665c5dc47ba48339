"""What the user asked the sandbox to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from phonecheck_sandbox.conditions import Conditions

LinkKind = Literal["raw-ip", "ethernet", "hat"]
IpType = Literal["4", "6", "4v6"]
IpMethod = Literal["static", "dhcp"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A sandbox to start. What is not a condition stays as it is for the sandbox's life."""

    conditions: Conditions = field(default_factory=Conditions)
    modems: int = 1
    connect: bool = True
    """Whether the modems' data sessions are up when the sandbox is ready."""
    link_kind: LinkKind = "raw-ip"
    """What joins device and carrier: TUN devices and a radio; Ethernet with ARP and a radio; or usb0, a HAT that is a
    router of its own, Ethernet that ModemManager knows nothing of."""
    ip: IpType = "4"
    """The families that the network gives a session."""
    ip_method: IpMethod = "static"
    """Whether a session's IPv4 address comes with the bearer, or by a DHCP lease from the P-GW; that needs Ethernet."""
    configure: bool = True
    """Whether the device's connection manager configures wwanN as a session comes up; else it stays bare and down."""
    manager: Literal["", "networkmanager"] = ""
    """What connects and configures on the device besides the sandbox itself."""
    acts: tuple[str, ...] = ()
    """Control requests (control.py), carried out in this order once all parts run and before the sandbox is ready."""
    command: tuple[str, ...] = ()
    """What runs on the device. Without one the sandbox says that it is ready and waits for its end."""
    welcome: str = ""
    """Said on standard error before the command starts."""
    verbose: bool = False
    here: bool = False
    """Whether this machine is the device (here.py), its system bus and polkit included, and no namespace of its own."""
    gateway: str = ""
    """An interface of this machine that becomes the carrier's end of the link, in place of a radio: ``here`` alone, without
    modems, for one that is in the machine already."""
    state: Path | None = None
    """Where the certificates are kept from one run to the next; else they are new."""
    while_stdin: bool = False
    """End when standard input does: the sandbox of a program that was killed goes with it."""

    @property
    def links(self) -> int:
        """How many mobile links there are: one for each modem, or the one whose modem is not the sandbox's."""
        return self.modems or int(bool(self.gateway))
