"""The doctor on a device with nothing broken, and on one that fails low or late on the ladder."""  # noqa: INP001  a script

from __future__ import annotations

import json
from collections.abc import Callable

from device import Device, device
from table import Row, Table

_RTT_MS = 60
_BUDGET_MS = 5000
_PARTS = {"with nothing broken": "reset", "the network swallows large packets": "scenario large-packets-lost"}


def measure(runs: int, say: Callable[[str], None]) -> Table:
    """The whole command, and the ladder by its own clock, in turn on a sound link and on one that is broken late.

    Raises:
        SandboxError: it does not start here. RuntimeError: a run did not end as it must.
    """
    whole: dict[str, list[float]] = {name: [] for name in _PARTS}
    ladder: dict[str, list[float]] = {name: [] for name in _PARTS}
    traffic: list[float] = []
    with device("--rtt", str(_RTT_MS)) as on:
        for n in range(1, runs + 1):
            say(f"doctor: round {n} of {runs}")
            for name, verb in _PARTS.items():
                on.ctl(*verb.split())
                on.ctl("set", f"radio_rtt={_RTT_MS}")
                process_ms, ladder_ms, carried = _look(on)
                whole[name].append(process_ms)
                ladder[name].append(ladder_ms)
                if verb == "reset":
                    traffic.append(carried / 1000)
        on.ctl("reset")
    rows = [
        Row(f"phonecheck doctor, {name}", "ms", (whole[name], ladder[name]), _BUDGET_MS if verb == "reset" else None)
        for name, verb in _PARTS.items()
    ]
    rows.append(Row("  what it sends and receives over the link", "kB", ([], traffic)))
    title = f"The doctor, {_RTT_MS} ms round trips: median / worst"
    return Table(title, ("the command", "its ladder"), rows, worst=True)


def _look(on: Device) -> tuple[float, float, int]:
    """Milliseconds of the command and of the ladder, and the bytes that went over the link."""
    # A shell keeps the exit status, which is the finding, from the stopwatch, which takes it for a failure.
    process = on.run("sh", "-c", "phonecheck doctor --json || :")
    said = json.loads(process.stdout)
    if said["cause"] not in (None, "mtu"):
        raise RuntimeError(f"the doctor found {said['cause']}: {said['error']['message']}")
    return process.ms, said["ms"], said["traffic"] or 0
