"""A modem that ModemManager knows nothing of: the far end of its link is an interface of the machine (``here --link``)."""

from __future__ import annotations

from phonecheck_sandbox import world
from system.container.booted import SETTINGS, Boot

UNITS = "/etc/systemd/system"
SANDBOX = """\
[Service]
ExecStartPre=ip link add wwan0 type veth peer name far0
ExecStartPre=ip address add {address} dev wwan0
ExecStartPre=ip link set wwan0 up
ExecStartPre=ip route add default via {gateway} dev wwan0 metric 700
ExecStart=
ExecStart=/usr/bin/phonecheck-sandbox here --throw-away --modems 0 --link far0
"""
OWN = """\
[server]
url = "https://{server}"
report = "{report}"
[phone]
number = "+{number}"
[link]
interface = "wwan0"
dns = ["{dns}"]
[service]
on_start = false
"""


def test_an_interface_of_the_machine_becomes_the_carriers_end(boot: Boot):
    prepare: dict[str, str | None] = {
        f"{UNITS}/phonecheck-sandbox.service.d/link.conf": SANDBOX.format(address=world.WWAN0, gateway=world.PGW.ip),
        SETTINGS: OWN.format(
            server=world.APP_SERVER_HOST,
            report=world.REPORT_PATH,
            number=world.SUBSCRIBER.msisdn,
            dns=world.CARRIER_DNS[0],
        ),
    }
    with boot(prepare) as device:
        device.in_the_box()
        assert device.run("pgrep", "ModemManager", check=False).stdout == ""
        (modem,) = device.ctl("state")["modems"]
        assert modem["interface"] == "wwan0"
        result = device.come(device.verify())["result"]
        assert result["outcome"] == "match", result["error"]
        assert {hop["bound_to"] for hop in result["hops"]} == {"wwan0"}
        assert "far0" not in device.out("ip", "-brief", "link")
        refused = device.run("phonecheck-sandbox", "ctl", "manager-start", check=False)
        assert "machine's own" in refused.stderr
