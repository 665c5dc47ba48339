"""The link goes in the middle: the answer comes at once, names the link, and nothing stays."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from phonecheck_sandbox import world

# The first line of a command's output, and when it came: a command stays for a moment after its answer.
TIMED = (
    "import json, subprocess, sys, time\n"
    "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
    "line = p.stdout.readline(); seen = time.monotonic()\n"
    "print(json.dumps({'seen': seen, 'status': p.wait(), 'answer': json.loads(line)}))\n"
)
LONG = ("--timeout", "40")
SETTINGS = "[chain]\nhop_timeout = 30\n"
HANG = {"mno_hang": True}
DEAD = {"radio_dead": True}
EVENTS = {
    "drop-bearer": HANG,
    "link-down": HANG,
    "address-lost": HANG,
    "device-gone": HANG,
    "manager-stop": HANG,
    "manager-kill": HANG,
    "unplug": HANG,
}


@pytest.fixture
def device_of_its_own(start_device: Any) -> Iterator[Any]:
    with start_device() as device:
        yield device


def react(device: Any, settings_file: str, event: str) -> tuple[dict[str, Any], float]:
    """What the agent says of an event in the middle of a hop, and the seconds between the two."""
    command = ["phonecheck", "verify", f"+{world.SUBSCRIBER.msisdn}", *LONG, "--json"]
    said: list[str] = []

    def run() -> None:
        done = device.run(sys.executable, "-c", TIMED, *command, env={"PHONECHECK_CONFIG": settings_file})
        said.append(done.stdout)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for_packets(device)
    at = time.monotonic()
    device.box.ctl(event)
    thread.join(60)
    answer: dict[str, Any] = json.loads(said[0])
    return answer, answer["seen"] - at


def wait_for_packets(device: Any) -> None:
    """Until the chain is under way: something has left for the operator's servers or its DNS."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        sent = device.packets()["wwan0"]
        if sent["mno"] or (sent["carrier-dns"] > 2 and not sent["platform"]):
            time.sleep(0.1)  # so that the request is out and its answer awaited
            return
        time.sleep(0.02)
    raise AssertionError("the chain never began")


@pytest.mark.parametrize("event", EVENTS)
def test_a_link_that_goes_while_a_hop_is_awaited(event: str, device_of_its_own: Any, tmp_path: Any) -> None:
    device = device_of_its_own
    device.set(**EVENTS[event])
    file = tmp_path / "agent.toml"
    file.write_text(device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout.replace("[chain]\n", SETTINGS))
    device.packets(reset=True)
    said, seconds = react(device, str(file), event)
    answer = said["answer"]
    assert (said["status"], answer["error"]["code"]) == (5, "interface-gone"), answer
    assert answer["hops"][-1]["status"] is None
    # Nothing but the event can have ended it this early: hop and command have half a minute and more. How early it is,
    # scripts/bench says.
    assert seconds < 5
    device.assert_no_leak()
