"""What is restarted around the service, and the service itself in the middle of a check."""

from __future__ import annotations

import time

import pytest

from system.container.booted import Device


def verified(device: Device) -> None:
    result = device.come(device.verify())["result"]
    assert result["outcome"] == "match", result["error"]


def test_the_service_outlives_the_bus_and_so_does_modem_manager(device: Device):
    device.at_rest()
    pid = device.show("MainPID")
    device.run("systemctl", "restart", "dbus")
    device.until(
        lambda: device.run("busctl", "status", "org.phonecheck.Agent1", check=False).returncode == 0, 40, "the API"
    )
    # ModemManager ends with the bus, with status 0, at which Debian's unit does not start it again.
    device.run("systemctl", "start", "ModemManager")
    assert "/Modem/" in device.out("mmcli", "-L")
    verified(device)
    checks = device.at_rest()
    assert device.show("MainPID") == pid
    assert {report["report"] for report in device.reports()} == {check["id"] for check in checks}


@pytest.mark.parametrize("how", ["manager-stop", "manager-kill"])
def test_modem_manager_may_go_and_come_again(device: Device, how: str):
    device.ctl(how)
    time.sleep(0.5)
    device.ctl("manager-start")
    verified(device)


def test_a_modem_that_is_plugged_in_later_is_verified_by_itself(device: Device):
    number = len(device.at_rest())
    device.ctl("unplug")
    device.run("systemctl", "restart", "phonecheck-agent")
    failed = device.checked(number + 1)[0]
    assert (failed["trigger"], failed["result"]["error"]["code"]) == ("start", "modem-not-found")
    device.ctl("plug")
    assert device.at_rest()[0]["trigger"] == "retry"


def test_another_sim_is_verified_by_itself(device: Device):
    device.at_rest()
    known = {check["id"] for check in device.history()}
    device.ctl("swap-sim")
    (new, *_) = device.until(
        lambda: [c for c in device.history() if c["id"] not in known and c["result"]["outcome"] == "match"],
        30,
        "a check",
    )
    assert (new["trigger"], new["result"]["link"]["source"]) == ("sim-change", "10.64.0.6")
    device.ctl("swap-sim")
    device.until(lambda: device.history()[0]["result"]["link"]["source"] == "10.64.0.2", 30, "the former SIM's check")


def test_a_stop_in_the_middle_of_a_check_takes_down_what_it_set_up(device: Device):
    device.at_rest()
    before = device.ctl("snapshot")
    device.ctl("set", "mno_hang=yes")
    identity = device.verify()
    device.until(lambda: "10.64." in device.out("ip", "-4", "address", "show", "wwan0"), 20, "a check under way")
    begin = time.monotonic()
    device.run("systemctl", "stop", "phonecheck-agent")
    took = time.monotonic() - begin
    assert took < 45  # TimeoutStopSec=
    assert (device.show("Result"), device.show("ActiveState")) == ("success", "inactive")
    assert device.run("pgrep", "-u", "phonecheck", check=False).stdout == ""
    assert device.ctl("snapshot") == before
    assert "connected" not in device.out("mmcli", "-m", "any", "--output-keyvalue")
    device.ctl("reset")
    device.run("systemctl", "start", "phonecheck-agent")
    stopped = device.come(identity)["result"]
    assert stopped["outcome"] == "inconclusive"
    assert len([check for check in device.history() if check["id"] == identity]) == 1
