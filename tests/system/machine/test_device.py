"""What only a kernel of its own can show: a USB modem under the real drivers, udev and ModemManager, memory, sleep, clocks.

A boot takes half a minute, so that all tests share one; each leaves the device able to verify.
"""

from __future__ import annotations

import json
from contextlib import suppress

from system.machine.device import UNIT, Device

NUMBER = "447700900123"
YEARS = 3 * 366 * 86400  # the sandbox's certificates last for five


def test_boot_verifies_over_the_usb_modem_and_reports_without_a_hand(booted: Device):
    booted.until(lambda: booted.run(f"systemctl is-active {UNIT}", check=False).status == 0, 180, "the service")
    booted.check("a match", lambda check: check["outcome"] == "match")
    booted.at_rest()
    checks = json.loads(booted.out("phonecheck history --json"))["checks"]
    assert {check["trigger"] for check in checks} <= {"start", "retry", "sim-change"}
    result = checks[0]["result"]
    assert (result["outcome"], result["phone_number"]) == ("match", "…0123")
    interface = result["link"]["interface"]
    assert {hop["bound_to"] for hop in result["hops"]} == {interface}
    assert booted.out(f"basename $(readlink /sys/class/net/{interface}/device/driver)") == "cdc_ether"
    assert "DEVTYPE=wwan" in booted.out(f"cat /sys/class/net/{interface}/uevent")
    told = [(report["report"], report["outcome"]) for report in booted.ctl("state")["reports"]]
    assert told == [(check["id"], check["result"]["outcome"]) for check in reversed(checks)]


def test_nothing_is_left_of_a_check(device: Device):
    assert "10.64." not in device.out("ip address; ip rule; ip route show table all")
    assert "connected" not in device.out("mmcli --modem any --output-keyvalue | grep generic.state")


def test_a_modem_pulled_in_mid_check_is_interface_gone_and_back_again_a_match(device: Device):
    device.ctl("exec --node carrier -- tc qdisc add dev pgw0 root netem delay 700ms")
    before = len(device.history())
    device.run(f"systemctl restart {UNIT}")  # a check that nobody asked for: those are tried again
    # The rule stands from before the first packet to after the last.
    device.until(lambda: "10.64.0.2" in device.out("ip rule"), 60, "the check under way on its link")
    device.modem("unplug")
    lost = device.until(lambda: device.history()[:-before], 60, "the check's end")[0]
    assert (lost["trigger"], lost["outcome"], lost["error_code"]) == ("start", "inconclusive", "interface-gone")
    assert "10.64." not in device.out("ip rule")
    device.ctl("exec --node carrier -- tc qdisc delete dev pgw0 root")
    device.modem("plug")
    device.check("a match", lambda check: check["outcome"] == "match" and check["at"] > lost["at"])
    # What was tried too early, with the modem not ready yet, was tried again as well.
    assert {check["trigger"] for check in device.history()[: -before - 1]} == {"retry"}


def test_another_sim_is_told_and_found_out(device: Device):
    # As a P-GW has it: each subscriber's session with a gateway address of its own.
    device.ctl("exec --node carrier -- ip address add 10.64.0.5/30 dev pgw0")
    device.set_up(f'\n[phone]\nnumber = "+{NUMBER}"\n')
    device.run(
        "systemd-run --unit=hearing busctl monitor --json=short"
        " --match=\"type='signal',interface='org.phonecheck.Agent1',member='SimChanged'\""
    )
    device.modem("swap")
    other = device.check("a check of the other SIM", lambda check: check["outcome"] == "no_match", 180)
    assert (other["trigger"], other["exit_status"]) == ("sim-change", 1)
    heard = device.out("journalctl --unit=hearing --output=cat")
    assert '"iccid:…3211"' in json.dumps(
        [json.loads(line) for line in heard.splitlines() if line[:1] == "{"], ensure_ascii=False
    )
    device.at_rest()
    device.modem("swap")
    device.check(
        "a check of the first SIM", lambda check: check["trigger"] == "sim-change" and check["at"] > other["at"], 180
    )
    assert device.history()[0]["outcome"] == "match"
    device.run("systemctl stop hearing")
    device.set_up("")


def test_a_check_for_which_there_is_no_memory_is_killed_and_the_service_lives_on(device: Device):
    idle, first = int(device.show("MemoryCurrent")), device.show("MainPID")
    device.run(f"systemctl set-property --runtime {UNIT} MemoryMax={idle + (24 << 20)}")
    asked = device.verify()
    killed = device.check("the check's end", lambda check: check["id"] == asked)
    device.run(f"systemctl set-property --runtime {UNIT} MemoryMax=256M")
    assert (killed["outcome"], killed["error_code"]) == ("inconclusive", "check-killed")
    assert device.show("MainPID") == first
    assert device.verified()["outcome"] == "match"


def test_a_modem_without_a_network_is_not_registered_until_it_has_found_it_again(device: Device):
    device.modem("lose")
    assert device.verified(timeout="d 10")["error_code"] == "not-registered"
    device.modem("find")
    assert device.verified()["outcome"] == "match"


def test_a_device_that_slept_verifies_again_by_itself_and_when_asked(device: Device):
    device.set_up("\n[service]\nevery = 25\njitter = 0\n")
    due, first = device.until(lambda: device.get("NextRun"), 10, "a schedule"), device.show("MainPID")
    device.suspend()
    assert device.out("journalctl --dmesg --grep 'suspend debug: Waiting'")
    # The first may find a modem that is not awake yet.
    device.check("a check by itself", lambda check: check["trigger"] == "schedule" and check["at"] >= due - 2)
    device.set_up("")
    device.at_rest()
    assert device.show("MainPID") == first
    assert device.verified()["outcome"] == "match"


def test_a_wall_clock_set_years_ahead_moves_no_check(device: Device):
    device.set_up("\n[service]\nevery = 25\njitter = 0\n")
    left = device.until(lambda: device.get("NextRun"), 10, "a schedule") - device.clock()
    count = len(device.history())
    device.run(f"date --set=@$(($(date +%s) + {YEARS}))")
    try:
        device.until(lambda: abs(device.get("NextRun") - device.clock() - left) < 10, 10, "the moved schedule")
        assert len(device.history()) == count
        # By the clock that nobody sets: when the rest of the time has passed, and no sooner.
        begun = float(device.out("cut -d' ' -f1 /proc/uptime"))
        device.until(lambda: device.get("State") == "checking", left + 30, "the scheduled check")
        assert float(device.out("cut -d' ' -f1 /proc/uptime")) - begun > left - 15
        made = device.until(lambda: device.history()[:-count], 60, "its end")[0]
        assert made["trigger"] == "schedule"
        assert (made["outcome"], made.get("error_code")) == ("match", None)
    finally:
        with suppress(AssertionError):
            device.run(f"date --set=@$(($(date +%s) - {YEARS}))")
        device.set_up("")
