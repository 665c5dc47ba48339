"""Who may do what: the service at ModemManager by polkit, and people at the service by the bus and polkit."""

from __future__ import annotations

from system.container.booted import Device

RULES = "/usr/share/polkit-1/rules.d/50-phonecheck.rules"
CONTROL, MESSAGING = (f"org.freedesktop.ModemManager1.{action}" for action in ("Device.Control", "Messaging"))


def test_without_its_polkit_rule_the_service_is_not_authorized_and_says_so(device: Device):
    device.at_rest()
    rules = device.path(RULES).read_text()
    device.path(RULES).unlink()
    device.run("systemctl", "restart", "polkit")
    error = device.come(device.verify())["result"]["error"]
    assert error["code"] == "not-authorized"
    assert "polkit" in error["hint"]
    assert "not-authorized" in {entry.get("PHONECHECK_ERROR") for entry in device.journal()}
    device.path(RULES).write_text(rules)
    device.run("systemctl", "restart", "polkit")
    assert device.come(device.verify())["result"]["outcome"] == "match"


def test_the_rule_gives_the_service_control_of_the_modem_and_nothing_else(device: Device):
    pid = device.show("MainPID")

    def may(action: str) -> bool:
        return device.run("pkcheck", "--action-id", action, "--process", pid, check=False).returncode == 0

    actions = device.out("pkaction").split()
    assert CONTROL in actions
    assert [action for action in actions if action.startswith("org.freedesktop.ModemManager1.") and may(action)] == [
        CONTROL
    ]
    assert not [action for action in actions if action.startswith("org.freedesktop.systemd1.") and may(action)]


def test_the_group_may_ask_for_a_check_and_everybody_may_read_the_state(device: Device):
    for name, group in (("friend", "phonecheck"), ("stranger", "nogroup")):
        device.run("useradd", "--no-create-home", "--groups", group, name)
    assert device.come(device.verify("runuser", "-u", "friend", "--"))["result"]["outcome"] == "match"
    before = device.at_rest()
    asked = ("runuser", "-u", "stranger", "--", "busctl")
    api = ("org.phonecheck.Agent1", "/org/phonecheck/Agent1", "org.phonecheck.Agent1")
    refused = device.run(*asked, "call", *api, "Verify", "a{sv}", "0", check=False)
    assert refused.returncode
    assert device.run(*asked, "call", *api, "History", "u", "0", check=False).returncode
    assert device.out(*asked, "get-property", *api, "State") == 's "idle"'
    assert device.run("runuser", "-u", "stranger", "--", "phonecheck", "status").stdout
    assert device.history() == before


def test_what_a_caller_gets_wrong_is_an_error_and_no_check(device: Device):
    before = device.history()
    api = ("org.phonecheck.Agent1", "/org/phonecheck/Agent1", "org.phonecheck.Agent1")
    for options in (
        ("1", "colour", "s", "red"),
        ("1", "number", "i", "4"),
        ("1", "number", "s", "x" * 100_000),
        ("1", "timeout", "d", "-1"),
    ):
        refused = device.run("busctl", "call", *api, "Verify", "a{sv}", *options, check=False)
        assert refused.returncode, options
        assert "Traceback" not in refused.stderr
    assert device.history() == before
