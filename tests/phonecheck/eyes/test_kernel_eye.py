from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from phonecheck.eyes.kernel import RealKernel


def test_the_release_is_the_kernels():
    assert re.match(r"\d+\.\d+", RealKernel().release())


def test_the_clock_is_the_devices():
    assert abs(RealKernel().now() - time.time()) < 60


def test_any_process_may_bind_here():
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (5, 7):
        pytest.skip("this kernel lets only CAP_NET_RAW bind a socket to an interface")
    assert RealKernel().binding_refused() is None


def test_looking_leaves_no_descriptor():
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        RealKernel().binding_refused()
    # Not equal: threads that other tests left behind open and close some too.
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20


def test_what_the_kernel_was_told_of_the_clock_is_what_others_read():
    told = RealKernel().synchronised()
    assert told in (True, False, None)
    try:
        said = subprocess.run(
            ["timedatectl", "show", "-p", "NTPSynchronized", "--value"],
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except FileNotFoundError:
        pytest.skip("timedatectl is not installed")
    if said.returncode:
        pytest.skip("timedatectl has nobody to ask")
    assert told == (said.stdout.strip() == "yes")


def test_an_ordinary_user_configures_no_link():
    if os.geteuid() == 0:
        pytest.skip("this is root")
    assert RealKernel().net_admin() is False
