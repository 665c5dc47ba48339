from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from phonecheck_sandbox import world

INSIDE = Path(__file__).with_name("served_world.py")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]


def why_not() -> str | None:
    """Why no namespace can be had here; None where one can."""
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or "the kernel refuses user namespaces" if tried.returncode else None


@pytest.mark.netns
def test_both_processes_serve_a_whole_world() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(INSIDE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # Nobody has anything to complain of, of the two processes either.
    assert done.stderr == ""
    platform = str(world.PLATFORM)
    assert json.loads(done.stdout) == {
        "ready": ["ready\n", "ready\n"],
        "from home": 412,
        "hops": [302, 302, 303, 302, 307, 200],
        "match": {"match": True},
        "v0.1 end": "OK",
        "v0.1 match": {"match": True},
        "told": 501,
        "dns": [0, ["api.edge.platform.example.", "node1.edge.platform.example.", platform]],
        "dns for strangers": [5, []],
        "public dns": [0, [platform]],
        "lab": ["https", "http", "https"],
        "exits": [0, 0],
    }
