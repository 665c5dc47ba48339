"""What a verification costs beside the same exchange by mmcli and curl, and what a start of the command costs."""  # noqa: INP001  a script

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from device import Process, device
from flows import ByCurl, ByPhonecheck, mmcli_and_curl, open_url, verify
from table import Row, Table

RTTS = (0, 60)
"""Milliseconds that the radio adds to a round trip."""
_EMPTY = "import click\n@click.command()\ndef main(): pass\nmain()\n"


@dataclass(frozen=True)
class Round:
    """One run of each kind, at one round-trip time."""

    rtt: int
    verify: ByPhonecheck
    open: ByPhonecheck
    curl: ByCurl

    @property
    def network_ms(self) -> float:
        """What a verification takes of the network: names, chain and app server, as curl needs them."""
        return self.curl_chain_ms + self.curl.app_server_ms

    @property
    def curl_chain_ms(self) -> float:
        """The chain by curl, its names counted."""
        return self.curl.names_ms + self.curl.chain_ms

    @property
    def round_trips_ms(self) -> float:
        """What the chain cannot do without."""
        return self.verify.round_trips * self.rtt


@dataclass(frozen=True)
class Start:
    """One start of each kind."""

    help: Process
    empty: Process


def measure(runs: int, say: Callable[[str], None]) -> Table:
    """Every kind in turn, at every round-trip time, in one sandbox.

    Raises:
        SandboxError: it does not start here. RuntimeError: a run failed.
    """
    rounds: list[Round] = []
    starts: list[Start] = []
    with device() as on:
        empty = on.directory / "empty.py"
        empty.write_text(_EMPTY)
        # The first of each finds caches cold, here and at the servers, that are warm for all others.
        mmcli_and_curl(on, verify(on))
        for n in range(1, runs + 1):
            say(f"exchange: round {n} of {runs}")
            for rtt in RTTS:
                on.ctl("set", f"radio_rtt={rtt}")
                verified = verify(on)
                rounds.append(Round(rtt, verified, open_url(on), mmcli_and_curl(on, verified)))
                starts.append(Start(on.run("phonecheck", "--help"), on.run(sys.executable, empty, "--help")))
        trips, authorities = rounds[0].verify.round_trips, on.authorities
    return Table(
        f"The exchange: {trips} round trips; {authorities} certificate authorities; medians",
        tuple(f"{rtt} ms RTT" for rtt in RTTS),
        _rows(rounds, starts),
        facts={"round_trips": trips, "authorities": authorities},
    )


def _rows(rounds: list[Round], starts: list[Start]) -> list[Row]:
    """Ratios and differences are taken within a round, then their median."""

    def exchange(
        name: str, figure: Callable[[Round], float], unit: str = "ms", budget: float | None = None, least_rtt: int = 0
    ) -> Row:
        columns = ([round(figure(r), 3) for r in rounds if r.rtt == rtt >= least_rtt] for rtt in RTTS)
        return Row(name, unit, tuple(columns), budget)

    def start(name: str, figure: Callable[[Start], float], unit: str, budget: float | None = None) -> Row:
        return Row(name, unit, ([round(figure(s), 3) for s in starts], []), budget)

    return [
        exchange("phonecheck verify, cold", lambda r: r.verify.process.ms),
        exchange("  beyond its network time", lambda r: r.verify.process.ms - r.network_ms, budget=300),
        exchange("  peak memory of verify", lambda r: r.verify.process.mib, "MiB"),
        exchange("phonecheck open, cold", lambda r: r.open.process.ms),
        exchange("mmcli, names, curl -L", lambda r: r.curl.mmcli.ms + r.curl.names_ms + r.curl.curl.ms),
        exchange("  peak memory of curl", lambda r: r.curl.curl.mib, "MiB"),
        exchange("the chain, by phonecheck", lambda r: r.verify.chain_ms),
        exchange("the chain, by names and curl -L", lambda r: r.curl_chain_ms),
        exchange("the chain's round trips alone", lambda r: r.round_trips_ms),
        exchange("  phonecheck / round trips", lambda r: r.verify.chain_ms / r.round_trips_ms, "x", 1.05, least_rtt=1),
        exchange("  phonecheck / curl", lambda r: r.verify.chain_ms / r.curl_chain_ms, "x", 1.0, least_rtt=1),
        start("phonecheck --help", lambda s: s.help.ms, "ms"),
        start("an empty click program's --help", lambda s: s.empty.ms, "ms"),
        start("  phonecheck / empty", lambda s: s.help.ms / s.empty.ms, "x", 1.6),
        start("  peak memory of --help", lambda s: s.help.mib, "MiB"),
        start("  peak memory of the empty program", lambda s: s.empty.mib, "MiB"),
    ]
