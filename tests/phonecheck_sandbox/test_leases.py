from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.leases import server
from phonecheck_sandbox.mobile_link import session_of


def test_the_p_gw_leases_the_subscribers_own_address_and_names_router_dns_and_mtu(tmp_path: Path):
    if shutil.which("busybox") is None:
        pytest.skip("busybox is not installed")
    *_, configuration = server(session_of(1, kind="ethernet", ip="4v6", method="dhcp"), tmp_path)
    lines = Path(configuration).read_text().splitlines()
    assert {"interface pgw1", "start 10.64.0.6", "end 10.64.0.6", "opt router 10.64.0.5", "opt mtu 1430"} <= {*lines}
    assert f"opt dns {world.CARRIER_DNS[0]} {world.CARRIER_DNS[1]}" in lines
    files = [line.split()[1] for line in lines if line.startswith(("lease_file", "pidfile"))]
    assert all(Path(file).parent == tmp_path for file in files)


def test_without_busybox_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError) as refusal:
        server(session_of(0, kind="hat"), tmp_path)
    assert "apt install busybox" in refusal.value.hint
