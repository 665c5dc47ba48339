"""The metrics under the unit's own hardening, for a collector that is another user."""

from __future__ import annotations

import stat

from system.container.booted import SETTINGS, Device

FILE = "/run/phonecheck/phonecheck.prom"


def reload(device: Device) -> None:
    device.run("systemctl", "reload", "phonecheck-agent")
    device.until(lambda: device.show("ActiveState") == "active", 10, "a service that has taken it up")


def told(device: Device) -> str:
    return device.run("phonecheck", "status", "--prometheus").stdout


def test_another_user_reads_what_the_service_tells(device: Device):
    device.at_rest()
    good = device.path(SETTINGS).read_text()
    assert not device.path(FILE).exists()
    device.path(SETTINGS).write_text(f'{good}[service]\nmetrics = "{FILE}"\n')
    reload(device)
    device.until(device.path(FILE).exists, 10, "metrics")
    device.come(device.verify())
    device.at_rest()
    read = device.until(
        lambda: (
            now if (now := device.out("runuser", "-u", "nobody", "--", "cat", FILE) + "\n") == told(device) else None
        ),
        10,
        "metrics that are the service's own",
    )
    assert 'phonecheck_checks_total{outcome="match",code=""}' in read
    assert "phonecheck_problem 0\n" in read
    assert stat.S_IMODE(device.path(FILE).stat().st_mode) == 0o644
    assert stat.S_IMODE(device.path(FILE).parent.stat().st_mode) == 0o755

    device.run("systemctl", "kill", "-s", "KILL", "phonecheck-agent")
    device.until(lambda: told_again(device) and device.path(FILE).read_text() == told(device), 40, "a service again")

    device.run("systemctl", "stop", "phonecheck-agent")
    assert not device.path(FILE).parent.exists()
    device.run("systemctl", "start", "phonecheck-agent")
    device.path(SETTINGS).write_text(good)
    reload(device)
    device.until(lambda: not device.path(FILE).exists(), 10, "no metrics any more")


def told_again(device: Device) -> bool:
    return device.run("phonecheck", "status", "--prometheus", check=False).returncode == 0


def test_a_directory_that_it_may_not_write_to_is_a_warning_and_no_harm(device: Device):
    device.at_rest()
    good = device.path(SETTINGS).read_text()
    device.path(SETTINGS).write_text(f'{good}[service]\nmetrics = "/var/lib/elsewhere.prom"\n')
    reload(device)
    assert device.come(device.verify())["result"]["outcome"] == "match"
    device.at_rest()
    warnings = [line for line in device.journal() if "elsewhere.prom" in str(line["MESSAGE"])]
    assert [line["PRIORITY"] for line in warnings] == ["4"]
    device.path(SETTINGS).write_text(good)
    reload(device)
