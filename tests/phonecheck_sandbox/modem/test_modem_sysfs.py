from pathlib import Path

from phonecheck_sandbox.modem.sysfs import DEVICE_NODES, UsbModem, build_dev, build_sys


def test_each_modem_is_a_usb_device_with_a_control_port_and_an_interface(tmp_path: Path) -> None:
    modems = [UsbModem(0), UsbModem(1)]
    build_sys(tmp_path, modems)

    def inside(link: Path) -> Path:
        """Where an absolute link would lead if the tree were at /sys."""
        return tmp_path / link.readlink().relative_to("/sys")

    devices = set()
    for modem in modems:
        for number, (subsystem, port) in enumerate(modem.ports):
            place = inside(tmp_path / "class" / subsystem / port)
            assert inside(place / "subsystem") == tmp_path / "class" / subsystem
            interface = place.parents[1]
            assert inside(interface / "driver").name == "cdc_mbim"
            assert (interface / "bInterfaceNumber").read_text() == f"{number:02x}\n"
            device = interface.parent
            assert (device / "idVendor").read_text() == "1d6b\n"
            assert inside(device / "subsystem").is_dir()
            assert inside(device / "driver").is_dir()
            devices.add((modem, device))
    assert len({device for _, device in devices}) == len(devices) == 2
    assert [modem.interface for modem in modems] == ["wwan0", "wwan1"]


def test_dev_has_a_place_for_each_node_that_is_mounted(tmp_path: Path) -> None:
    build_dev(tmp_path / "dev")
    assert {entry.name for entry in (tmp_path / "dev").iterdir()} == {*DEVICE_NODES, "pts"}
