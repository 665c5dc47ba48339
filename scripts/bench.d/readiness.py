"""From a cold modem to the answer, and down again: by phonecheck, and by mmcli as far as that goes."""  # noqa: INP001  a script

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device import Call, Device, Seen, device
from table import Row, Table

_VERIFY = ("phonecheck", "verify", "--connect", "--apn", "internet", "--json")
_CONNECT = ("mmcli", "-m", "any", "--simple-connect=apn=internet")
_DISCONNECT = ("mmcli", "-m", "any", "--simple-disconnect")
_DISABLE = ("mmcli", "-m", "any", "--disable")
_REGISTERED = 8  # MMModemState


@dataclass(frozen=True)
class Round:
    """The modem off, its bearer down, and its bearer up: `verify` of each, and mmcli's way up from the first two."""

    verify_off: Seen
    connect_off: Seen
    verify_down: Seen
    connect_down: Seen
    verify_up: Seen
    disconnect: Seen
    disable: Seen


def measure(runs: int, say: Callable[[str], None]) -> Table:
    """Each state in turn, in one sandbox where nobody but the agent configures the link.

    Raises:
        SandboxError: it does not start here. RuntimeError: a run failed.
    """
    rounds = []
    with device("--scenario", "modem-off", "--no-configure") as on:
        _round(on)  # finds caches cold
        for n in range(1, runs + 1):
            say(f"readiness: round {n} of {runs}")
            rounds.append(_round(on))
    return Table(
        "From a cold modem to the answer: median / worst",
        ("modem off", "bearer down", "bearer up"),
        _rows(rounds),
        worst=True,
    )


def _round(on: Device) -> Round:
    """From a disabled modem to a disabled modem, each command leaving what the next one is to find."""
    verify_off = _verify(on, "Enable", "Connect")
    connect_off = on.watch(*_CONNECT)
    on.watch(*_DISCONNECT)
    verify_down = _verify(on, "Connect")
    connect_down = on.watch(*_CONNECT)
    verify_up = _verify(on)
    return Round(
        verify_off, connect_off, verify_down, connect_down, verify_up, on.watch(*_DISCONNECT), on.watch(*_DISABLE)
    )


def _verify(on: Device, *steps: str) -> Seen:
    seen = on.watch(*_VERIFY)
    if (taken := [call.method for call in _before(seen)]) != list(steps):
        raise RuntimeError(f"verify asked ModemManager for {taken}, and not for {steps}")
    return seen


def _before(seen: Seen) -> list[Call]:
    return [call for call in seen.calls if call.began < seen.answered]


def _reading(seen: Seen) -> tuple[float, float]:
    if seen.reading is None or seen.configured is None or seen.first_packet is None:
        raise RuntimeError("verify configured no link, or sent nothing over it")
    return seen.reading


def _connected(seen: Seen) -> float:
    """When ModemManager said that the bearer is up."""
    return next(call.ended for call in seen.calls if call.method == "Connect")


def _going_up(seen: Seen) -> float:
    """ModemManager's own time on the way up: its calls, and the registration that none of them waits for."""
    calls = _before(seen)
    waited = 0.0
    if (enabled := next((call.ended for call in calls if call.method == "Enable"), None)) is not None:
        registered = next(at for state, at in seen.states if state >= _REGISTERED)
        waited = max(0.0, registered - enabled)
    return waited + sum(call.ms for call in calls)


def _going_down(seen: Seen) -> float:
    return sum(call.ms for call in seen.calls if call.began >= seen.answered)


def _share(seen: Seen) -> float:
    """The agent's own time at the modem: from its first word on the bus until the bearer is read, less ModemManager's."""
    began, ended = _reading(seen)
    return ended - began - _going_up(seen)


def _rows(rounds: list[Round]) -> list[Row]:
    def row(name: str, *figures: Callable[[Round], float]) -> Row:
        columns = [[round(figure(r), 3) for r in rounds] for figure in figures]
        return Row(name, "ms", (*columns, *([[]] * (3 - len(columns)))))

    def verify(name: str, figure: Callable[[Seen], float], *, up: bool = True) -> Row:
        runs = (lambda r: r.verify_off, lambda r: r.verify_down, lambda r: r.verify_up)
        return row(name, *((lambda r, run=run: figure(run(r))) for run in runs[: 2 + up]))

    def mmcli(name: str, figure: Callable[[Seen], float]) -> Row:
        return row(name, lambda r: figure(r.connect_off), lambda r: figure(r.connect_down))

    return [
        verify("phonecheck verify, to its answer", lambda s: s.answered),
        verify("  to the chain's first packet", lambda s: s.first_packet or 0.0),
        verify("  to a link that is configured", lambda s: s.configured or 0.0),
        verify("  to a bearer that is up and read", lambda s: _reading(s)[1]),
        verify("    its start, until it speaks on the bus", lambda s: _reading(s)[0]),
        verify("    the agent's own time at the modem", _share),
        verify("    ModemManager's own time", _going_up, up=False),
        mmcli("mmcli, to a bearer that is up", _connected),
        mmcli("    ModemManager's own time", _going_up),
        verify("verify, from its answer to its end", lambda s: s.ended - s.answered),
        verify("    ModemManager's own time", _going_down, up=False),
        row("mmcli, to the same end", lambda r: r.disconnect.ended + r.disable.ended, lambda r: r.disconnect.ended),
    ]
