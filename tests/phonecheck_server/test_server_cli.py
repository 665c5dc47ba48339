from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from phonecheck_server.cli import run

TOKEN = "meter-token-0123456789"


def environment(tmp_path: Path) -> dict[str, str]:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"meter {TOKEN}\n")
    tokens.chmod(0o600)
    return {
        "PHONECHECK_SERVER_PLATFORM_URL": "https://platform.example",
        "PHONECHECK_SERVER_CLIENT_ID": "project",
        "PHONECHECK_SERVER_CLIENT_SECRET": "the-client-secret",
        "PHONECHECK_SERVER_DEVICE_TOKENS_FILE": str(tokens),
    }


def test_check_reads_the_settings(tmp_path: Path) -> None:
    result = CliRunner().invoke(run, ["--check"], env=environment(tmp_path))
    assert (result.exit_code, result.output) == (0, "The settings are sound.\n")


def test_a_bad_setting_is_a_cause_a_cure_and_exit_3(tmp_path: Path) -> None:
    result = CliRunner().invoke(run, ["--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 3
    assert "none.toml cannot be read" in result.output
    assert "hint: " in result.output


def test_it_serves_over_tls_logs_without_secrets_and_stops_when_told(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = environment(tmp_path) | {
        "PHONECHECK_SERVER_PORT": str(port),
        "PHONECHECK_SERVER_TLS_CERT": str(tmp_path / "cert.pem"),
        "PHONECHECK_SERVER_TLS_KEY": str(tmp_path / "key.pem"),
    }
    # A run of its own: signals and logging belong to the whole process.
    command = [sys.executable, "-c", "from phonecheck_server.cli import run; run()"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        log = ""
        try:
            while "running on" not in log:
                line = server.stderr.readline()
                assert line, f"the server ended early: {log}"
                log += line
            import ssl

            with httpx.Client(verify=ssl.create_default_context(cafile=tmp_path / "ca.pem"), trust_env=False) as client:
                answer = client.get(
                    f"https://localhost:{port}/v0.1/phone-check?check_id=secret-id",
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )
        finally:
            server.send_signal(signal.SIGTERM)
            log += server.stderr.read()
    assert answer.status_code == 404
    assert "meter GET /v0.1/phone-check -> 404 check_not_found" in log
    assert "secret-id" not in log
    assert TOKEN not in log
