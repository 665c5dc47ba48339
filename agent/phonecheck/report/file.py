"""The report's way to the disk: whole or not at all, and never over another file."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phonecheck.errors import ConfigError

# Readable for all: it holds nothing that is not meant to be sent, and whoever made it with sudo must be able to.
_MODE = 0o644


def check(file: Path, *, replace: bool) -> None:
    """Find out whether a file can be written before the work for it is done.

    Raises:
        ConfigError: file-unwritable.
    """
    with _mapped(file):
        mode = _mode(file)
        if mode is None:
            if not stat.S_ISDIR(file.parent.stat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        elif not stat.S_ISREG(mode):
            raise ConfigError("file-unwritable", f"{file} is there, and is not a file.", hint=_ANOTHER)
        elif not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if not os.access(file.parent, os.W_OK | os.X_OK):
            readonly = os.statvfs(file.parent).f_flag & os.ST_RDONLY
            code = errno.EROFS if readonly else errno.EACCES
            raise OSError(code, os.strerror(code))


def write(file: Path, data: bytes, *, replace: bool) -> None:
    """Write it beside, have it on the disk, then give it its name.

    Raises:
        ConfigError: file-unwritable; nothing is left behind then.
    """
    check(file, replace=replace)
    beside = file.with_name(f".phonecheck-report-{os.urandom(6).hex()}.part")
    with _mapped(file):
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            if replace:
                beside.replace(file)
            else:
                _name(beside, file)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def _name(beside: Path, file: Path) -> None:
    """Give a file its name, unless another has it: link() says so where rename() would replace that."""
    try:
        os.link(beside, file)
    except OSError as error:
        # FAT, as on USB sticks, has no links.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if _mode(file) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        beside.rename(file)


def _mode(file: Path) -> int | None:
    try:
        return file.lstat().st_mode
    except FileNotFoundError:
        return None


_ANOTHER = "Name another file with -o, or write to standard output: -o -."


@contextmanager
def _mapped(file: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        hint = "Name another file with -o, or replace it with --force."
        raise ConfigError("file-unwritable", f"{file} is there already.", hint=hint) from None
    except FileNotFoundError:
        raise ConfigError("file-unwritable", f"There is no directory {file.parent}.") from None
    except OSError as error:
        raise ConfigError("file-unwritable", f"{file} cannot be written: {error.strerror}.") from None
    except ValueError:  # a null byte
        raise ConfigError("file-unwritable", "That is no file name.") from None
