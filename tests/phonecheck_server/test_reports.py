"""Reports at the app server: who may, what is one, and that each counts once."""

from __future__ import annotations

import json
import logging

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.redact import Secret
from phonecheck_server.app import create_app
from phonecheck_server.devices import Devices
from phonecheck_server.problems import ProblemError
from phonecheck_server.reports import Report, Seen, parse_report
from phonecheck_server.settings import Settings

METER, OTHER = "meter-token-0123456789", "other-token-0123456789"
KEY = "0123456789abcdef0123456789abcdef"
MATCH = {"schema": 1, "outcome": "match", "match": True, "phone_number": "…0123", "hops": [], "error": None}
FAILED = {**MATCH, "outcome": "inconclusive", "match": None, "error": {"code": "hop-timeout", "message": "Late."}}


def body(key: str = KEY, document: object = MATCH, **changes: object) -> dict[str, object]:
    return {"report": key, "trigger": "start", "at": "2026-01-02T03:04:05Z", "outcome": document, **changes}


class Store:
    """Keeps everything, as one with a database would."""

    def __init__(self) -> None:
        self.taken: list[Report] = []

    def __len__(self) -> int:
        return len(self.taken)  # so it is false while it is empty

    async def take(self, report: Report) -> bool:
        self.taken.append(report)
        return sum((r.device, r.id) == (report.device, report.id) for r in self.taken) == 1


class Rig:
    def __init__(self, store: Store | None = None) -> None:
        settings = Settings(
            platform_url="https://api.example",
            client_id="project",
            client_secret=Secret("the-client-secret"),
            devices=Devices({METER: "meter", OTHER: "other"}),
        )
        self.app = create_app(settings, reports=store)

    async def post(
        self, content: object, *, key: str | None = KEY, token: str | None = METER, version: str = "v0.2"
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as device:
            return await device.post(f"/{version}/phone-check/report", content=raw, headers=headers)


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["v0.1", "v0.2"])
async def test_a_report_is_created_once_and_welcome_ever_after(version: str) -> None:
    rig = Rig()
    answers = [await rig.post(body(), version=version) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert answers[0].json() == answers[2].json() == {"report": KEY}


@pytest.mark.anyio
async def test_a_key_is_the_devices_own() -> None:
    rig = Rig()
    assert (await rig.post(body())).status_code == 201
    assert (await rig.post(body(), token=OTHER)).status_code == 201


@pytest.mark.anyio
async def test_a_store_behind_it_gets_the_whole_report_with_the_device_it_came_from() -> None:
    store = Store()
    rig = Rig(store)
    await rig.post(body(document=FAILED, at=None), key=f'"{KEY}"')
    assert store.taken == [Report("meter", KEY, "start", None, "inconclusive", "hop-timeout", FAILED)]
    assert (await rig.post(body(document=FAILED))).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("token", [None, "thief-token-0123456789"])
async def test_a_stranger_reports_nothing(token: str | None) -> None:
    store = Store()
    assert (await Rig(store).post(body(), token=token)).status_code == 401
    assert store.taken == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "key", "status"),
    [
        (b"", KEY, 400),
        (b"[]", KEY, 400),
        (b"{", KEY, 400),
        (b"[" * 60_000, KEY, 400),
        (b'{"x": "' + b"x" * 65_536 + b'"}', KEY, 413),
        (body(), None, 400),
        (body(), "another", 400),
        (body("a b"), "a b", 400),
        (body("x" * 65), "x" * 65, 400),
        (body(trigger=None), KEY, 400),
        (body(trigger="A sentence."), KEY, 400),
        (body(at=1), KEY, 400),
        (body(at="x" * 41), KEY, 400),
        (body(document=None), KEY, 400),
        (body(document={"outcome": "maybe"}), KEY, 400),
        (body(document={"outcome": ["match"]}), KEY, 400),
        (body(document={"outcome": "match", "error": "late"}), KEY, 400),
        (body(document={"outcome": "match", "error": {"code": "Late!\nmeter"}}), KEY, 400),
    ],
)
async def test_what_is_no_report_is_refused_and_not_kept(content: object, key: str | None, status: int) -> None:
    store = Store()
    assert (await Rig(store).post(content, key=key)).status_code == status
    assert store.taken == []


@pytest.mark.anyio
async def test_the_log_has_a_line_of_each_report_and_nothing_else_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "phonecheck_server")
    rig = Rig()
    for _ in range(2):
        await rig.post(body(document=FAILED))
    await rig.post(body("other"), key="other")
    said = [r.getMessage() for r in caplog.records if r.name == "phonecheck_server" and " reports " in r.getMessage()]
    assert said == ["meter reports inconclusive, hop-timeout", "meter reports match"]
    assert not any(hidden in caplog.text for hidden in ("0123", "Late.", METER))


def report(device: str, key: str) -> Report:
    return Report(device, key, "start", None, "match", None, {})


@pytest.mark.anyio
async def test_one_device_cannot_have_anothers_reports_forgotten() -> None:
    seen = Seen(share=3, limit=100)
    assert await seen.take(report("quiet", "a"))
    for n in range(1000):
        assert await seen.take(report("loud", str(n)))
    assert len(seen) == 4
    assert not await seen.take(report("quiet", "a"))
    assert not await seen.take(report("loud", "999"))
    assert await seen.take(report("loud", "0"))


@pytest.mark.anyio
async def test_the_oldest_of_all_is_forgotten_where_there_is_no_room() -> None:
    seen = Seen(share=3, limit=5)
    for n in range(20):
        assert await seen.take(report(f"device {n}", "a"))
        assert await seen.take(report(f"device {n}", "b"))
    assert len(seen) == 5
    assert not await seen.take(report("device 19", "a"))
    assert await seen.take(report("device 0", "a"))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.sampled_from(["match", "start", KEY]),
    lambda inner: st.dictionaries(st.sampled_from(["outcome", "error", "code"]), inner) | st.lists(inner, max_size=2),
    max_leaves=5,
)


@given(st.none() | st.just(KEY), st.dictionaries(st.sampled_from(["report", "trigger", "at", "outcome"]), ANYTHING))
def test_any_body_is_a_report_or_a_400(key: str | None, values: dict[str, object]) -> None:
    try:
        found = parse_report("meter", key, values)
    except ProblemError as problem:
        outcome, status = "inconclusive", problem.status
    else:
        outcome, status = found.outcome, 400
    assert (outcome in ("match", "no_match", "inconclusive"), status) == (True, 400)
