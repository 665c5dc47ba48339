from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest

from phonecheck_sandbox.seccomp import refusing_to_bind

EPERM, ENOPROTOOPT = 1, 92
BINDS = """
import json, socket, sys
said = {}
for name, level, option, value in (
    ("bind", socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"),
    ("reuse", socket.SOL_SOCKET, socket.SO_REUSEADDR, b"\\1\\0\\0\\0"),
    ("the same number elsewhere", socket.SOL_UDP, socket.SO_BINDTODEVICE, b"\\1\\0\\0\\0"),
):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(level, option, value)
            said[name] = 0
        except OSError as error:
            said[name] = error.errno
print(json.dumps(said))
"""


def started(*command: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "phonecheck_sandbox.seccomp", *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)


def test_binding_to_a_device_is_refused_and_nothing_else_to_all_that_is_started():
    done = started("sh", "-c", '"$0" -c "$1"', sys.executable, BINDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"bind": EPERM, "reuse": 0, "the same number elsewhere": ENOPROTOOPT}


def test_without_it_binding_is_allowed():
    done = subprocess.run([sys.executable, "-c", BINDS], capture_output=True, text=True, check=True, timeout=20)
    assert json.loads(done.stdout)["bind"] == 0


@pytest.mark.parametrize(
    ("command", "status"), [(["sh", "-c", "exit 7"], 7), (["no-such-program"], 127), (["/dev/null"], 126)]
)
def test_the_commands_own_status_is_what_is_seen(command: list[str], status: int):
    assert started(*command).returncode == status


X86_64, ARM, AARCH64, S390X = 0xC000003E, 0x40000028, 0xC00000B7, 0x80000016
REFUSED, ALLOWED = 0x0005_0000 | EPERM, 0x7FFF_0000


def judged(architecture: int, number: int, level: int, option: int) -> int:
    """What the filter returns, by the three instructions of BPF that it is made of."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, 3, level, option, 0, 0, 0)
    program = list(struct.iter_unpack("=HBBI", refusing_to_bind()))
    at = loaded = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, k)
        elif code == 0x15:
            at += if_true if loaded == k else if_false
        else:
            return int(k)


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        ((X86_64, 54, 1, 25), REFUSED),
        ((0x40000003, 366, 1, 25), REFUSED),
        ((AARCH64, 208, 1, 25), REFUSED),
        ((ARM, 294, 1, 25), REFUSED),
        ((0xC00000F3, 208, 1, 25), REFUSED),
        ((X86_64, 208, 1, 25), ALLOWED),  # another call there
        ((AARCH64, 54, 1, 25), ALLOWED),
        ((S390X, 54, 1, 25), ALLOWED),
        ((X86_64, 54, 6, 25), ALLOWED),
        ((X86_64, 54, 1, 2), ALLOWED),
        ((ARM, 295, 1, 25), ALLOWED),
    ],
)
def test_on_every_machine_it_is_the_one_option_of_the_one_call(call: tuple[int, int, int, int], verdict: int):
    assert judged(*call) == verdict
