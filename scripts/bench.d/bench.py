"""The benchmark: every kind of run in turn, so that a slow second of the machine falls on all of them; medians; one table.

docs/performance.md says what each line compares.
"""  # noqa: INP001  a script

from __future__ import annotations

import json
import os
import platform
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from exchange import ByCurl, ByPhonecheck, Device, Process, mmcli_and_curl, open_url, verify

from phonecheck_sandbox.box import Box
from phonecheck_sandbox.errors import SandboxError

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


@dataclass(frozen=True)
class Row:
    """A line of the table: the samples of each column, and the most that their median may be."""

    name: str
    unit: str
    columns: tuple[list[float], ...]
    budget: float | None = None

    @property
    def medians(self) -> list[float | None]:
        """None for a column that the line says nothing in."""
        return [statistics.median(samples) if samples else None for samples in self.columns]

    @property
    def kept(self) -> bool | None:
        """Whether every column keeps to the budget; None where there is none."""
        budget = self.budget
        return None if budget is None else all(m <= budget for m in self.medians if m is not None)


@dataclass(frozen=True)
class Samples:
    """All that was measured, and how many certificate authorities the device trusted."""

    rounds: list[Round]
    starts: list[Start]
    authorities: int


def measure(runs: int, say: Callable[[str], None]) -> Samples:
    """Everything, in one sandbox of its own.

    Raises:
        SandboxError: it does not start here. RuntimeError: a run failed.
    """
    rounds: list[Round] = []
    starts: list[Start] = []
    with tempfile.TemporaryDirectory() as directory, Box() as box:
        device = Device(box, Path(directory))
        empty = Path(directory) / "empty.py"
        empty.write_text(_EMPTY)
        # The first of each finds caches cold, here and at the servers, that are warm for all others.
        mmcli_and_curl(device, verify(device))
        for n in range(1, runs + 1):
            say(f"round {n} of {runs}")
            for rtt in RTTS:
                device.set_rtt(rtt)
                verified = verify(device)
                rounds.append(Round(rtt, verified, open_url(device), mmcli_and_curl(device, verified)))
                starts.append(Start(device.run("phonecheck", "--help"), device.run(sys.executable, empty, "--help")))
        return Samples(rounds, starts, device.authorities)


def rows(samples: Samples) -> list[Row]:
    """The table. Ratios and differences are taken within a round, then their median."""

    def exchange(
        name: str, figure: Callable[[Round], float], unit: str = "ms", budget: float | None = None, least_rtt: int = 0
    ) -> Row:
        columns = ([round(figure(r), 3) for r in samples.rounds if r.rtt == rtt >= least_rtt] for rtt in RTTS)
        return Row(name, unit, tuple(columns), budget)

    def start(name: str, figure: Callable[[Start], float], unit: str, budget: float | None = None) -> Row:
        return Row(name, unit, ([round(figure(s), 3) for s in samples.starts], []), budget)

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


def show(table: list[Row]) -> str:
    """The table as text."""
    lines = [f"{'':<34}" + "".join(f"{f'{rtt} ms RTT':>12}" for rtt in RTTS) + f"{'budget':>12}"]
    for row in table:
        digits = 3 if row.unit == "x" else 1
        cells = ["" if m is None else f"{m:.{digits}f} {row.unit:<3}" for m in row.medians]
        budget = "" if row.budget is None else f"{row.budget:g} {row.unit:<3}"
        verdict = {None: "", True: "ok", False: "over"}[row.kept]
        lines.append(f"{row.name:<34}{''.join(f'{cell:>12}' for cell in cells)}{budget:>12}  {verdict}".rstrip())
    return "\n".join(lines)


def circumstances(samples: Samples) -> dict[str, Any]:
    """What the figures hold for."""
    libraries = ("click", "httpx", "httpcore", "dnspython", "pydbus")
    return {
        "phonecheck": version("phonecheck"),
        "runs": len(samples.starts) // len(RTTS),
        "round_trips": samples.rounds[0].verify.round_trips,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "authorities": samples.authorities,
        "libraries": {name: version(name) for name in libraries},
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
    }


def title(facts: dict[str, Any]) -> str:
    """The same in three lines."""
    return "\n".join(
        (
            "phonecheck {phonecheck}: medians of {runs} runs; the chain makes {round_trips} round trips".format(
                **facts
            ),
            "{kernel}, {cpus} CPUs, Python {python}, {openssl}, {authorities} CAs".format(**facts),
            ", ".join(f"{name} {number}" for name, number in facts["libraries"].items()),
        )
    )


@click.command()
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True, help="Runs of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every sample.")
def main(runs: int, as_json: bool) -> None:
    """Measure what a verification costs, beside the same exchange by mmcli and curl.

    A measurement, not a test: the exit status is 0 when a budget is not kept, too.
    """
    try:
        samples = measure(runs, lambda words: click.echo(words, err=True))
    except (SandboxError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    table, facts = rows(samples), circumstances(samples)
    if as_json:
        lines = [
            {"name": r.name.strip(), "unit": r.unit, "budget": r.budget, "kept": r.kept}
            | {"medians": dict(zip(RTTS, r.medians, strict=True)), "samples": dict(zip(RTTS, r.columns, strict=True))}
            for r in table
        ]
        click.echo(json.dumps(facts | {"rows": lines}))
    else:
        click.echo(f"{title(facts)}\n\n{show(table)}")


if __name__ == "__main__":
    main(prog_name="scripts/bench")
