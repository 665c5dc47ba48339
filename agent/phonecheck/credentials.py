"""Secrets that the device was given: where they are, and whether they are kept well enough to be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from phonecheck.errors import ConfigError
from phonecheck.redact import Secret


def read_secret(credential: str, file: Path | None, setting: str) -> Secret | None:
    """A secret from systemd's credentials directory, else from the file that a setting names; None where neither is.

    Args:
        credential: its name below ``$CREDENTIALS_DIRECTORY``.
        file: the file that the setting names.
        setting: the setting's name, for the error.

    Raises:
        ConfigError: missing-credential, unsafe-file-mode.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and not _absent(Path(directory) / credential):
        # systemd guards this directory itself, by mode or by ACL; with an ACL the mode shows 0440 and says nothing.
        return _secret_in(Path(directory) / credential, f"the credential {credential}")
    if file is None:
        return None
    require_private(file, setting)
    return _secret_in(file, setting)


def require_private(file: Path, setting: str) -> None:
    """Refuse a file with a secret in it that others than its owner can read.

    Raises:
        ConfigError: missing-credential, unsafe-file-mode.
    """
    try:
        mode = file.stat().st_mode
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError("missing-credential", f"{setting} names {file}, which cannot be read: {reason}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            "unsafe-file-mode",
            f"{file} ({setting}) is open to others: mode {stat.S_IMODE(mode):04o}.",
            hint=f"Close it: chmod 600 {file}.",
        )


def _absent(file: Path) -> bool:
    """Not there at all; what is there and cannot be read must be told, not passed over."""
    try:
        file.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _secret_in(file: Path, name: str) -> Secret:
    try:
        value = file.read_text("ascii").strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError("missing-credential", f"{name} cannot be read from {file}: {reason}.") from None
    except UnicodeDecodeError:
        value = ""
    if not value or not value.isprintable():
        raise ConfigError("missing-credential", f"{name} is empty, or holds more than one line of plain text.")
    return Secret(value)
