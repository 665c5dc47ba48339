"""A device with two ways out, in network namespaces of its own.

    device: lan0 192.168.8.20/24 ─── 192.168.8.1 ┐
            wwan0 10.64.0.2/30 ───── 10.64.0.1   ┴ peer: 203.0.113.1, 2001:db8:cafe::1

The default route of the device is lan0's. Both ends answer by the route to the address they see, so both ways work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INSIDE = Path(__file__).with_name("inside.py")
EXCHANGE = Path(__file__).with_name("inside_exchange.py")
DEVICE = [
    "ip link set lo up",
    "ip link add lan0 type veth peer name r0",
    "ip link add wwan0 type veth peer name p0",
    # What IPv6 sends by itself would blur the counters of lan0.
    "echo 1 > /proc/sys/net/ipv6/conf/lan0/disable_ipv6",
    "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
    "echo 0 > /proc/sys/net/ipv4/conf/wwan0/rp_filter",
    "echo 0 > /proc/sys/net/ipv6/conf/wwan0/accept_dad",
    "ip addr add 192.168.8.20/24 dev lan0",
    "ip addr add 10.64.0.2/30 dev wwan0",
    "ip link set lan0 up",
    "ip link set wwan0 up",
    "ip route add default via 192.168.8.1",
]
PEER = [
    "ip link set lo up",
    "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
    "echo 0 > /proc/sys/net/ipv4/conf/r0/rp_filter",
    "echo 0 > /proc/sys/net/ipv4/conf/p0/rp_filter",
    "echo 0 > /proc/sys/net/ipv6/conf/p0/accept_dad",
    "ip addr add 203.0.113.1/32 dev lo",
    # A gateway answers ARP for its own address only, not for the Internet behind it.
    "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore",
    "ip -6 addr add 2001:db8:cafe::1/128 dev lo nodad",
    "ip addr add 192.168.8.1/24 dev r0",
    "ip addr add 10.64.0.1/30 dev p0",
    "ip -6 addr add 2001:db8:5::1/64 dev p0 nodad",
    "ip link set r0 up",
    "ip link set p0 up",
]


def carried(device: str) -> str:
    """A shell command that waits until a device's carrier has come to the kernel's mind.

    That is done aside, up to a second later where the machine is busy, and until then what is sent by it is dropped.
    """
    return f"for i in $(seq 500); do ip -o link show {device} | grep -q 'state UP' && exit 0; sleep 0.01; done; exit 1"


@dataclass(frozen=True)
class Failure:
    """What a call raised: the code of an AgentError, or the class of another."""

    code: str
    message: str
    hint: str
    seconds: float


class Node:
    """A process in a network namespace, called by name."""

    def __init__(self, prefix: list[str], script: Path = INSIDE) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.hear()["pid"]

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """The result of a call that must not fail."""
        reply = self._ask(name, arguments)
        assert "result" in reply, reply
        return reply["result"]

    def fails(self, name: str, /, **arguments: Any) -> Failure:
        """How a call failed that must."""
        reply = self._ask(name, arguments)
        assert "result" not in reply, reply
        return Failure(**reply)

    def _ask(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.tell(name, **arguments)
        return self.hear()

    def tell(self, name: str, /, **arguments: Any) -> None:
        """Call without waiting for the answer, which hear() returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process in the namespace ended with {self._process.wait()}")
        return json.loads(line)

    def wait(self) -> None:
        """Wait for the end of a process that was killed."""
        self._process.wait()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Lab:
    """The device and its peer. Call the lab to change the device: each text is a shell command."""

    def __init__(self) -> None:
        # root needs no user namespace, and keeps the user nobody without one
        self.device = Node(["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"])
        self.peer = Node([*self._enter(), "unshare", "-n"])
        self.device("commands", lines=DEVICE)
        self(f"ip link set r0 netns {self.peer.pid}", f"ip link set p0 netns {self.peer.pid}")
        self.peer("commands", lines=PEER)
        self.device("commands", lines=[carried("lan0"), carried("wwan0")])
        self.peer("serve")

    def __call__(self, *lines: str) -> None:
        self.device("commands", lines=list(lines))

    def without_arp(self) -> None:
        """Make wwan0 like the raw-IP device of a QMI or MBIM modem: no neighbours to look for.

        Frames then carry the sender's own hardware address as their destination, so both ends get the same.
        """
        for node, name in ((self.device, "wwan0"), (self.peer, "p0")):
            node("commands", lines=[f"ip link set {name} address 02:00:00:00:00:01 arp off"])

    def another(self, *prefix: str) -> Node:
        """A further process on the device, started by a command."""
        return Node([*self._enter(), *prefix])

    def exchange(self) -> tuple[Node, Node]:
        """A process on the device for an exchange, and one beside its peer."""
        return Node(self._enter(), EXCHANGE), Node(self._enter(self.peer), EXCHANGE)

    def _enter(self, node: Node | None = None) -> list[str]:
        rights = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        return ["nsenter", "-t", str((node or self.device).pid), *rights, "-n"]

    def close(self) -> None:
        self.peer.close()
        self.device.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    arguments = ["unshare", "-n", "true"] if os.geteuid() == 0 else ["unshare", "-Urn", "true"]
    refused = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if refused.returncode:
        pytest.skip(f"no network namespaces here: {refused.stderr.strip()}")
    lab = Lab()
    yield lab
    lab.close()
