"""A report of a device whose operator no longer registers it, and a Chromium to look at it with."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck.doctor.rungs import RUNGS
from phonecheck.report.contents import compose, history
from phonecheck.report.scrub import Surroundings

NOW = dt.datetime(2026, 11, 24, 3, 33, 46, tzinfo=dt.UTC)
FIRST = dt.datetime(2026, 11, 12, 6, 0, tzinfo=dt.UTC)

ERROR = {
    "code": "not-registered",
    "message": "The network does not register the SIM: registration denied.",
    "hint": "Check antenna, coverage and subscription, then wait for the registration.",
    "retryable": True,
    "retry_after": None,
    "exit_status": 4,
}


FOUND: dict[str, dict[str, Any]] = {
    "kernel": {"words": "Linux 6.12, anyone may bind; CAP_NET_ADMIN: no", "facts": {"release": "6.12.47+rpt-rpi-v8"}},
    "clock": {"words": "2026-11-24 03:33 UTC, synchronised"},
    "bus": {"words": "answers"},
    "polkit": {
        "state": "unseen",
        "words": "no polkit answers on this device",
        "command": "pkcheck --action-id org.freedesktop.ModemManager1.Device.Control --process $$",
    },
    "modem-manager": {"words": "ModemManager 1.24.0"},
    "modem": {"words": "Quectel EC25, enabled", "facts": {"manufacturer": "Quectel", "model": "EC25", "imei": "…0017"}},
    "sim": {"words": "ICCID …8909, Example Mobile, unlocked"},
    "registration": {
        "state": "failed",
        "error": ERROR,
        "command": "mmcli -m any --3gpp-scan --timeout=300",
        "facts": {"registration": "denied", "operator_code": "00101", "roaming": False},
        "ms": 31.8,
    },
    "captive": {"state": "idle", "words": "not looked at: it costs traffic"},
    "server": {"words": "app.customer.example takes this device", "ms": 41.5},
    "service": {"words": "waiting; last: inconclusive, 33 min ago"},
    "outbox": {"words": "7 wait since 3 h"},
}


def rung(slug: str, title: str) -> dict[str, Any]:
    plain = {"words": "", "because": None, "command": None, "ms": 3.2, "facts": {}, "error": None}
    found = FOUND.get(slug, {"state": "hidden", "because": "registration", "ms": 0.0})
    return {"slug": slug, "title": title, "state": "well", **plain, **found}


DIAGNOSIS = {
    "schema": 1,
    "well": False,
    "cause": "registration",
    "ms": 1840.2,
    "traffic": 4312,
    "rungs": [rung(known.slug, known.title) for known in RUNGS],
    "error": ERROR,
}

MODEM = {
    "id": "iccid:…8909",
    "operator": "Example Mobile",
    "operator_code": "00101",
    "registration": "denied",
    "technology": "lte",
    "signal": 58,
    "device": "/sys/devices/platform/soc/3f980000.usb/usb1/1-1/1-1.3",
    "manufacturer": "Quectel",
    "model": "EC25",
    "imei": "…0017",
    "state": "enabled",
    "failed_reason": "none",
    "lock": "none",
    "retries": {"sim-pin": 3, "sim-puk": 10},
    "packet_service": "detached",
    "own_numbers": ["…0123"],
    "sim": {"iccid": "…8909", "imsi": "…4321", "operator": "Example Mobile", "operator_code": "00101"},
    "bearers": [
        {
            "interface": "wwan0",
            "connected": False,
            "suspended": False,
            "default": True,
            "apn": "iot.example",
            "ip4": {"method": "static", "address": None, "gateway": None, "dns": [], "mtu": None},
            "ip6": None,
            "connection_error": None,
        }
    ],
}


def hop(n: int, host: str, status: int | None, **ms: float) -> dict[str, Any]:
    return {
        "n": n,
        "url": f"https://{host}/v0.2/…?…",
        "status": status,
        "peer": f"203.0.113.{n}" if status else None,
        "bound_to": "wwan0" if status else None,
        "source": "10.64.0.2" if status else None,
        "dns_server": "10.64.1.53" if "dns" in ms else None,
        "cleartext": host.startswith("header"),
        "reused": "connect" not in ms and status is not None,
        "tls": None if host.startswith("header") or not status else "TLSv1.3",
        "trace_ids": {"traceparent-id": "4bf92f3577b34da6a3ce929d0e0e4736"}
        if host.startswith("mno") and status
        else {},
        "ms": ms,
    }


def check(n: int, at: str, outcome: str, ms: float, signal: int | None, code: str | None = None) -> dict[str, Any]:
    error = None
    hops = [
        hop(1, "eu.api.tru.id", 302, dns=42.0, connect=61.2, tls=63.0, first_byte=70.1, total=236.3),
        hop(2, "mno.example", 302, dns=40.5, connect=58.0, tls=61.1, first_byte=92.4, total=252.0),
        hop(3, "header-enrichment.mno.example", 302, connect=57.7, first_byte=121.0, total=178.7),
        hop(4, "eu.api.tru.id", 200, first_byte=66.6, total=67.0),
    ]
    if code:
        error = {**ERROR, "code": code, "message": "The hop to mno.example had no answer in 5 s."}
        hops = [hops[0], hop(2, "mno.example", None, dns=40.5, total=5000.0)]
    return {
        "id": f"{n:032x}",
        "trigger": "schedule" if n % 4 else "retry",
        "at": at,
        "exit_status": 6 if code else 0,
        "result": {
            "schema": 1,
            "outcome": outcome,
            "match": {"match": True, "no_match": False}.get(outcome),
            "check_id": "c69bc0e6-a429-11ea-bb37-0242ac130002",
            "phone_number": "…0123",
            "modem": {"operator": "Example Mobile", "operator_code": "00101", "technology": "lte", "signal": signal},
            "link": {"interface": "wwan0", "family": 4, "source": "10.64.0.2", "dns": ["10.64.1.53"]},
            "hops": hops,
            "http_status": None if code else 200,
            "ms": ms,
            "error": error,
        },
    }


def checks() -> list[dict[str, Any]]:
    """The newest first, as the service tells them: good days, a bad one, and the end of it."""
    made = []
    for n in range(96):
        at = f"{FIRST + dt.timedelta(hours=3 * n):%Y-%m-%dT%H:%M:%SZ}"
        signal = 74 - (n % 7) * 2 - (26 if 50 < n < 60 else 0) - n // 6
        if n > 88 or n in (53, 54, 57):
            made.append(check(n, at, "inconclusive", 5200.0 + 190 * (n % 5), signal, "hop-timeout"))
        elif n == 31:
            made.append(check(n, at, "no_match", 801.0, signal))
        else:
            made.append(check(n, at, "match", 610.0 + (n * 37) % 260, signal))
    return list(reversed(made))


LINK = {
    "schema": 1,
    "link": {
        "interface": "wwan0",
        "addresses": ["10.64.0.2/30"],
        "gateways": ["10.64.0.1"],
        "dns": ["10.64.1.53"],
        "mtu": 1430,
    },
    "lacks": [],
    "ours": [],
    "error": None,
}
SERVICE = {
    "state": "waiting",
    "version": "0.1.0",
    "next_run": "2026-11-24T06:20:00Z",
    "outbox": 7,
    "dropped": 0,
    "problem": None,
}
VERSIONS = {
    "phonecheck": "0.1.0",
    "Python": "3.13.5",
    "kernel": "6.12.47+rpt-rpi-v8",
    "machine": "aarch64",
    "board": "Raspberry Pi Zero 2 W Rev 1.0",
    "distribution": "Debian GNU/Linux 13 (trixie)",
    "ModemManager": "1.24.0",
    "NetworkManager": None,
    "systemd": "257",
    "httpx": "0.28.1",
}
LOG = [
    {"at": "2026-11-24T00:00:01Z", "level": "info", "text": "check begun: schedule"},
    {"at": "2026-11-24T00:00:07Z", "level": "warning", "text": "inconclusive: hop-timeout; again in 5 min"},
    {"at": "2026-11-24T03:00:07Z", "level": "error", "text": "</script><b>a hostile line</b> & its \u202e end"},
]


@pytest.fixture
def sources() -> dict[str, Callable[[], Any]]:
    """Where the parts of a report come from, all of them there."""
    from phonecheck.config import Settings
    from phonecheck.report.settings import in_force

    return {
        "diagnosis": lambda: json.loads(json.dumps(DIAGNOSIS)),
        "modem": lambda: MODEM,
        "link": lambda: LINK,
        "service": lambda: SERVICE,
        "history": lambda: history(checks()),
        "versions": lambda: VERSIONS,
        "configuration": lambda: in_force(Settings()),
        "log": lambda: LOG,
    }


@pytest.fixture
def report(sources: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    return compose(sources, Surroundings(), NOW)


SECONDS = 60.0
"""For Chromium to do anything at all; machines are slow at times."""


class Browser:
    """A headless Chromium, spoken to over a pipe (its DevTools protocol, NUL between messages)."""

    def __init__(self, program: str, directory: Path) -> None:
        ours, theirs = os.pipe()
        answers, say = os.pipe()
        # The protocol's descriptors are 3 and 4 by definition.
        command = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                command,
                "bash",
                str(ours),
                str(say),
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
                "--hide-scrollbars",
                f"--user-data-dir={directory}",
                "about:blank",
            ],
            pass_fds=(ours, say),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours)
        os.close(say)
        self._ask, self._answers, self._read = os.fdopen(theirs, "wb", buffering=0), answers, b""
        self._n = 0
        self.events: list[dict[str, Any]] = []
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._n += 1
        message = {"id": self._n, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._ask.write(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._n:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer.get("result", {})

    def open(self, file: Path, *, width: int = 1200, dark: bool = False) -> None:
        """Lay a file open, and wait until it is."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self.ask("Page.navigate", url=file.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, *, whole: bool = True) -> bytes:
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def printed(self) -> bytes:
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True)["data"])

    def close(self) -> None:
        self._ask.close()
        os.close(self._answers)
        self._process.terminate()
        self._process.wait(20)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            assert select.select([self._answers], [], [], SECONDS)[0], "Chromium does not answer"
            more = os.read(self._answers, 1 << 20)
            assert more, "Chromium has ended"
            self._read += more
        raw, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message


# Not the session's: the tests of the service wait for every process that is a child of theirs.
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium to look at the page with: ./scripts/setup system")
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
