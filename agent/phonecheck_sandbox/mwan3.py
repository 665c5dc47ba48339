"""Policy rules on the device as mwan3 of OpenWrt sets them for two uplinks, of which the modem's is switched off.

Numbers and marks are mwan3's own (https://openwrt.org/docs/guide-user/network/wan/multiwan/mwan3, mwan3.sh). It marks a
packet after its route was looked up, which no looking up can show; so the rule that keeps the link's packets in is for
the device, as administrators write it by hand. On a raw-IP link it is in vain: where a lookup for a device fails, IPv4
sends all the same, as if the peer were on the link. Functions block, see netlink.py.
"""

from __future__ import annotations

import subprocess

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.kernel import NETNS
from phonecheck_sandbox.netlink import versions

MODES = ("on", "off")
UNREACHABLE = 3002
"""The preference of the rule that keeps the link's packets in: ahead of main's 32766."""

_ROUTERS = {4: world.LAN_ROUTER.ip, 6: world.LAN_ROUTER_6.ip}
_ADDRESSES = {4: world.LAN0.ip, 6: world.LAN0_6.ip}
_LAN, _MOBILE = 1, 2
_RULES = {
    1000 + _LAN: "iif lan0 lookup 1",
    1000 + _MOBILE: "iif {link} lookup 2",
    2000 + _LAN: "fwmark 0x100/0x3f00 lookup 1",
    2000 + _MOBILE: "fwmark 0x200/0x3f00 lookup 2",
    2061: "fwmark 0x3d00/0x3f00 blackhole",
    2062: "fwmark 0x3e00/0x3f00 unreachable",
    3000 + _LAN: "fwmark 0x100/0x3f00 unreachable",
    UNREACHABLE: "oif {link} unreachable",
}


def switch(mode: str, link: str) -> None:
    """Set the rules, or take them away.

    Raises:
        ValueError: there is no such mode.
        SandboxError: the kernel refused.
    """
    if mode not in MODES:
        raise ValueError(f"mwan3 cannot be {mode!r}. Say {' or '.join(MODES)}.")
    for version in versions():
        taken_away = [f"rule del pref {preference}" for preference in _RULES]
        _ip(version, [*taken_away, f"route flush table {_LAN}"], may_fail=True)
        if mode == "on":
            rules = [f"rule add pref {preference} {rule.format(link=link)}" for preference, rule in _RULES.items()]
            _ip(version, [*_default_by_lan(version), *rules])


def _default_by_lan(version: int) -> list[str]:
    """The default route of the LAN's table, where the LAN has that version."""
    here = _ip(version, [f"address show dev lan0 to {_ADDRESSES[version]}"])
    return [f"route add default via {_ROUTERS[version]} dev lan0 table {_LAN}"] if here else []


def _ip(version: int, lines: list[str], *, may_fail: bool = False) -> str:
    argv = [
        "nsenter",
        f"--net={NETNS / 'device'}",
        "ip",
        f"-{version}",
        *(["-force"] if may_fail else []),
        "-batch",
        "-",
    ]
    done = subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        raise SandboxError(f"ip failed: {done.stderr.strip()}", hint="Install it: sudo apt install iproute2")
    return done.stdout
