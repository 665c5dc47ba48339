"""Every scenario, human output and log at its loudest: nobody's identity and no secret in any of it."""

from __future__ import annotations

from typing import Any

import pytest

from phonecheck_sandbox import secret, world
from phonecheck_sandbox.scenarios import SCENARIOS

NUMBER = f"+{world.SUBSCRIBER.msisdn}"


@pytest.fixture
def say(device: Any, assert_redacted: Any) -> Any:
    """Runs the agent for a person, its log at its loudest, and returns all that it said, which holds no secret."""

    def run(*words: str, **options: Any) -> str:
        done = device.run("phonecheck", *words, "-v", **options)
        text: str = done.stdout + done.stderr
        assert_redacted(text)
        assert "Traceback" not in text
        return text

    return run


@pytest.mark.parametrize("scenario", [n for n, s in SCENARIOS.items() if n != "bad-radio" and not (s.plan or s.acts)])
@pytest.mark.parametrize(
    "words", [("verify", NUMBER, "--timeout", "8"), ("verify", NUMBER, "--timeout", "8", "--json")]
)
def test_every_scenario_is_redacted(device: Any, say: Any, scenario: str, words: tuple[str, ...]) -> None:
    device.box.ctl("scenario", scenario)
    assert "…0123" in say(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("modem", "list"),
        ("modem", "show"),
        ("modem", "show", "--json"),
        ("modem", "show", f"iccid:{world.OTHER_SUBSCRIBER.iccid}"),
        ("verify", NUMBER + "0000000"),
        ("verify", "not-a-number-447700900123"),
        ("verify", NUMBER, "--server", f"http://app.example/?token={secret.MARK}"),
        ("open", f"https://{world.LAB_HOST}/json?token={secret.MARK}"),
        ("open", f"https://{world.LAB_HOST}/{world.SUBSCRIBER.msisdn}"),
        ("open", f"https://{world.SUBSCRIBER.msisdn}:{secret.MARK}@{world.LAB_HOST}/"),
        ("open", f"https://{world.LAB_HOST}/location?to=https%3A%2F%2F{world.SUBSCRIBER.msisdn}.example%2F%3Fa%3Db"),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_what_a_user_or_a_hop_gives_is_not_repeated(say: Any, words: tuple[str, ...]) -> None:
    say(*words)


def test_the_test_can_fail(assert_redacted: Any) -> None:
    for text in (f"token {secret.MARK}abc", world.SUBSCRIBER.imsi, "GET /return?token=abc"):
        with pytest.raises(AssertionError):
            assert_redacted(text)
