"""The conditions that routers see to: what the carrier's gateway and the way to the platform let through, by nftables.

Functions block, see netlink.py.
"""

from __future__ import annotations

from phonecheck_sandbox import world
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.topology import nft

_NOBODY = 1
"""A port of the portal at which nobody listens: who is led there is refused, by the address that was asked for."""
_TABLE = "walls"
_EMPTY = f"table inet {_TABLE} {{}}\ndelete table inet {_TABLE}\n"


def apply(conditions: Conditions, before: Conditions | None = None) -> None:
    """Put up the walls of the conditions in place of others, at once for every new connection.

    Args:
        conditions: what is to be.
        before: what is; None where nothing has been put up yet.

    Raises:
        SandboxError: nft failed.
    """
    standing = rules(before or Conditions())
    for node, wanted in rules(conditions).items():
        if wanted != standing[node]:
            nft(node, script=_EMPTY + (f"table inet {_TABLE} {{\n{wanted}}}\n" if wanted else ""))


def rules(conditions: Conditions) -> dict[str, str]:
    """The chains of each node that has walls; empty on an ordinary day."""
    return {"carrier": _gateway(conditions.apn_access), "internet": _platform(down=conditions.platform_down)}


def _gateway(access: str) -> str:
    """Of packets that come from the radio: what the operator takes for itself, or swallows."""
    # Links, of the names that mobile_link gives them.
    from_radio = 'iifname "pgw*"'
    if access == "filtered":
        # th: of TCP and UDP, which alone are swallowed; neighbours are still found, and leases given (67).
        return (
            "chain gate { type filter hook prerouting priority filter;\n"
            f"{from_radio} ip daddr {world.PORTAL} accept\n"
            f"{from_radio} ip6 daddr {world.PORTAL_6} accept\n"
            f"{from_radio} meta l4proto {{ tcp, udp }} th dport != {{ 53, 67 }} drop\n}}\n"
        )
    if not access:
        return ""
    secure = 443 if access == "portal-tls" else _NOBODY
    lead = "".join(
        f"{from_radio} {family} daddr != {portal} tcp dport {port} dnat {family} to {bracketed}:{to}\n"
        for family, portal, bracketed in (
            ("ip", world.PORTAL, f"{world.PORTAL}"),
            ("ip6", world.PORTAL_6, f"[{world.PORTAL_6}]"),
        )
        for port, to in ((80, 80), (443, secure))
    )
    return f"chain lead {{ type nat hook prerouting priority dstnat;\n{lead}}}\n"


def _platform(*, down: bool) -> str:
    """Of packets to the platform from outside: the app server is on its node, and reaches it by the loopback."""
    if not down:
        return ""
    return (
        f'chain dark {{ type filter hook input priority filter;\niifname != "lo" ip daddr {world.PLATFORM} drop\n}}\n'
    )
