"""A device for the tests of the service's store: a state directory, two clocks and a log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from phonecheck.model import PhoneNumber
from phonecheck.service.model import Request
from phonecheck.service.store import Limits, Store

NOW = 1_800_000_000.0
NUMBER = PhoneNumber("447700900123")
DOCUMENT = {"schema": 1, "outcome": "match", "match": True, "hops": [], "error": None}


class Device:
    """A device with a state directory, two clocks and a log."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self.time = NOW
        self.uptime = 100.0
        self.boot_id = "boot-1"
        self.said: list[str] = []
        self.warned: list[str] = []
        self.stores: list[Store] = []

    def store(self, limits: Limits | None = None) -> Store:
        store = Store(
            self.directory,
            wall=lambda: self.time,
            boot=lambda: self.uptime,
            boot_id=self.boot_id,
            say=self.say,
            limits=limits,
        )
        self.stores.append(store)
        return store

    def say(self, level: int, sentence: str) -> None:
        self.said.append(sentence)
        if level >= logging.WARNING:
            self.warned.append(sentence)

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        self.uptime += seconds

    def reboot(self, *, at: float) -> None:
        self.time, self.uptime = at, 5.0
        self.boot_id = f"boot-{len(self.stores) + 1}"


def make(store: Store, *, report: bool = True, **changed: Any) -> str:
    """Have a check made; its id."""
    request = Request("schedule")
    store.accept(request)
    store.begin(request.id)
    store.complete(request.id, {**DOCUMENT, **changed}, report=report)
    return request.id
