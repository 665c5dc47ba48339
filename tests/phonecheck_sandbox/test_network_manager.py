"""NetworkManager in the sandbox: the real daemon and the stand-in are held to one and the same story."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonecheck_sandbox import namespaces, nm_package, world
from phonecheck_sandbox.box import Box
from phonecheck_sandbox.errors import SandboxError

STORY = Path(__file__).with_name("inside_network_manager.py")


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    if reason := namespaces.unavailable():
        pytest.skip(reason)
    with Box("--no-connect", "--no-configure") as made:
        yield made


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["real", "stand-in"])
def test_network_manager_on_the_device(box: Box, kind: str) -> None:
    if kind == "real" and nm_package.find() is None:
        pytest.skip("NetworkManager is neither installed nor unpacked: python -m phonecheck_sandbox.nm_package")
    done = box.exec([sys.executable, "-P", STORY, kind], timeout=60)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kind"] == kind, seen["why"]
    assert seen["ended"] == {}

    assert seen["manages"]
    bare = seen["idle"]
    assert (bare["up"], bare["addresses"], bare["defaults"]) == (False, [], [])

    configured = {
        "up": True,
        "addresses": [str(world.WWAN0)],
        "mtu": world.WWAN0_MTU,
        "defaults": [[str(world.PGW.ip), 700]],
    }
    first = seen["first"]
    # Told twice: before it is begun, and by its name.
    assert (first["code"], first["link"], len(first["started"])) == ("", configured, 2)
    assert seen["interface"] == "wwan0"
    assert seen["name_servers"] == [str(server) for server in world.CARRIER_DNS]
    # It is up, so nothing is begun, and it is not interrupted.
    assert (seen["second"]["started"], seen["second"]["link"]) == ([], configured)

    assert seen["down"] == bare  # the MTU, too, is what it was
    assert seen["wrong_apn"]["code"] == "connect-failed"
    assert "does not know the APN" in seen["wrong_apn"]["message"]
    assert seen["searching"]["code"] == "connect-failed"
    assert "still connecting" in seen["searching"]["message"]
    assert seen["given_up"] == bare
    assert seen["bare_after_drop"]
    assert not seen["manages_pulled"]
    assert seen["manages_again"]
    assert seen["left_up"]["link"] == configured
    assert seen["stopped"] | {"mtu": bare["mtu"]} == bare  # pulled while it was up, it came back with the lower MTU


def executable(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_the_installed_one_comes_first(tmp_path: Path) -> None:
    installed, tree = tmp_path / "installed", tmp_path / "tree"
    assert nm_package.find(installed, tree) is None
    executable(tree / "usr/sbin/NetworkManager")
    assert nm_package.find(installed, tree) == nm_package.Program(tree)
    executable(installed)
    assert nm_package.find(installed, tree) == nm_package.Program(None)


def test_where_nobody_may_look_there_is_none(tmp_path: Path) -> None:
    # To root every directory is open; a name that no file system takes is refused to all.
    assert nm_package.find(tmp_path / "installed", tmp_path / ("no" * 200)) is None


def test_the_cache_is_the_users(tmp_path: Path) -> None:
    assert nm_package.cache({"HOME": "/home/u"}) == Path("/home/u/.cache/phonecheck/network-manager")
    assert nm_package.cache({"HOME": "/home/u", "XDG_CACHE_HOME": "/c"}) == Path("/c/phonecheck/network-manager")


APT = """\
#!/bin/sh
case "$*" in
*--simulate*) cat <<END
Inst systemd [252.38] (252.39 Debian [amd64]) []
Inst libsystemd0 [252.38] (252.39 Debian [amd64])
Inst udev (252.39 Debian [amd64])
Inst libnm0 (1.42.4-1 Debian [amd64])
Inst network-manager (1.42.4-1 Debian [amd64])
END
;;
*download*) [ -z "$REFUSES" ] || { echo "E: no network" >&2; exit 100; }
  while [ "$1" != download ]; do shift; done; shift
  for name; do echo >"$name.deb"; done ;;
esac
"""
DPKG = """\
#!/bin/sh
mkdir -p "$3/usr/sbin" "$3/lib"
case "$2" in
*network-manager.deb) touch "$3/usr/sbin/NetworkManager"; chmod +x "$3/usr/sbin/NetworkManager" ;;
*) touch "$3/lib/$(basename "$2")" ;;
esac
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian of the test's own; what is unpacked goes to the directory given."""
    executable(tmp_path / "bin/apt-get", APT)
    executable(tmp_path / "bin/dpkg-deb", DPKG)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "cache" / "network-manager"


def test_unpacking_takes_only_what_the_machine_lacks(debian: Path) -> None:
    nm_package.unpack(debian)
    assert nm_package.find(debian / "not-installed", debian) == nm_package.Program(debian)
    assert [file.name for file in (debian / "usr/lib").iterdir()] == ["libnm0.deb"]
    assert [path.name for path in debian.parent.iterdir()] == ["network-manager"]


def test_only_what_does_not_run_is_replaced(debian: Path) -> None:
    (debian / "rest-of-an-older-one").mkdir(parents=True)
    nm_package.unpack(debian)
    assert not (debian / "rest-of-an-older-one").exists()
    # Another checkout's setup was first, and a sandbox may be running it.
    (debian / "another's").touch()
    nm_package.unpack(debian)
    assert (debian / "another's").exists()


def test_unpacking_that_fails_leaves_nothing(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSES", "1")
    with pytest.raises(SandboxError, match="apt-get failed: E: no network"):
        nm_package.unpack(debian)
    assert list(debian.parent.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(debian: Path) -> None:
    debian.parent.touch()
    with pytest.raises(SandboxError, match="cannot be written: "):
        nm_package.unpack(debian / "below")
