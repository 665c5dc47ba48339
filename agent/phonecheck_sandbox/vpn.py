"""A VPN on the device, with the rules and the table of wg-quick(8): all traffic goes by wg0 but what bears its mark.

Not WireGuard itself, which is not in every kernel: wg0 is one end of a veth without ARP, and the other is on the internet,
so that what the tunnel carries arrives. Functions block, see netlink.py.
"""

from __future__ import annotations

from phonecheck_sandbox import counters, world
from phonecheck_sandbox.netlink import EVERYTHING, FAMILIES, add_address, index_of, namespace, speak, versions

INTERFACE = "wg0"
MODES = ("on", "kill-switch", "off")
TABLE = 51820
_MARK = 0xCA6C
_SPECIFIC_FIRST, _REST_BY_TUNNEL = 32764, 32765
_MAIN = 254
_INVERT = 0x02  # FIB_RULE_INVERT, linux/fib_rules.h
_LAST_METRIC = 9999
_EXIT = "vpn0"
_HARDWARE_ADDRESS = "02:00:00:00:00:51"
"""Of both ends: without ARP, a device sends to its own."""
_MTU = 1420


def switch(mode: str) -> None:
    """Switch the VPN off, on, or on with a kill switch: what may not use the tunnel is then refused, not sent beside it.

    Raises:
        ValueError: there is no such mode.
    """
    if mode not in MODES:
        raise ValueError(f"A VPN cannot be {mode!r}. Say {', '.join(MODES)}.")
    _down()
    if mode != "off":
        _up(kill_switch=mode == "kill-switch")


def _up(*, kill_switch: bool) -> None:
    with speak("device") as ip, namespace("internet") as internet:
        ends = {"address": _HARDWARE_ADDRESS, "mtu": _MTU}
        ip.link("add", ifname=INTERFACE, kind="veth", **ends, peer={"ifname": _EXIT, "net_ns_fd": internet, **ends})
        ip.link("set", index=index_of(ip, INTERFACE), arp=False)
        for version in versions():
            add_address(ip, INTERFACE, world.VPN[version])
    with speak("internet") as ip:
        ip.link("set", index=index_of(ip, _EXIT), arp=False)
        for version in versions():
            add_address(ip, _EXIT, world.VPN_EXIT[version])
    with speak("device") as ip:
        for version in versions():
            family, everything = FAMILIES[version], EVERYTHING[version]
            ip.route("add", family=family, dst=everything, oif=index_of(ip, INTERFACE), table=TABLE)
            if kill_switch:
                ip.route("add", family=family, dst=everything, type="prohibit", priority=_LAST_METRIC, table=TABLE)
            ip.rule("add", family=family, priority=_REST_BY_TUNNEL, table=TABLE, fwmark=_MARK, flags=_INVERT)
            ip.rule("add", family=family, priority=_SPECIFIC_FIRST, table=_MAIN, FRA_SUPPRESS_PREFIXLEN=0)
    counters.watch(INTERFACE)


def _down() -> None:
    with speak("device") as ip:
        for version in versions():
            family = FAMILIES[version]
            for priority in (_SPECIFIC_FIRST, _REST_BY_TUNNEL):
                ip.flush_rules(family=family, priority=priority)
            ip.flush_routes(family=family, table=TABLE)
        for index in ip.link_lookup(ifname=INTERFACE):
            ip.link("del", index=index)
