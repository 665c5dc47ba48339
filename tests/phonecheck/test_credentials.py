from __future__ import annotations

from pathlib import Path

import pytest

from phonecheck.credentials import read_secret, require_private
from phonecheck.errors import ConfigError

TOKEN = "device-token-1"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def credentials(tmp_path, monkeypatch) -> Path:
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


def secret_file(directory: Path, content: bytes | str = TOKEN + "\n", mode: int = 0o600) -> Path:
    file = directory / "server-token"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


def failure(file: Path | None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_secret("server-token", file, "server.token_file")
    return caught.value


def test_none_where_there_is_neither():
    assert read_secret("server-token", None, "server.token_file") is None


def test_none_where_the_directory_holds_another_credential(credentials):
    (credentials / "sim-pin").write_text("1234")
    assert read_secret("server-token", None, "server.token_file") is None


def test_the_named_file(tmp_path):
    assert read_secret("server-token", secret_file(tmp_path), "server.token_file").value == TOKEN


def test_systemds_credential_comes_before_the_file(tmp_path, credentials):
    secret_file(credentials, "from systemd")
    assert read_secret("server-token", secret_file(tmp_path), "server.token_file").value == "from systemd"


def test_systemds_credential_may_show_a_group_mode(credentials):
    secret_file(credentials, mode=0o440)
    assert read_secret("server-token", None, "server.token_file").value == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666])
def test_a_file_that_is_open_to_others(tmp_path, mode):
    file = secret_file(tmp_path, mode=mode)
    error = failure(file)
    assert error.code == "unsafe-file-mode"
    assert f"{mode:04o}" in error.message
    assert error.hint == f"Close it: chmod 600 {file}."


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_is_its_owners_alone(tmp_path, mode):
    assert read_secret("server-token", secret_file(tmp_path, mode=mode), "server.token_file").value == TOKEN


def test_a_file_that_is_missing(tmp_path):
    error = failure(tmp_path / "none")
    assert error.code == "missing-credential"
    assert "server.token_file" in error.message


def test_a_directory_in_the_place_of_a_file(tmp_path):
    tmp_path.chmod(0o700)
    assert failure(tmp_path).code == "missing-credential"


@pytest.mark.parametrize("content", ["", "\n", "secret\nother", "t\x00", "tökén", b"\xff\xfe"])
def test_a_file_without_one_line_of_plain_text(tmp_path, content):
    error = failure(secret_file(tmp_path, content))
    assert error.code == "missing-credential"
    assert "secret" not in error.message


def test_a_credential_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secret_file(tmp_path)))
    assert failure(None).code == "missing-credential"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "server-token").symlink_to("/nonexistent")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "elsewhere"))
    assert failure(None).code == "missing-credential"


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "device.key"
    key.write_text("-----BEGIN PRIVATE KEY-----")
    key.chmod(0o640)
    with pytest.raises(ConfigError) as caught:
        require_private(key, "server.client_key")
    assert caught.value.code == "unsafe-file-mode"
    key.chmod(0o600)
    require_private(key, "server.client_key")
