"""Runs in a network namespace of its own: changes the device as told, looks at the link, and says what was seen.

The first argument is JSON: what the modem says of the link, the settings and shell commands. The device is that of
tests/phonecheck/link, less the peer: nothing is sent here.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from ipaddress import ip_address, ip_interface
from typing import Any, cast

from phonecheck.config import LinkChoice, Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, BearerError
from phonecheck.eyes.links import RealLinks
from phonecheck.model import Link

DEVICE = [
    "ip link set lo up",
    "ip link add lan0 type veth peer name lan1",
    "ip link add wwan0 type veth peer name wwan1",
    *(f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6" for name in ("lan0", "lan1", "wwan1")),
    "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
    "echo 0 > /proc/sys/net/ipv4/conf/wwan0/rp_filter",
    "echo 0 > /proc/sys/net/ipv6/conf/wwan0/accept_dad",
    *(f"ip link set {name} up" for name in ("lan1", "lan0", "wwan1")),
    "ip addr add 192.168.8.20/24 dev lan0",
    "ip route add default via 192.168.8.1",
]


class Session:
    """Of a modem that says so of its link; it prepares nothing."""

    def __init__(self, link: Link | None) -> None:
        self.link = link
        self.looked = 0

    def look(self, _modem: object, _deadline: Deadline) -> Link:
        self.looked += 1
        if self.link is None:
            raise BearerError("not-connected", "No bearer is connected.")
        return self.link


class Modems:
    def ready(self, _: Deadline) -> Any:
        return object()


def main() -> None:
    asked = json.loads(sys.argv[1])
    for line in (*DEVICE, *asked["commands"]):
        subprocess.run(["sh", "-ec", line], check=True)
    link = None
    if asked["addresses"] is not None:
        own = tuple(ip_interface(text) for text in asked["addresses"])
        servers = {4: ip_address("10.64.1.53"), 6: ip_address("2001:db8:65::53")}
        link = Link("wwan0", own, (ip_address("10.64.0.1"),), tuple(servers[v] for v in {a.version: 0 for a in own}))
    session = Session(link)
    settings = Settings(link=LinkChoice(routes=asked["routes"]))
    links = RealLinks(cast(Any, session), settings, Modems(), traffic=asked["traffic"])
    try:
        survey = links.survey(Deadline(5))
        links.survey(Deadline(5))
        said = None if survey is None else dataclasses.asdict(dataclasses.replace(survey, obstacle=None))
        error = survey.obstacle if survey else None
        owner = survey.owner(error) if survey and error else None
    except AgentError as raised:
        said, error, owner = None, raised, None
    sys.stdout.write(
        json.dumps(
            {
                "survey": said,
                "error": error.code if error else None,
                "hint": error.hint if error else None,
                "owner": owner,
                "looked": session.looked,
            },
            default=str,
        )
    )


main()
