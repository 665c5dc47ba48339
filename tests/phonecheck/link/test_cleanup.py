"""What several runs set up and leave behind, in network namespaces: who removes it, and what stays."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = pytest.mark.netns

SERVER = "203.0.113.1"
OWN, LINK, GATEWAY = ["10.64.0.2"], ["10.64.0.2/30"], ["10.64.0.1"]
BARE = ("ip addr flush dev wwan0", "ip link set wwan0 down")
SETUP = {"addresses": LINK, "gateways": GATEWAY, "mtu": 1430}


@pytest.fixture
def runs(lab):
    """Start further processes on the device; what is left of them ends with the test."""
    started = []

    def start():
        started.append(lab.another())
        return started[-1]

    yield start
    for node in started:
        node.close()


def kill(node):
    os.kill(node.pid, signal.SIGKILL)
    node.wait()


def second_modem(lab):
    lab("ip link add wwan1 type veth peer name p1", f"ip link set p1 netns {lab.peer.pid}")
    lab.peer("commands", lines=["ip addr add 10.65.0.1/30 dev p1", "ip link set p1 up"])
    return {"addresses": ["10.65.0.2/30"], "gateways": ["10.65.0.1"], "interface": "wwan1"}


def table(lab, name="wwan0"):
    return 112000 + lab.device("device", name=name)["index"]


def test_two_runs_on_two_modems(lab, runs):
    lab(*BARE)
    other, one, two = second_modem(lab), runs(), runs()
    before = lab.device("state")
    one("make_ready", **SETUP)
    only_one = lab.device("state")
    two("make_ready", **other)
    assert one("connect", peer=SERVER, sources=OWN)["seen"] == OWN[0]
    assert two("connect", peer=SERVER, sources=["10.65.0.2"], interface="wwan1")["seen"] == "10.65.0.2"
    assert lab.device("cleanup") == []
    two("take_back")
    assert lab.device("state") == only_one
    assert one("connect", peer=SERVER, sources=OWN)["seen"] == OWN[0]
    one("take_back")
    assert lab.device("state") == before


@pytest.mark.parametrize("end", ["take_back", "kill"])
def test_two_runs_on_one_modem(lab, runs, end):
    lab(*BARE)
    first, second = runs(), runs()
    before = lab.device("state")
    assert first("make_ready", **SETUP)["configured"]
    shared = lab.device("state")
    assert second("make_ready", **SETUP) | {"pyroute2": 0} == first("make_ready", **SETUP) | {"pyroute2": 0}
    kill(first) if end == "kill" else first("take_back")
    assert lab.device("state") == shared
    assert lab.device("cleanup") == []
    assert second("connect", peer=SERVER, sources=OWN)["seen"] == OWN[0]
    second("take_back")
    assert lab.device("state") == before


def test_many_at_once(lab, runs):
    """They end in any order; none has the link taken from under it, and the last one leaves nothing."""
    lab(*BARE)
    before = lab.device("state")
    crowd = [runs() for _ in range(4)]
    for node in crowd:
        node.tell("rounds", count=5, peer=SERVER, **SETUP)
    assert [node.hear()["result"] for node in crowd] == [5] * 4
    assert lab.device("state") == before


def test_after_a_kill(lab, runs):
    lab(*BARE, "ip link set wwan0 alias slot-2")
    before = lab.device("state")
    killed = runs()
    killed("make_ready", **SETUP)
    kill(killed)
    left = lab.device("ours")
    assert len(left) == 4
    assert lab.device("cleanup") == left
    assert lab.device("state") == before
    assert lab.device("cleanup") == []


def test_after_a_kill_the_next_run_clears_away_first(lab, runs):
    """The killed run's bearer had another address."""
    lab(*BARE)
    before = lab.device("state")
    killed = runs()
    killed("make_ready", addresses=["10.64.0.6/30"])
    kill(killed)
    lab.device("make_ready", **SETUP)
    assert not any("10.64.0.6" in words for words in lab.device("ours"))
    lab.device("take_back")
    assert lab.device("state") == before


def test_after_a_kill_a_run_without_rights_uses_what_is_there(lab, runs):
    lab(*BARE)
    killed, nobody = runs(), runs()
    killed("make_ready", **SETUP)
    kill(killed)
    nobody("drop_rights")
    failure = nobody.fails("cleanup")
    assert (failure.code, failure.hint) == ("bind-refused", "Run it as root: phonecheck link cleanup.")
    assert nobody("make_ready", **SETUP)["configured"]
    assert lab.device("cleanup") == []  # somebody uses it
    nobody("take_back")
    assert len(lab.device("cleanup")) == 4


def test_only_ours_is_removed(lab, runs):
    lab(*BARE)
    killed = runs()
    killed("make_ready", **SETUP)
    number, theirs = table(lab), ("protocol 113", "protocol static")
    foreign = [
        *(f"ip rule add from 10.64.0.2 lookup {number} priority 90 {protocol}" for protocol in theirs),
        "ip rule add from 10.64.0.9 lookup 77 priority 90 protocol 112",
        f"ip rule add oif wwan0 lookup {number} priority 91 protocol 112",
        f"ip route add 198.51.100.0/24 dev lan0 table {number}",
        f"ip route add 203.0.113.0/24 dev lan0 table {number} proto 112",
        f"ip route add default dev lan0 table {number} metric 5 proto static",
        "ip route add default via 192.168.8.1 dev lan0 metric 9 proto 112",
        "ip -6 rule add from 2001:db8::9 lookup 78 priority 90",
    ]
    lab(*foreign)
    kill(killed)
    assert len(lab.device("cleanup")) == 4
    state = lab.device("state")
    rules = [(r["priority"], r.get("src"), r.get("table"), r.get("protocol")) for r in state["rule4"]]
    assert [rule for rule in rules if rule[0] in (90, 91)] == [
        (90, "10.64.0.2", str(number), "113"),
        (90, "10.64.0.2", str(number), "static"),
        (90, "10.64.0.9", "77", "112"),
        (91, "all", str(number), "112"),
    ]
    kept = [(r["dst"], r.get("metric"), r.get("table")) for r in state["route4"] if r["dev"] == "lan0"]
    assert {("198.51.100.0/24", None, str(number)), ("default", 5, str(number)), ("default", 9, "main")} <= set(kept)
    assert any(r["priority"] == 90 for r in state["rule6"])


def test_whoever_configured_the_device_in_the_meantime_keeps_it_up(lab):
    lab(*BARE)
    lab.device("make_ready", **SETUP)
    lab("ip addr add 10.64.0.9/30 dev wwan0", "ip route add default via 10.64.0.10 dev wwan0 metric 700")
    lab.device("take_back")
    assert lab.device("ours") == []
    assert lab.device("device", name="wwan0")["up"]
    assert lab.device("usable", addresses=["10.64.0.9/30"]) == ["10.64.0.9/30"]


@pytest.mark.parametrize("lines", [["ip link del wwan0"], ["ip link set wwan0 down"], ["ip addr flush dev wwan0"]])
def test_what_is_gone_already_is_no_error(lab, lines):
    lab(*BARE)
    before = lab.device("state")
    lab.device("make_ready", **SETUP)
    lab(*lines)
    lab.device("take_back")
    assert lab.device("ours") == []
    after = lab.device("state")
    assert after["rule4"] == before["rule4"]
    if "del" not in lines[0]:
        assert after == before


def test_a_renamed_device(lab):
    lab(*BARE)
    lab.device("make_ready", **SETUP)
    lab("ip link set wwan0 down", "ip link set wwan0 name wwan9", "ip link set wwan9 up")
    lab.device("take_back")
    assert lab.device("ours") == []
    assert not lab.device("device", name="wwan9")["up"]


def test_a_stranger_who_holds_the_turn(lab, runs):
    """Anyone may bind an abstract name: the link cannot be set up then, and that is said, in time."""
    lab(*BARE)
    stranger = runs()
    stranger("drop_rights")
    stranger("hold", index=lab.device("device", name="wwan0")["index"])
    failure = lab.device.fails("make_ready", **SETUP, seconds=0.3)
    assert (failure.code, "busy with the link" in failure.message) == ("bind-refused", True)
    kill(stranger)
    assert lab.device("make_ready", **SETUP)["configured"]


def test_the_last_to_use_a_link_may_lack_the_right_to_clear_it(lab, runs, capfd):
    """It says so and names the cure, and until then nothing is harmed."""
    lab(*BARE)
    before, nobody = lab.device("state"), runs()
    lab.device("make_ready", **SETUP)
    nobody("drop_rights")
    assert nobody("make_ready", **SETUP)["configured"]
    lab.device("take_back")
    assert nobody("connect", peer=SERVER, sources=OWN)["seen"] == OWN[0]
    nobody("take_back")
    said = capfd.readouterr().err
    assert "is left there" in said
    assert "takes CAP_NET_ADMIN. Run it as root: phonecheck link cleanup." in said
    assert len(lab.device("cleanup")) == 4
    assert lab.device("state") == before
