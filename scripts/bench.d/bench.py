"""The benchmark: every kind of run in turn, so that a slow second of the machine falls on all of them; a table a part.

docs/performance.md says what each line compares.
"""  # noqa: INP001  a script

from __future__ import annotations

import json
import os
import platform
import ssl
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click
import doctor
import exchange
import loss
import readiness

from phonecheck_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from table import Table

_PARTS: dict[str, Callable[[int, Callable[[str], None]], Table]] = {
    "exchange": exchange.measure,
    "readiness": readiness.measure,
    "loss": loss.measure,
    "doctor": doctor.measure,
}
_LIBRARIES = ("click", "httpx", "httpcore", "dnspython", "pydbus")


def circumstances(runs: int) -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "phonecheck": version("phonecheck"),
        "runs": runs,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
    }


def title(facts: dict[str, Any]) -> str:
    """The same in three lines."""
    return "\n".join(
        (
            "phonecheck {phonecheck}: {runs} runs of each kind".format(**facts),
            "{kernel}, {cpus} CPUs, Python {python}, {openssl}".format(**facts),
            ", ".join(f"{name} {number}" for name, number in facts["libraries"].items()),
        )
    )


@click.command()
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True, help="Runs of each kind.")
@click.option("--only", type=click.Choice(list(_PARTS)), multiple=True, help="This part; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every sample.")
def main(runs: int, only: tuple[str, ...], as_json: bool) -> None:
    """Measure a verification, making a modem ready, noticing a lost link, and the doctor.

    A measurement, not a test: the exit status is 0 when a budget is not kept, too.
    """
    facts = circumstances(runs)
    try:
        tables = {
            name: measure(runs, lambda words: click.echo(words, err=True))
            for name, measure in _PARTS.items()
            if name in (only or _PARTS)
        }
    except (SandboxError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(facts | {name: table.to_json() for name, table in tables.items()}))
    else:
        click.echo("\n\n".join((title(facts), *(table.show() for table in tables.values()))))


if __name__ == "__main__":
    main(prog_name="scripts/bench")
