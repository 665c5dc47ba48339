from __future__ import annotations

from pathlib import Path

import pytest

from phonecheck.errors import ConfigError
from phonecheck_server.settings import KEYS, PREFIX, load

SECRET, TOKEN = "client-secret-value", "device-token-value-1"


@pytest.fixture(autouse=True)
def _no_credentials_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    secret, tokens = tmp_path / "secret", tmp_path / "tokens"
    secret.write_text(SECRET + "\n")
    tokens.write_text(f"meter {TOKEN}\n")
    secret.chmod(0o600)
    tokens.chmod(0o600)
    return {
        "platform_url": "https://eu.api.example/",
        "client_id": "project",
        "client_secret_file": str(secret),
        "device_tokens_file": str(tokens),
    }


def toml(tmp_path: Path, values: dict[str, str | int]) -> Path:
    file = tmp_path / "server.toml"
    file.write_text(
        "".join(f"{key} = {value if isinstance(value, int) else repr(value)}\n" for key, value in values.items())
    )
    return file


def test_a_file_says_it_all(tmp_path: Path, files: dict[str, str]) -> None:
    settings = load(toml(tmp_path, {**files, "port": 9000, "redirect_url": "https://app.example/done"}), {})
    assert settings.platform_url == "https://eu.api.example"
    assert settings.client_secret.value == SECRET
    assert settings.devices.named_by(f"Bearer {TOKEN}") == "meter"
    assert (settings.host, settings.port, settings.redirect_url) == ("127.0.0.1", 9000, "https://app.example/done")
    assert SECRET not in repr(settings)


def test_the_environment_alone_is_enough_and_goes_before_the_file(tmp_path: Path, files: dict[str, str]) -> None:
    environ = {PREFIX + key.upper(): value for key, value in files.items() if key != "client_secret_file"}
    environ |= {PREFIX + "CLIENT_SECRET": SECRET, PREFIX + "PORT": "81"}
    assert load(None, environ).client_secret.value == SECRET
    assert load(toml(tmp_path, {**files, "port": 9000}), environ).port == 81


def test_systemd_credentials_go_before_files(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client-secret").write_text("from-systemd")
    (tmp_path / "device-tokens").write_text("gateway another-device-token")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = load(toml(tmp_path, dict(files)), {})
    assert settings.client_secret.value == "from-systemd"
    assert settings.devices.named_by("Bearer another-device-token") == "gateway"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"platform_url": "http://eu.api.example"}, "platform_url must be an https URL"),
        ({"platform_url": "https://user@eu.api.example"}, "platform_url must be an https URL"),
        ({"platform_url": "https://["}, "platform_url must be an https URL"),
        ({"platform_url": "https://eu api.example"}, "platform_url must be an https URL"),
        ({"platform_url": "https://eu..example"}, "platform_url must be an https URL"),
        ({"platform_url": "https://eu.api.example/#v1"}, "platform_url must be an https URL"),
        ({"platform_url": "https://eu.api.example/?v=1"}, "platform_url must be a base URL"),
        ({"client_id": "project:eu"}, "client_id must be plain characters without a colon"),
        ({"client_id": "projët"}, "client_id must be plain"),
        ({"ca_file": __file__}, "ca_file holds no certificates"),
        ({"tls_cert": __file__, "tls_key": __file__}, "tls_cert and tls_key are no certificate chain"),
        ({"redirect_url": "http://app.example"}, "redirect_url must be an https URL"),
        ({"redirect_url": "https://app.example/#done"}, "redirect_url must be an https URL"),
        ({"port": 70000}, "port must be"),
        ({"port": "¹"}, "port must be"),
        ({"tls_cert": "/nowhere.pem"}, "not a file"),
        ({"tls_cert": __file__}, "tls_cert and tls_key go together"),
        ({"client_secret": SECRET}, "does not belong"),
        ({"clientid": "x"}, "Unknown setting clientid"),
        ({"client_id": ""}, "client_id must be a text"),
        ({"device_tokens_file": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_bad_setting_is_named_and_no_secret_is(
    tmp_path: Path, files: dict[str, str], changes: dict[str, str | int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(toml(tmp_path, {**files, **changes}), {})
    assert SECRET not in caught.value.message + caught.value.hint
    assert TOKEN not in caught.value.message + caught.value.hint


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    leaf = authority.issue_cert("app.example")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    return {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}


def test_certificates_are_tried(tmp_path: Path, files: dict[str, str], certificate: dict[str, str]) -> None:
    settings = load(toml(tmp_path, {**files, **certificate, "ca_file": str(tmp_path / "ca.pem")}), {})
    assert (settings.tls_cert, settings.tls_key) == (tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_key_that_would_ask_for_a_password_is_refused(
    tmp_path: Path, files: dict[str, str], certificate: dict[str, str]
) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key_file = Path(certificate["tls_key"])
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    with pytest.raises(ConfigError, match="is encrypted"):
        load(toml(tmp_path, {**files, **certificate}), {})


@pytest.mark.parametrize("key", ["platform_url", "client_id", "client_secret_file", "device_tokens_file"])
def test_what_is_needed_is_asked_for(tmp_path: Path, files: dict[str, str], key: str) -> None:
    del files[key]
    with pytest.raises(ConfigError, match="missing"):
        load(toml(tmp_path, dict(files)), {})


@pytest.mark.parametrize("key", ["client_secret_file", "device_tokens_file"])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, files: dict[str, str], key: str) -> None:
    Path(files[key]).chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(toml(tmp_path, dict(files)), {})
    assert caught.value.code == "unsafe-file-mode"


@pytest.mark.parametrize("content", ["= no toml", "\udcff"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(content, errors="surrogateescape")
    with pytest.raises(ConfigError, match="not TOML"):
        load(file, {})


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "app-server.md").read_text()
    assert [key for key in KEYS if f"`{key}`" not in page] == []
