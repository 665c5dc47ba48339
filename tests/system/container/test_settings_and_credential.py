"""What the owner changes while the service runs, and what is missing or wrong when it starts."""

from __future__ import annotations

from system.container.booted import SETTINGS, Boot, Device

TOKEN = "/etc/credstore/phonecheck.server-token"


def reload(device: Device) -> None:
    device.run("systemctl", "reload", "phonecheck-agent")
    device.until(lambda: device.show("ActiveState") == "active", 10, "a service that has taken it up")


def test_settings_are_taken_over_by_a_reload_and_nonsense_is_not(device: Device):
    device.at_rest()
    pid = device.show("MainPID")
    good = device.path(SETTINGS).read_text()
    assert device.property("NextRun") == "x 0"

    device.path(SETTINGS).write_text(good + '[service]\nevery = "24 h"\n')
    reload(device)
    device.until(lambda: device.property("NextRun") != "x 0", 10, "a next check")
    assert device.property("Problem") == 's ""'

    device.path(SETTINGS).write_text(good + '[service]\nevry = "24 h"\n')
    reload(device)
    problem = device.until(lambda: p if (p := device.property("Problem")) != 's ""' else None, 10, "a problem")
    assert "service.evry" in problem
    assert device.property("NextRun") != "x 0"
    assert any("service.evry" in entry["MESSAGE"] and int(entry["PRIORITY"]) <= 4 for entry in device.journal())
    # A check is made with what the service goes by, and not with what the file has become.
    assert device.come(device.verify())["result"]["outcome"] == "match"

    device.path(SETTINGS).write_text(good)
    reload(device)
    device.until(lambda: device.property("Problem") == 's ""', 10, "no problem any more")
    device.until(lambda: device.property("NextRun") == "x 0", 10, "no next check")
    assert device.show("MainPID") == pid


def test_a_service_that_is_started_with_nonsense_ends_with_status_3_and_stays_down(device: Device):
    good = device.path(SETTINGS).read_text()
    device.path(SETTINGS).write_text("[server]\nurll = 1\n")
    device.run("systemctl", "restart", "phonecheck-agent", check=False)
    device.until(lambda: device.show("ActiveState") == "failed", 20, "a failure")
    assert device.show("ExecMainStatus") == "3"
    assert "server.url" in device.messages()
    device.path(SETTINGS).write_text(good)
    device.run("systemctl", "restart", "phonecheck-agent")
    assert device.show("ActiveState") == "active"


def test_a_service_without_a_server_asks_to_be_configured_and_is_by_a_reload(device: Device):
    good = device.path(SETTINGS).read_text()
    device.path(SETTINGS).write_text("")
    device.run("systemctl", "restart", "phonecheck-agent")
    assert (device.show("ActiveState"), device.property("State")) == ("active", 's "unconfigured"')
    assert "server.url" in device.show("StatusText")
    device.path(SETTINGS).write_text(good)
    reload(device)
    assert device.come(device.verify())["result"]["outcome"] == "match"


def test_a_missing_credential_is_said_and_put_right_by_a_restart(boot: Boot):
    with boot({TOKEN: None}) as device:
        device.in_the_box()
        error = device.come(device.verify())["result"]["error"]
        assert device.show("ActiveState") == "active"
        assert error["code"] in ("server-rejected", "missing-credential")
        device.path(TOKEN).write_text("sbxsecret-device-token")
        device.path(TOKEN).chmod(0o600)
        device.run("systemctl", "restart", "phonecheck-agent")
        assert device.come(device.verify())["result"]["outcome"] == "match"
        assert "sbxsecret" not in device.out("journalctl", "--no-pager")
