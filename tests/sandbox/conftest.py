"""One sandbox for the whole session, ordinary before each test, and a way to run the agent in it that sees every leak."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phonecheck_sandbox import namespaces, secret, world
from phonecheck_sandbox.box import Box

NUMBER = f"+{world.SUBSCRIBER.msisdn}"
OTHER_NUMBER = f"+{world.OTHER_SUBSCRIBER.msisdn}"

SECRETS = (
    *(
        getattr(s, name)
        for s in (world.SUBSCRIBER, world.OTHER_SUBSCRIBER)
        for name in ("msisdn", "imsi", "iccid", "imei")
    ),
    world.SERVER_TOKEN,
    world.CLIENT_SECRET,
    # Every token, code, cookie and state that the sandbox makes begins so.
    secret.MARK,
)

PRIVATE = ("platform", "mno", "carrier-dns")
"""Where the chain and its DNS lead."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    reason = namespaces.unavailable()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.sandbox)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Answer:
    """What the agent said in one run; ``json`` is empty where it printed none."""

    status: int
    stdout: str
    stderr: str
    json: dict[str, Any]

    @property
    def code(self) -> str | None:
        """The error's code, None on success."""
        error = self.json.get("error")
        return error["code"] if error else None


class Device:
    """The device of a sandbox."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def run(
        self, *words: object, env: dict[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return self.box.exec([str(word) for word in words], env=env, timeout=timeout)

    def phonecheck(self, *words: object, env: dict[str, str] | None = None) -> Answer:
        """Run the agent with its log at its loudest, and hold all that it prints against every secret there is."""
        done = self.run("phonecheck", *words, "--json", "-v", env=env)
        text = done.stdout + done.stderr
        assert "Traceback" not in text, text
        hold_against_secrets(text)
        self.assert_no_leak()
        return Answer(done.returncode, done.stdout, done.stderr, json.loads(done.stdout))

    def verify(self, number: str = NUMBER, *words: object, env: dict[str, str] | None = None) -> Answer:
        return self.phonecheck("verify", number, *words, env=env)

    def open(self, url: str, *words: object) -> Answer:
        return self.phonecheck("open", url, *words)

    def set(self, **conditions: object) -> None:
        if conditions:
            self.box.ctl("set", *(f"{key}={value}" for key, value in conditions.items()))

    def assert_no_leak(self) -> None:
        """Nothing for the platform, the operator or its DNS has left by the LAN since the counters were at zero."""
        lan0 = self.packets()["lan0"]
        assert not any(lan0[to] for to in PRIVATE), lan0

    def packets(self, *, reset: bool = False) -> dict[str, dict[str, int]]:
        """Packets that left, by interface and destination."""
        counters: dict[str, dict[str, int]] = self.box.ctl("counters", *(["reset"] if reset else []))["counters"]
        return counters


def hold_against_secrets(text: str) -> None:
    """Fail where a text shows a secret, an identity or a URL's query."""
    for hidden in SECRETS:
        assert hidden not in text, f"a secret is shown: …{hidden[-4:]}"
    query = re.search(r"\?(?!…)[\w.~%-]+=", text)
    assert query is None, f"a query is shown: {query}"


@pytest.fixture(scope="session")
def assert_redacted() -> Callable[[str], None]:
    return hold_against_secrets


@pytest.fixture(scope="session")
def shared_device() -> Iterator[Device]:
    with Box() as box:
        yield Device(box)


@pytest.fixture
def device(shared_device: Device) -> Iterator[Device]:
    """The session's device, everything ordinary, the counters at zero; held to the promise when the test is over."""
    shared_device.box.ctl("reset")
    shared_device.packets(reset=True)
    yield shared_device
    # By now, what the kernel had to say for connections that were given up has been said.
    shared_device.assert_no_leak()


@pytest.fixture
def settings(device: Device, tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Makes a settings file of the device's own and more lines; gives the environment that names it."""

    def write(more: str, *, protocol: str = "v0.2", server: str = "") -> dict[str, str]:
        text = device.run("sh", "-c", "cat $PHONECHECK_CONFIG").stdout
        text = text.replace('protocol = "v0.2"', f'protocol = "{protocol}"\n{server}')
        file = tmp_path / "agent.toml"
        # A table that is there already cannot be opened again.
        for part in re.split(r"^(?=\[)", more, flags=re.MULTILINE):
            table = part.partition("\n")[0]
            text = text.replace(table, part, 1) if part and table in text else f"{text}\n{part}"
        file.write_text(text)
        return {"PHONECHECK_CONFIG": str(file)}

    return write


@pytest.fixture(scope="session")
def start_device() -> Callable[..., Any]:
    """Starts a sandbox of a test's own: ``with start_device("--modems", "2") as device``."""

    @contextmanager
    def start(*options: str) -> Iterator[Device]:
        with Box(*options) as box:
            yield Device(box)

    return start
