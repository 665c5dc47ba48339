"""The modem as a USB device: the kernel's own gadget functions on its virtual USB bus (dummy_hcd), through configfs.

To the host side, which is the same kernel, it is a composite device with two CDC-ACM ports and a CDC-ECM network card:
cdc_acm, cdc_ether, udev and ModemManager see nothing else with a real one.
"""  # noqa: INP001  a program of its own

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path

GADGET = Path("/sys/kernel/config/usb_gadget/lte")
CONTROLLER = "dummy_udc.0"
NETWORK_END = "lte%d"
"""The pattern for the name of the network card's other end: what goes into it comes out of the device's."""
_HOST, _CARD = Path("/sys/devices/platform/dummy_hcd.0"), "usb*/*/*/net/*"
_MODULES = ("dummy_hcd", "libcomposite", "usb_f_acm", "usb_f_ecm")
_LANGUAGE = "strings/0x409"

# A u-blox LARA-R6: ModemManager's u-blox plugin takes this vendor and probes this product at once (a TOBY-L2 is given 20 s
# to get ready), and cdc_ether knows it for a modem, so that its network card is a wwanN.
_DESCRIPTORS = {
    "idVendor": "0x1546",
    "idProduct": "0x1313",
    "bcdUSB": "0x0200",
    # Several interfaces make one function (USB ECN "Interface Association Descriptor").
    "bDeviceClass": "0xEF",
    "bDeviceSubClass": "0x02",
    "bDeviceProtocol": "0x01",
    f"{_LANGUAGE}/manufacturer": "u-blox",
    f"{_LANGUAGE}/product": "LARA-R6, emulated",
    f"{_LANGUAGE}/serialnumber": "1",
    f"configs/c.1/{_LANGUAGE}/configuration": "AT, AT, ECM",
    # Locally administered (IEEE 802, the second bit).
    "functions/ecm.data/dev_addr": "02:00:00:00:00:01",
    "functions/ecm.data/host_addr": "02:00:00:00:00:02",
    "functions/ecm.data/ifname": NETWORK_END,
}
_DIRECTORIES = (_LANGUAGE, f"configs/c.1/{_LANGUAGE}", "functions/acm.at", "functions/acm.at2", "functions/ecm.data")


def build() -> tuple[Path, ...]:
    """Describe the device, not yet plugged in; return the terminals of its serial ports.

    Raises:
        OSError, CalledProcessError: this kernel has no such gadget.
    """
    subprocess.run(["modprobe", "--all", *_MODULES], check=True)
    if not GADGET.parent.is_dir():
        subprocess.run(["mount", "-t", "configfs", "none", "/sys/kernel/config"], check=True)
    for directory in ("", *_DIRECTORIES):
        (GADGET / directory).mkdir(parents=True, exist_ok=True)
    for name, value in _DESCRIPTORS.items():
        (GADGET / name).write_text(value)
    for function in sorted((GADGET / "functions").iterdir()):
        (GADGET / "configs/c.1" / function.name).symlink_to(function)
    return tuple(
        Path("/dev", "ttyGS" + (function / "port_num").read_text().strip())
        for function in sorted((GADGET / "functions").glob("acm.*"))
    )


def make_network_end() -> None:
    """Have the kernel make the other end of the network card, which it does when the device is first plugged in."""
    plug()
    unplug()


def plug() -> None:
    """Plug it in."""
    (GADGET / "UDC").write_text(CONTROLLER)


def unplug() -> None:
    """Pull it; nothing where it is not in."""
    with suppress(OSError):  # ENODEV: it is not bound
        (GADGET / "UDC").write_text("\n")


def carrier_told() -> bool:
    """Once the card is there, have it take what the device has to say of its carrier; whether it has come on.

    A gadget's word waits until the card is first set up, and then comes at once, so fast on this bus that usbnet drops it
    in half of all cases: it came before usbnet_open() was done (Linux 6.12). A modem of hardware says it later.
    """
    until = time.monotonic() + 20
    while not any(_HOST.glob(_CARD)) and time.monotonic() < until:
        time.sleep(0.1)
    subprocess.run(["udevadm", "settle"], check=True)  # it is given another name
    for card in _HOST.glob(_CARD):
        subprocess.run(["ip", "link", "set", card.name, "up"], check=True)
        time.sleep(0.5)
        on = (card / "carrier").read_text().strip() == "1"
        subprocess.run(["ip", "link", "set", card.name, "down"], check=True)
        return on
    return False


def dismantle() -> None:
    """Unplug it and forget it, in the order that configfs asks for: a function that is in use cannot go."""
    unplug()
    for function in (GADGET / "configs/c.1").glob("*.*"):
        function.unlink()
    for directory in reversed(_DIRECTORIES):
        (GADGET / directory).rmdir()
    for directory in ("configs/c.1", ""):
        (GADGET / directory).rmdir()
