"""The promise: the chain and its DNS leave by wwan0, and by nothing else, whatever happens on the way."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from phonecheck_sandbox import world

NUMBER = f"+{world.SUBSCRIBER.msisdn}"
PRIVATE = ("platform", "mno", "carrier-dns")
LAB = f"https://{world.LAB_HOST}"

# The recipe of a dozen answers to "how do I send a request over interface X": right in name, and too late (after connect).
HTTPX_RECIPE = """
import httpx, socket, sys
options = [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wwan0")]
try:
    httpx.Client(transport=httpx.HTTPTransport(socket_options=options), timeout=2, trust_env=False).get(sys.argv[1])
except httpx.HTTPError as error:
    print(type(error).__name__)
"""


def leaked(packets: dict[str, dict[str, int]]) -> dict[str, int]:
    return {name: count for name, count in packets["lan0"].items() if count and name in PRIVATE}


def test_the_obvious_httpx_recipe_leaks_and_the_agent_does_not(start_device: Any) -> None:
    """In a sandbox of its own: the recipe's connection is left half open at the platform, which closes it after 60 s, the
    time that asyncio's servers give a TLS handshake, and the reset that answers it leaves by lan0 in the middle of
    another test.
    """
    with start_device() as device:
        device.run(sys.executable, "-c", HTTPX_RECIPE, f"https://{world.PLATFORM_HOST}/")
        assert leaked(device.packets())["platform"] > 0, "this test cannot see leaks"
        device.packets(reset=True)
        assert device.verify().status == 0
        packets = device.packets()
        assert not leaked(packets)
        assert all(packets["wwan0"][name] > 0 for name in PRIVATE)


@pytest.mark.parametrize(
    "conditions",
    [
        {"platform_status": 412},
        {"platform_status": 500},
        {"mno_status": 503},
        {"mno_loop": True},
        {"mno_extra_hops": 6},
        {"dns_fault": "silent"},
        {"dns_fault": "nxdomain"},
        {"dns_fault": "servfail"},
        {"dns_fault": "truncated"},
        {"dns_fault": "spoofed"},
        {"radio_dead": True},
        {"app_fault": "finish-500"},
    ],
    ids=str,
)
def test_no_error_of_a_check_leaks(device: Any, settings: Any, conditions: dict[str, object]) -> None:
    device.set(**conditions)
    device.verify(NUMBER, env=settings("[chain]\nhop_timeout = 1.5\n"))
    assert not leaked(device.packets())


@pytest.mark.parametrize(
    ("url", "conditions"),
    [
        (f"{LAB}/redirects/3", {}),
        (f"{LAB}/downgrade", {}),
        (f"{LAB}/reset", {}),
        (f"{LAB}/location?to=https%3A%2F%2F192.168.8.1%2F", {}),
        (f"{LAB}/location?to=http%3A%2F%2F127.0.0.1%2F", {}),
        ("https://192.168.8.1/", {}),
        ("https://127.0.0.1/", {}),
        ("https://nowhere.mno.example/", {}),
        (f"https://{world.EXPIRED_HOST}/", {}),
        (f"https://{world.TLS13_RESET_HOST}/json", {}),
        (f"{LAB}/json", {"dns_fault": "silent"}),
        (f"{LAB}/json", {"dns_fault": "rebind-lan"}),
        (f"{LAB}/json", {"radio_dead": True}),
    ],
    ids=str,
)
def test_without_an_app_server_nothing_at_all_leaves_by_the_lan(
    device: Any, url: str, conditions: dict[str, object]
) -> None:
    device.set(**conditions)
    device.open(url, "--timeout", "3")
    packets = device.packets()
    assert not any(packets["lan0"].values()), packets["lan0"]


@pytest.mark.parametrize("path", ["/oversize", "/endless-body", "/header-flood", "/hang", "/reset", "/close", "/json"])
def test_nor_does_the_kernel_answer_by_the_lan_for_a_connection_that_was_given_up(device: Any, path: str) -> None:
    """At 60 ms, much is on its way when the agent has heard enough; a socket closed then left 52 resets by lan0."""
    device.set(radio_rtt=60)
    device.open(f"{LAB}{path}", "--timeout", "3")
    # What is still on its way to the device has arrived after one more round trip.
    time.sleep(0.2)
    packets = device.packets()
    assert not any(packets["lan0"].values()), packets["lan0"]


def test_the_app_server_too_can_be_reached_over_the_modem_alone(device: Any, settings: Any) -> None:
    assert device.verify(env=settings("", server='over = "modem"')).status == 0
    packets = device.packets()
    assert not any(packets["lan0"].values()), packets["lan0"]
    assert packets["wwan0"]["app-server"] > 0


def test_a_process_without_any_capability_binds_as_well(device: Any) -> None:
    done = device.run(
        "setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "phonecheck", "verify", NUMBER
    )
    assert done.returncode == 0, done.stderr
    assert not leaked(device.packets())


def test_a_proxy_in_the_environment_does_not_take_the_chain(device: Any) -> None:
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    assert device.phonecheck("open", f"{LAB}/redirects/1", env=proxy).status == 0


@pytest.mark.parametrize("seconds", ["0.35", "0.5"])
@pytest.mark.parametrize(("signal", "status"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_a_command_that_is_ended_in_the_middle_does_not_leak(
    device: Any, signal: str, status: int, seconds: str
) -> None:
    """Wherever it strikes, connections are under way: without a process that sees them off, each time leaked resets."""
    device.set(radio_rtt=60)
    ended = device.run("timeout", "--preserve-status", "-s", signal, seconds, "phonecheck", "verify", NUMBER, "--json")
    assert (ended.returncode % 256, ended.stdout) == (status, "")
    assert "Traceback" not in ended.stderr
    time.sleep(0.4)  # what the peers had on their way has come in by then, and was answered
