"""kill -9 at any instant: what was acknowledged is there, and what was delivered is not there again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from phonecheck.service.store import Limits
from store_device import Device

ROOT = Path(__file__).parents[3]
ROUNDS = 20
LONGEST = 0.06
"""Seconds after which a process is killed at the latest, from before it opens the database: some ten checks."""
SERVICE = """
import os, sys
from pathlib import Path
from phonecheck.service.model import Due, Request, SeenSim
from phonecheck.service.store import Limits
from store_device import DOCUMENT, NOW, NUMBER, Device

def tell(word, what=""):
    os.write(1, f"{word} {what}\\n".encode())

def check(id):
    store.begin(id)
    store.complete(id, DOCUMENT, report=True)
    tell("made", id)

tell("ready")
store = Device(Path(sys.argv[1])).store(Limits(history=100_000, outbox_size=100_000))
tell("salt", store.salt.hex())
queued, running = store.pending()
for request in (*running, *queued):
    check(request.id)
count = 0
while True:
    count += 1
    request = Request("request" if count % 2 else "schedule", number=NUMBER if count % 2 else None)
    store.accept(request, sims=[SeenSim("modem", request.id, "")])
    tell("accepted", request.id)
    if count % 3:
        check(request.id)
        for report in store.outbox(1):
            store.delivered(report.id)
            tell("delivered", report.id)
"""


def killed(directory: Path, after: float) -> list[list[str]]:
    """What a service said before it was killed, so many seconds after its start."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'tests'}"}
    program = [sys.executable, "-c", SERVICE, str(directory)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        ready = process.stdout.readline()
        time.sleep(after)
        process.kill()
        said = ready + process.stdout.read()
    assert process.returncode == -9
    # A line is written at once, or not at all.
    return [line.split() for line in said.decode().splitlines()]


def test_kill_9_loses_nothing_that_was_acknowledged_and_repeats_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    acknowledged: dict[str, list[str]] = defaultdict(list)
    for _ in range(ROUNDS):
        for word, *what in killed(directory, random.uniform(0, LONGEST)):
            acknowledged[word] += what
        device = Device(directory)
        store = device.store(Limits(history=100_000, outbox_size=100_000))
        history = [record.id for record in store.history(0)]
        outbox = [report.id for report in store.outbox(100_000)]
        queued, running = store.pending()
        open_ = [request.id for request in (*queued, *running)]
        assert len(history) == len(set(history))
        assert not set(open_) & set(history)
        assert set(acknowledged["accepted"]) <= {*history, *open_}
        assert set(acknowledged["made"]) <= set(history)
        assert not set(acknowledged["delivered"]) & set(outbox)
        assert len(running) <= 1
        assert {store.salt.hex()} >= set(acknowledged["salt"])
        # One report was perhaps taken out and not told any more.
        assert len(set(history) - set(outbox) - set(acknowledged["delivered"])) <= ROUNDS
        assert (store.problem, device.said) == ("", [])
        device.close()
    assert len(acknowledged["made"]) == len(set(acknowledged["made"]))
    assert len(acknowledged["delivered"]) == len(set(acknowledged["delivered"]))
    assert acknowledged["delivered"], "none came so far: kill later"
