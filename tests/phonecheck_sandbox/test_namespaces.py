from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.namespaces import check_machine, refused, with_system_paths

TOOLS = ("ModemManager", "dbus-daemon", "nft", "nsenter")


def machine(directory: Path, *tools: str) -> str:
    for tool in tools:
        (directory / tool).write_text("")
        (directory / tool).chmod(0o755)
    return str(directory)


def test_daemons_are_found_where_debian_hides_them_from_users():
    assert with_system_paths("/opt/bin:/usr/sbin") == "/opt/bin:/usr/sbin:/usr/local/sbin:/sbin"
    assert with_system_paths(None).endswith("/usr/local/sbin:/usr/sbin:/sbin")


def test_what_is_not_installed_is_named_with_its_package(tmp_path: Path):
    with pytest.raises(SandboxError) as failure:
        check_machine(machine(tmp_path, "dbus-daemon", "nsenter"))
    assert failure.value.message == "The sandbox runs ModemManager and nft, which this machine does not have."
    assert failure.value.hint == "Install it: sudo apt install modemmanager nftables"


def test_a_missing_tun_device_needs_its_driver(tmp_path: Path):
    with pytest.raises(SandboxError) as failure:
        check_machine(machine(tmp_path, *TOOLS), tmp_path / "tun")
    assert "modprobe tun" in failure.value.hint


@pytest.mark.skipif(os.getuid() == 0, reason="root may open everything")
def test_a_closed_tun_device_is_to_be_opened(tmp_path: Path):
    tun = tmp_path / "tun"
    tun.touch(0o000)
    with pytest.raises(SandboxError) as failure:
        check_machine(machine(tmp_path, *TOOLS), tun)
    assert f"chmod 0666 {tun}" in failure.value.hint


def test_a_machine_that_has_everything_passes(tmp_path: Path):
    (tmp_path / "tun").touch()
    check_machine(machine(tmp_path, *TOOLS), tmp_path / "tun")


def test_a_refusal_names_the_setting_that_is_its_cause(tmp_path: Path):
    (tmp_path / "allowed").write_text("1\n")
    (tmp_path / "closed").write_text("0\n")
    switches = [(str(tmp_path / name), "0", f"sudo open {name}") for name in ("absent", "allowed", "closed")]
    no = OSError(errno.EPERM, "Operation not permitted", "unshare")
    assert refused(no, switches).hint == "Allow them: sudo open closed; or run the sandbox as root."
    assert refused(no, switches[:2]).hint.startswith("Run the sandbox as root")
    assert "Operation not permitted (unshare)" in refused(no, []).message


def test_a_limit_that_is_reached_is_to_be_raised():
    assert "max_user_namespaces" in refused(OSError(errno.ENOSPC, "No space left on device"), []).hint


def test_a_python_that_has_only_the_agent_is_told_what_to_install() -> None:
    with pytest.raises(SandboxError) as caught:
        check_machine(libraries=("jeepney_is_not_here",))
    assert "jeepney_is_not_here" in str(caught.value)
    assert "phonecheck[sandbox]" in caught.value.hint
