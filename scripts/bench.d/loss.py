"""From the loss of the link in the middle of a hop to the answer."""  # noqa: INP001  a script

from __future__ import annotations

import json
from collections.abc import Callable

from device import Device, Seen, device
from table import Row, Table

_EVENTS: dict[str, tuple[str, ...]] = {
    "drop-bearer": ("connect",),
    "link-down": (),
    "address-lost": (),
    "device-gone": ("plug",),
    "unplug": ("plug", "connect"),
    "manager-stop": ("manager-start", "connect"),
    "manager-kill": ("manager-start", "connect"),
}
"""Each event (docs/sandbox.md), and what makes the sandbox whole again."""
_BUDGET_MS = 100
_LINK = 5  # ExitStatus


def measure(runs: int, say: Callable[[str], None]) -> Table:
    """Each event in turn, in one sandbox where nobody but the agent configures the link.

    Raises:
        SandboxError: it does not start here. RuntimeError: a run did not end as a link that is lost does.
    """
    reactions: dict[str, list[Seen]] = {event: [] for event in _EVENTS}
    with device("--no-configure", "--set", "mno_hang=yes") as on:
        _lose(on, "link-down")  # finds caches cold
        for n in range(1, runs + 1):
            say(f"loss: round {n} of {runs}")
            for event, seen in reactions.items():
                seen.append(_lose(on, event))
    return Table(
        "From the loss of the link to the answer, a hop being awaited: median / worst",
        ("since it was told", "since it was asked"),
        [_row(event, seen) for event, seen in reactions.items()],
        worst=True,
    )


def _lose(on: Device, event: str) -> Seen:
    seen = on.watch("phonecheck", "verify", "--json", event=event, status=_LINK)
    error = json.loads(seen.stdout)["error"]
    if error["code"] != "interface-gone" or seen.asked is None or seen.lost is None:
        raise RuntimeError(f"{event} ended in {error['code']}: {error['message']}")
    for verb in _EVENTS[event]:
        on.ctl(verb)
    return seen


def _row(event: str, reactions: list[Seen]) -> Row:
    told = [round(seen.answered - (seen.lost or 0.0), 3) for seen in reactions]
    asked = [round(seen.answered - (seen.asked or 0.0), 3) for seen in reactions]
    return Row(event, "ms", (told, asked), _BUDGET_MS)
