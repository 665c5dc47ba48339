"""One machine for all tests of this directory; skipped where not ./scripts/system-test machine runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.machine.device import Device
from system.machine.virtual_machine import VirtualMachine

IMAGE = os.environ.get("PHONECHECK_MACHINE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = os.environ.get("PHONECHECK_MACHINE_REFUSED", "run ./scripts/system-test machine")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("machine")
            if not IMAGE:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def booted() -> Iterator[Device]:
    """The device as it comes out of its boot, whatever it does at the time."""
    with VirtualMachine(Path(IMAGE or ""), os.environ["PHONECHECK_MACHINE_ARCH"]) as machine:
        yield Device(machine)


@pytest.fixture
def device(booted: Device) -> Device:
    """The same at rest, before each test."""
    booted.at_rest()
    return booted
