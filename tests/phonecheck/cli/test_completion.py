"""What a shell completes, asked of real shells: verbs, options, codes, and the ids of the modems that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from phonecheck.cli.main import cli

NO_BUS = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A directory with a `phonecheck` for PATH, whose ModemManager has one modem."""
    file = tmp_path / "bin" / "phonecheck"
    file.parent.mkdir()
    file.write_text(f"#!{sys.executable}\n{PROGRAM}")
    file.chmod(0o755)
    return file.parent


PROGRAM = """
import sys
from phonecheck.cli import completion
from phonecheck.cli.main import run
completion.modem_ids = lambda: ["iccid:8944001012345678909", "imei:490154203237518", "/sys/devices/usb1"]
sys.argv[0] = "phonecheck"
run()
"""


def bash(program: Path, line: str) -> list[str]:
    ask = 'eval "$(phonecheck completion bash)"; COMP_LINE=$1 COMP_POINT=${#1}; _phonecheck_completion phonecheck'
    done = subprocess.run(
        ["bash", "--norc", "-c", ask + '; printf "%s\\n" "${COMPREPLY[@]}"', "bash", line],
        env=os.environ | NO_BUS | {"PATH": f"{program}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("phonecheck ver", ["verify"]),
        ("phonecheck modem ", ["list", "show", "unlock"]),
        ("phonecheck verify --inter", ["--interface"]),
        ("phonecheck explain not-con", ["not-connected", "not-configured"]),
        ("phonecheck completion ", ["bash", "zsh", "fish"]),
        ("phonecheck verify --modem ", ["iccid:8944001012345678909", "imei:490154203237518", "/sys/devices/usb1"]),
        ("phonecheck verify --modem ic", ["iccid:8944001012345678909"]),
        # To bash, what is before the colon is a word of its own, and is there already.
        ("phonecheck verify --modem iccid:89", ["8944001012345678909"]),
        ("phonecheck modem show imei:", ["490154203237518"]),
        ("phonecheck link show /sys", ["/sys/devices/usb1"]),
        ("phonecheck verify --modem iccid:8944001012345678909 --time", ["--timeout"]),
    ],
)
def test_bash(program: Path, line: str, replies: list[str]) -> None:
    assert bash(program, line) == replies


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("phonecheck ver", ["verify"]),
        ("phonecheck verify --modem iccid:89", ["iccid:8944001012345678909"]),
        ("phonecheck explain bind", ["bind-refused"]),
    ],
)
def test_fish(program: Path, line: str, replies: list[str], tmp_path: Path) -> None:
    ask = f"phonecheck completion fish | source; complete --do-complete '{line}'"
    env = os.environ | NO_BUS | {"PATH": f"{program}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert [reply.split("\t")[0] for reply in done.stdout.splitlines()] == replies


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize(
    ("line", "reply"),
    [("phonecheck ver", "verify"), ("phonecheck verify --modem iccid:89", "iccid:8944001012345678909")],
)
def test_zsh(program: Path, line: str, reply: str, tmp_path: Path) -> None:
    """Zsh completes only at a terminal of its own (zsh/zpty), which is shown what Tab makes of the line."""
    script = (
        "zmodload zsh/zpty; zpty z zsh -f -i; "
        "zpty -w z 'PS1= ; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -d $HOME/dump; "
        'eval "$(phonecheck completion zsh)"; echo RE""ADY\'; '
        "zpty -r -m z out '*READY*'; zpty -w -n z \"$1\"$'\\t'; "
        'zpty -r -m z out "*$2*" && print -r -- "$out"; zpty -d z'
    )
    env = os.environ | NO_BUS | {"PATH": f"{program}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    done = subprocess.run(
        ["zsh", "-f", "-c", script, "zsh", line, reply],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert reply in done.stdout


def test_no_bus_is_no_completion_and_no_noise() -> None:
    env = (
        os.environ
        | NO_BUS
        | {"_PHONECHECK_COMPLETE": "bash_complete", "COMP_WORDS": "phonecheck modem show ", "COMP_CWORD": "3"}
    )
    done = subprocess.run([sys.executable, "-m", "phonecheck"], env=env, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"", b"")


def test_a_bus_that_is_silent_holds_nobody_up(tmp_path: Path) -> None:
    """A second is the shell's patience; 30 would be the bus library's own."""
    import socket

    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(tmp_path / "bus"))
        bus.listen()
        env = os.environ | {
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus",
            "_PHONECHECK_COMPLETE": "bash_complete",
            "COMP_WORDS": "phonecheck modem show ",
            "COMP_CWORD": "3",
        }
        done = subprocess.run(
            [sys.executable, "-m", "phonecheck"], env=env, capture_output=True, check=False, timeout=20
        )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"", b"")


def test_verbs_are_completed_without_importing_one() -> None:
    names = [item.value for item in cli.shell_complete(cli.make_context("phonecheck", [], resilient_parsing=True), "")]
    assert names == cli.list_commands(cli.make_context("phonecheck", [], resilient_parsing=True))
