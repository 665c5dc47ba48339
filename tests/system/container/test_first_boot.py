"""A device that is switched on verifies its SIM and reports it, and nobody lays a hand on it."""

from __future__ import annotations

from system.container.booted import Device


def test_boot_verified_reported_without_a_hand(device: Device):
    (check,) = device.checked(1)
    result = check["result"]
    assert (check["trigger"], result["outcome"], result["link"]["interface"]) == ("start", "match", "wwan0")
    assert all(hop["bound_to"] == "wwan0" for hop in result["hops"])
    (report,) = device.until(device.reports, 10, "a report")
    assert (report["report"], report["outcome"], report["trigger"]) == (check["id"], "match", "start")
    assert report["deliveries"] == 1
