"""The report's file: whole or not there, and never in another's place."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phonecheck.errors import ConfigError
from phonecheck.report.file import check, write


def test_a_file_is_written_whole_and_can_be_read_by_all(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write(tmp_path / "r.html", b"page", replace=False)
    finally:
        os.umask(old)
    assert (tmp_path / "r.html").read_bytes() == b"page"
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [tmp_path / "r.html"]


def test_another_file_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    file.write_text("mine")
    with pytest.raises(ConfigError) as caught:
        write(file, b"page", replace=False)
    assert caught.value.code == "file-unwritable"
    assert "--force" in caught.value.hint
    assert file.read_text() == "mine"
    write(file, b"page", replace=True)
    assert file.read_text() == "page"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_system_without_links_takes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # link(2), of FAT

    monkeypatch.setattr(os, "link", refuse)
    file = tmp_path / "r.html"
    write(file, b"page", replace=False)
    assert file.read_bytes() == b"page"
    with pytest.raises(ConfigError, match="is there already"):
        write(file, b"other", replace=False)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"page"]


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "link.html").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for place in (Path("/dev/full"), tmp_path, tmp_path / "link.html", tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="is there, and is not a file"):
            check(place, replace=replace)


def test_a_directory_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no directory"):
        write(tmp_path / "no/r.html", b"", replace=False)


@pytest.mark.parametrize(
    ("name", "words"), [("x" * 300, "too long"), ("a\0b", "no file name"), ("file/r.html", "Not a directory")]
)
def test_a_name_that_is_none_is_said(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=words):
        write(tmp_path / name, b"", replace=False)


# In a process of its own: root may write anywhere, and a limit on the size of files stands for a full disk.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from phonecheck.errors import ConfigError
from phonecheck.report.file import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(Path(sys.argv[1]), b"x" * 100_000, replace=False)
except ConfigError as error:
    print(error.code, error.message)
"""


def test_a_disk_without_room_leaves_no_half_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "r.html")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("file-unwritable ")
    assert done.stdout.strip().endswith("cannot be written: File too large.")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_may_not_be_written_to_is_said_before_the_work(tmp_path: Path) -> None:
    if os.getuid() == 0:
        place = Path("/proc/self/r.html")  # where root may not, either
    else:
        tmp_path.chmod(0o500)
        place = tmp_path / "r.html"
    with pytest.raises(ConfigError, match=r"cannot be written|no directory"):
        write(place, b"", replace=False)
