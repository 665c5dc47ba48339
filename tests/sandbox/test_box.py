"""The sandbox itself: that it is the world of world.py, and that it comes and goes without a trace."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from phonecheck_sandbox import control, scenarios, world
from phonecheck_sandbox.box import Box
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.namespaces import TUN, unavailable

if reason := unavailable():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.sandbox

SANDBOX = [sys.executable, "-m", "phonecheck_sandbox.cli"]

# Answers each datagram with the address that it came from.
MIRROR = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 9999))
while True:
    _, peer = server.recvfrom(100)
    server.sendto(peer[0].encode(), peer)
"""
# Asks a mirror over an interface, again and again until it answers; prints the answer and the seconds of the last try.
ASK = """
import socket, sys, time
interface, address, tries = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])
for _ in range(tries):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface)
    client.settimeout(0.5)
    begin = time.monotonic()
    try:
        client.connect((address, 9999))
        client.send(b"?")
        print(client.recv(100).decode(), time.monotonic() - begin)
        break
    except OSError as error:
        print(type(error).__name__, file=sys.stderr)
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as running:
        for node, address in (("internet", world.PLATFORM), ("carrier", world.LAB), ("carrier", world.CARRIER_DNS[0])):
            Thread(target=mirror, args=(running, node, address), daemon=True).start()
        yield running


@pytest.fixture(autouse=True)
def ordinary(request: pytest.FixtureRequest) -> None:
    if "box" in request.fixturenames:
        request.getfixturevalue("box").ctl("reset")


def mirror(box: Box, node: str, address: object) -> None:
    with suppress(SandboxError):  # it ends with the sandbox
        box.exec([sys.executable, "-c", MIRROR, str(address)], node=node, timeout=300)


def ask(box: Box, interface: str, address: object, tries: int = 20) -> list[str]:
    """The answer of a mirror and the seconds it took, or nothing."""
    return box.exec([sys.executable, "-c", ASK, interface, str(address), str(tries)]).stdout.split()


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_the_lan_holds_the_default_route_and_the_modem_a_worse_one(box: Box):
    routes = json.loads(box.exec(["ip", "-json", "route", "show", "default"]).stdout)
    assert [(r["dev"], r["metric"]) for r in routes] == [("lan0", 100), ("wwan0", 700)]
    (link,) = json.loads(box.exec(["ip", "-json", "address", "show", "wwan0"]).stdout)
    assert (link["mtu"], link["link_type"]) == (world.WWAN0_MTU, "none")
    assert world.WWAN0.ip.compressed in [address["local"] for address in link["addr_info"]]


def test_the_modem_is_connected_as_modemmanager_sees_it(box: Box):
    modem = json.loads(box.exec(["mmcli", "-m", "any", "--output-json"]).stdout)["modem"]
    assert modem["generic"]["state"] == "connected"
    assert box.ctl("state")["modems"] == [{"interface": "wwan0", "plugged": True, "session": True}]


def test_the_internet_sees_the_routers_and_the_carrier_sees_the_subscriber(box: Box):
    assert ask(box, "lan0", world.PLATFORM)[0] == str(world.LAN_PUBLIC.ip)
    assert ask(box, "wwan0", world.PLATFORM)[0] == str(world.CARRIER_PUBLIC.ip)
    assert ask(box, "wwan0", world.LAB)[0] == str(world.SUBSCRIBER.address)


@pytest.mark.parametrize("address", [world.LAB, world.CARRIER_DNS[0]])
def test_the_carriers_own_network_is_not_reached_from_the_lan(box: Box, address: object):
    assert ask(box, "wwan0", address)
    assert ask(box, "lan0", address, tries=2) == []


def test_names_come_from_the_public_dns_on_the_lan(box: Box):
    assert box.exec(["getent", "ahostsv4", world.APP_SERVER_HOST]).stdout.startswith(str(world.APP_SERVER))
    assert box.exec(["getent", "ahostsv4", world.MNO_START_HOST]).returncode != 0


def test_the_app_server_answers_by_tls_over_the_lan(box: Box):
    words = ["curl", "-sS", "-o", "/dev/null", "-w", "%{local_ip} %{remote_ip}", f"https://{world.APP_SERVER_HOST}/"]
    assert box.exec(words).stdout == f"{world.LAN0.ip} {world.APP_SERVER}"


def test_packets_are_counted_where_they_leave(box: Box):
    box.ctl("counters", "reset")
    ask(box, "lan0", world.PLATFORM)
    ask(box, "wwan0", world.LAB)
    count = box.ctl("counters")["counters"]
    assert count["lan0"]["platform"] == 1
    assert count["wwan0"]["mno"] == 1
    assert count["wwan0"]["platform"] == count["lan0"]["mno"] == count["lan0"]["ipv6"] == 0


def test_the_radio_takes_its_round_trip_time(box: Box):
    box.ctl("set", "radio_rtt=200")
    _, seconds = ask(box, "wwan0", world.LAB)
    assert float(seconds) >= 0.2


def test_a_dead_radio_passes_nothing(box: Box):
    box.ctl("set", "radio_dead=yes")
    assert ask(box, "wwan0", world.LAB, tries=1) == []


def test_a_pulled_modem_takes_its_interface_along_and_brings_a_bare_one_back(box: Box):
    box.ctl("unplug")
    assert box.exec(["ip", "link", "show", "wwan0"]).returncode != 0
    assert "wwan0" not in box.exec(["ls", "/sys/class/net"]).stdout
    box.ctl("plug")
    (link,) = json.loads(box.exec(["ip", "-json", "address", "show", "wwan0"]).stdout)
    assert "UP" not in link["flags"]
    assert link["addr_info"] == []
    box.ctl("connect")
    assert ask(box, "wwan0", world.LAB)


def test_a_dropped_session_sets_the_interface_down(box: Box):
    box.ctl("drop-bearer")
    (link,) = json.loads(box.exec(["ip", "-json", "address", "show", "wwan0"]).stdout)
    assert "UP" not in link["flags"]
    box.ctl("connect")
    assert ask(box, "wwan0", world.LAB)


def test_the_reverse_path_filter_is_loose_and_can_be_made_strict(box: Box):
    read = ["cat", "/proc/sys/net/ipv4/conf/all/rp_filter", "/proc/sys/net/ipv4/conf/wwan0/rp_filter"]
    assert box.exec(read).stdout.split() == ["2", "2"]
    box.ctl("rp-filter", 1)
    assert box.exec(read).stdout.split() == ["1", "1"]
    assert ask(box, "wwan0", world.LAB, tries=1) == []
    box.ctl("rp-filter", 2)


def test_a_command_keeps_its_input_status_directory_and_environment(box: Box):
    assert box.exec(["cat"], input="hello").stdout == "hello"
    assert box.exec(["sh", "-c", "exit 9"]).returncode == 9
    assert box.exec(["sh", "-c", "kill -TERM $$"]).returncode == 128 + signal.SIGTERM
    assert box.exec(["sh", "-c", "pwd; echo $COLOUR"], env={"COLOUR": "red"}).stdout == f"{Path.cwd()}\nred\n"
    token = box.exec(["sh", "-c", 'stat -c %a "$CREDENTIALS_DIRECTORY/server-token"']).stdout
    assert token == "600\n"


def test_a_command_that_takes_too_long_is_killed(box: Box):
    with pytest.raises(subprocess.TimeoutExpired):
        box.exec(["sh", "-c", "echo begun; sleep 4711"], timeout=0.5)
    assert until(lambda: box.exec(["pgrep", "-f", "sleep 4711"]).returncode == 1)


def test_a_program_on_the_device_acts_on_its_sandbox(box: Box):
    done = box.exec([*SANDBOX, "ctl", "set", "radio_rtt=5"])
    assert (done.returncode, done.stderr) == (0, "")
    assert box.ctl("state")["conditions"]["radio_rtt"] == 5


def test_a_shell_says_where_it_is():
    command = [*SANDBOX, "shell", "--scenario", "hat"]
    env = os.environ | {"SHELL": "/bin/true"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"The scenario: {scenarios.SCENARIOS['hat'].does}\n" in done.stderr


def test_what_makes_no_sense_is_refused_in_a_sentence(box: Box):
    for words in (["signal", "loud"], ["rp-filter", "3"], ["scenario", "sunny"], ["set", "radio_rtt=fast"]):
        with pytest.raises(ValueError, match=r"\w"):
            box.ctl(*words)
    with pytest.raises(ValueError, match="no node 'moon'"):
        box.exec(["true"], node="moon")


def family_of(pid: int) -> set[int]:
    """A process and all its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def traces() -> set[str]:
    """What this machine has of the things that a sandbox makes: interfaces, run directory, named namespaces, mounts."""
    made = {"lan0", "home0", "wan0", "isp0", "core0", "up0", "wwan0", "pgw0", "phonecheck-sandbox", *world.NODES}
    places = [Path(place) for place in ("/sys/class/net", "/run", "/run/netns") if Path(place).exists()]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return {str(path) for place in places for path in place.iterdir() if path.name in made} | {
        mount for mount in mounts if "phonecheck" in mount
    }


def test_nothing_outlives_a_kill_of_the_keeper():
    before = traces()
    with Box("--no-connect") as box:
        while_it_runs = traces()
        family = family_of(box.pid)
        assert len(family) > 8
        os.kill(box.pid, signal.SIGKILL)
        assert until(lambda: not any(map(lives, family - {box.pid})))
    assert f"phonecheck-sandbox-{os.getuid()}-{box.pid}" not in Path("/proc/net/unix").read_text()
    assert before == while_it_runs == traces()


def test_the_end_of_a_sandbox_is_seen_by_who_asks_it():
    with Box("--no-connect") as box:
        box.stop()
        with pytest.raises(SandboxError, match="does not answer"):
            box.ctl("state")
        assert control.running(Path("/proc/net/unix").read_text(), os.getuid()).count((os.getuid(), box.pid)) == 0


@pytest.mark.parametrize(
    ("program", "part"), [("phonecheck_sandbox[.]modem[.]polkit", "polkit"), ("phonecheck_sandbox[.]radio", "radio")]
)
def test_a_part_that_dies_is_told_on_the_spot_and_in_the_state(program: str, part: str):
    kill = f"kill -9 $(pgrep -f '{program}'); sleep 0.3; phonecheck-sandbox ctl state"
    command = [*SANDBOX, "run", "--no-connect", "--", "sh", "-c", kill]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["ended"] == {part: 137}
    assert f"its {part} ended with status 137" in done.stderr


def test_what_is_ended_on_request_is_no_death(box: Box):
    box.ctl("manager-stop")
    box.ctl("manager-start")
    box.ctl("connect")
    assert box.ctl("state")["ended"] == {}


def test_a_command_from_a_caller_whose_input_is_closed_reads_nothing(box: Box):
    ctl = [*SANDBOX, "ctl", "--pid", str(box.pid), "exec", "--", "cat"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *ctl], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_command_from_a_directory_that_is_gone_is_refused_in_a_sentence(box: Box, tmp_path: Path):
    ctl = [*SANDBOX, "ctl", "--pid", str(box.pid), "exec", "--", "true"]
    script = 'rmdir "$PWD"; exec "$@"'
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", script, "sh", *ctl], cwd=gone, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        70,
        "phonecheck-sandbox: The directory that you are in is gone.",
    )


def test_two_modems_have_two_subscribers():
    with Box("--modems", "2") as box:
        Thread(target=mirror, args=(box, "carrier", world.LAB), daemon=True).start()
        assert ask(box, "wwan0", world.LAB)[0] == str(world.SUBSCRIBER.address)
        assert ask(box, "wwan1", world.LAB)[0] == str(world.OTHER_SUBSCRIBER.address)


# Makes the terminal on its standard input its controlling one, as a login does.
LOGIN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


def test_ctrl_c_reaches_the_command_and_nothing_else():
    terminal, side = pty.openpty()
    # It lives on for longer than the supervisor would leave it after a signal that ends the sandbox.
    script = "trap 'echo caught; sleep 2.3; exit 7' INT; echo begun; while :; do sleep 0.1; done"
    argv = [sys.executable, "-c", LOGIN, *SANDBOX, "run", "--no-connect", "--", "sh", "-c", script]
    with subprocess.Popen(argv, stdin=side, stdout=side, stderr=side, start_new_session=True) as process:
        os.close(side)
        shown = b""
        while b"begun" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        assert process.wait(10) == 7
        shown += os.read(terminal, 1000)
    os.close(terminal)
    assert b"caught" in shown
    assert b"Traceback" not in shown


@pytest.mark.parametrize("as_a_user", [False, True])
def test_it_runs_as_root_and_as_an_ordinary_user(as_a_user: bool):
    """As root, become an ordinary user to whom /dev/net/tun is open, as udev makes it on every Debian."""
    command = [*SANDBOX, "run", "--", "sh", "-c", "ip -oneline link show wwan0 && exit 3"]
    if as_a_user:
        if os.getuid() != 0:
            pytest.skip("runs as an ordinary user anyway")
        setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*setpriv, sys.executable, "-c", "import phonecheck_sandbox"], check=False).returncode:
            pytest.skip("another user cannot read this checkout")
        open_tun = f'mount -t tmpfs -o mode=0755 tmpfs {TUN.parent} && mknod -m 0666 {TUN} c 10 200 && exec "$@"'
        if stat.S_IMODE(TUN.stat().st_mode) & stat.S_IWOTH:
            open_tun = 'exec "$@"'
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"umask 0; {open_tun}", "sh"]
        command = [*private, *setpriv, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (3, "")
    assert "wwan0" in done.stdout
