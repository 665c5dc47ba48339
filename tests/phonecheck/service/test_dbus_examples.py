"""The examples of docs/dbus-api.md, run as they stand; what they show is what comes out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck.service.dbus import interface_xml
from phonecheck.service.model import Record
from phonecheck.service.results import TYPES
from service_bus import FakeCalls, ServiceBus, a_bus, a_loop, an_api, result

PAGE = (Path(__file__).parents[3] / "docs" / "dbus-api.md").read_text()
ID = "9b2d6f0e4c1a4d7c8e5f3a2b1c0d9e8f"
PRINTED = [
    "match \n",
    "idle 1800003600\n" + "1800000000 match -\n" * 3 + "[{'n': 1}]\norg.phonecheck.Error.UnknownCheck\n",
]
HOPS = '{"outcome": "match", "match": true, "hops": [{"n": 1}]}'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each command and what the page shows of its output."""
    (shell,) = blocks("console")
    found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", shell, re.MULTILINE)
    assert len(found) == shell.count("$ busctl")
    return found


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[ServiceBus]:
    last = result(id=ID, document=HOPS)
    calls = FakeCalls(id=ID, checks={ID: {"state": "done", **last}}, last=last)
    with a_bus(tmp_path) as made, a_loop() as loop, an_api(made.address, loop, calls) as api:
        record = Record(ID, "request", 1.8e9, {"outcome": "match", "match": True})
        calls.verified = lambda: loop.later(0.05, lambda: api.check_completed(record))
        yield made


def run(arguments: list[str], bus: ServiceBus) -> str:
    environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "SYSTEMD_COLORS": "0"}
    done = subprocess.run(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


@pytest.mark.dbus
@pytest.mark.skipif(not shutil.which("busctl"), reason="busctl (package systemd) is not installed")
@pytest.mark.parametrize(("command", "shown"), commands())
def test_a_command_shows_what_the_page_says(bus, command, shown):
    said = run(["sh", "-c", command], bus)
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    assert re.fullmatch(pattern, said, re.DOTALL), said


@pytest.mark.dbus
@pytest.mark.parametrize(
    ("program", "shown"),
    [*zip(blocks("python"), PRINTED, strict=True)],
)
def test_a_program_does_what_it_should(bus, program, shown):
    assert run([sys.executable, "-W", "ignore", "-c", program], bus) == shown


def test_the_page_names_all_there_is():
    named = set(re.findall(r"`(\w+)", PAGE))
    assert set(re.findall(r'<(?:method|signal|property) name="(\w+)"', interface_xml())) <= named
    assert set(TYPES) <= named
