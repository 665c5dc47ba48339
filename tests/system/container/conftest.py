"""A device for each module of tests, or of a test's own; skipped where not ./scripts/system-test container runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.container.booted import Boot, Device

ROOT = os.environ.get("PHONECHECK_CONTAINER")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = os.environ.get("PHONECHECK_CONTAINER_REFUSED", "run ./scripts/system-test container")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("container")
            if not ROOT:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def boot() -> Boot:
    """Makes devices, to be used in a ``with``."""
    root = Path(ROOT or "")
    cgroups = [Path(place) for place in os.environ["PHONECHECK_CONTAINER_CGROUPS"].split()]
    return lambda prepare=None: Device(root, cgroups, prepare)


@pytest.fixture(scope="module")
def device(boot: Boot) -> Iterator[Device]:
    """One that the tests of a module share, booted, with the sandbox ready around it."""
    with boot() as booted:
        booted.in_the_box()
        yield booted
