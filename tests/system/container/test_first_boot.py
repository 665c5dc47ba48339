"""A device that is switched on verifies its SIM and reports it, and nobody lays a hand on it."""

from __future__ import annotations

from system.container.booted import Device


def test_boot_verified_reported_without_a_hand(device: Device):
    checks = device.at_rest()
    # The modem may be ready seconds after the service: a check that came too early is told as well. One match is enough.
    assert [check["trigger"] for check in checks if check["result"]["outcome"] != "inconclusive"] in (
        ["start"],
        ["retry"],
    )
    result = checks[0]["result"]
    assert (result["link"]["interface"], result["phone_number"]) == ("wwan0", "…0123")
    assert all(hop["bound_to"] == "wwan0" for hop in result["hops"])
    told = [(report["report"], report["outcome"], report["deliveries"]) for report in device.reports()]
    assert told == [(check["id"], check["result"]["outcome"], 1) for check in reversed(checks)]


def test_one_line_of_the_journal_tells_each_outcome_with_fields_to_search_by(device: Device):
    checks = device.at_rest()
    lines = device.journal("PHONECHECK_OUTCOME=match")
    matches = [check for check in reversed(checks) if check["result"]["outcome"] == "match"]
    assert [line["PHONECHECK_ID"] for line in lines] == [check["id"] for check in matches]
    assert [line["PHONECHECK_CHECK_ID"] for line in lines] == [check["result"]["check_id"] for check in matches]
    assert {(line["PRIORITY"], line["SYSLOG_IDENTIFIER"]) for line in lines} == {("6", "phonecheck")}


def test_nothing_of_the_check_left_by_the_lan(device: Device):
    device.at_rest()
    by_lan = device.ctl("counters")["counters"]["lan0"]
    assert {name: count for name, count in by_lan.items() if name in ("platform", "mno", "carrier-dns")} == {
        "platform": 0,
        "mno": 0,
        "carrier-dns": 0,
    }


def test_systemd_has_nothing_to_say_of_the_unit_and_rates_its_exposure_below_1_8(device: Device):
    unit = "/usr/lib/systemd/system/phonecheck-agent.service"
    said = device.run("systemd-analyze", "verify", "--man=no", unit)  # its status is 0 for most mistakes
    assert (said.stdout, said.stderr) == ("", "")
    device.run("systemd-analyze", "security", "--offline=yes", "--threshold=18", unit)
    assert device.out("systemctl", "--failed", "--no-legend") == ""
