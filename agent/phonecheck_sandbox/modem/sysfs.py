"""The /sys and /dev that ModemManager sees: plain files in the shape of USB modems with the kernel driver cdc_mbim.

Vendor and product are the Linux Foundation's composite gadget (1d6b:0104), which no vendor plugin of ModemManager claims,
so that its generic MBIM code drives the modem.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEVICE_NODES = ("null", "zero", "random", "urandom")
_BUS = Path("devices/pci0000:00/0000:00:14.0/usb1")
_DEVICE_FILES = {
    "idVendor": "1d6b",
    "idProduct": "0104",
    "bcdDevice": "0102",
    "manufacturer": "Sandbox",
    "product": "Virtual MBIM modem",
}

# $1 holds the trees dev and sys, the rest is the command. Only its own mount namespace sees these mounts.
_IN_FAKE_KERNEL = """\
set -e
trees=$1; shift
for node in {nodes}; do mount --bind /dev/$node "$trees/dev/$node"; done
mount --rbind /dev/pts "$trees/dev/pts"
mount --rbind "$trees/dev" /dev
mount --bind "$trees/sys" /sys
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class UsbModem:
    """The kernel's names for the modem of this index."""

    index: int

    @property
    def control_port(self) -> str:
        """The MBIM control port, in /dev and in the class usbmisc."""
        return f"cdc-wdm{self.index}"

    @property
    def interface(self) -> str:
        """The network interface."""
        return f"wwan{self.index}"

    @property
    def ports(self) -> tuple[tuple[str, str], ...]:
        """Subsystem and name of each port, in the order the kernel reports them."""
        return (("usbmisc", self.control_port), ("net", self.interface))


def build_sys(root: Path, modems: list[UsbModem]) -> None:
    """Make the tree to be mounted at /sys. Its links are absolute, so they lead somewhere only there."""
    root.mkdir(parents=True, exist_ok=True)
    for modem in modems:
        name = f"1-{modem.index + 1}"
        device = _BUS / name
        _files(root / device, _DEVICE_FILES)
        _link(root / device / "subsystem", "bus/usb")
        _driver(root, device, "usb")
        # Communication and data interface of MBIM 6.1: class, subclass, protocol.
        for number, usb_class, (subsystem, port) in zip((0, 1), ("020e00", "0a0002"), modem.ports, strict=True):
            interface = device / f"{name}:1.{number}"
            _files(
                root / interface,
                {
                    "bInterfaceNumber": f"{number:02x}",
                    "bInterfaceClass": usb_class[:2],
                    "bInterfaceSubClass": usb_class[2:4],
                    "bInterfaceProtocol": usb_class[4:],
                },
            )
            _link(root / interface / "subsystem", "bus/usb")
            _driver(root, interface, "cdc_mbim")
            place = interface / subsystem / port
            (root / place).mkdir(parents=True)
            (root / "class" / subsystem).mkdir(parents=True, exist_ok=True)
            _link(root / place / "subsystem", f"class/{subsystem}")
            _link(root / "class" / subsystem / port, str(place))


def build_dev(root: Path) -> None:
    """Make the tree to be mounted at /dev: places to mount the few real nodes on, and room for the modems'."""
    (root / "pts").mkdir(parents=True)
    for name in DEVICE_NODES:
        (root / name).touch()


def _files(directory: Path, contents: dict[str, str]) -> None:
    directory.mkdir(parents=True)
    for name, content in contents.items():
        (directory / name).write_text(f"{content}\n", encoding="ascii")


def _link(link: Path, target: str) -> None:
    link.symlink_to(f"/sys/{target}")


def _driver(root: Path, place: Path, name: str) -> None:
    driver = f"bus/usb/drivers/{name}"
    (root / driver).mkdir(parents=True, exist_ok=True)
    _link(root / place / "driver", driver)


def entered(run: Path, program: str, *options: str) -> list[str]:
    """The command line that runs a program with the trees ``sys`` and ``dev`` of ``run`` for its /sys and /dev."""
    script = _IN_FAKE_KERNEL.format(nodes=" ".join(DEVICE_NODES))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(run), program, *options]
