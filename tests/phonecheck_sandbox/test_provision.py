from __future__ import annotations

import ssl
import stat
from pathlib import Path

from phonecheck import config
from phonecheck_sandbox import here, pki, provision, world


def test_a_provisioned_root_has_settings_that_the_agent_takes_and_the_authority_of_the_certificates(tmp_path: Path):
    provision.provision(tmp_path)
    settings = config.load(tmp_path / provision.SETTINGS)
    assert settings.server.url == f"https://{world.APP_SERVER_HOST}"
    assert (settings.server.report, settings.modem.connect) == (world.REPORT_PATH, "auto")
    assert settings.chain.platform == f"https://{world.PLATFORM_HOST}"
    token = tmp_path / provision.TOKEN
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == (world.SERVER_TOKEN, 0o600)
    kept = pki.in_run_directory(tmp_path / here.STATE.relative_to("/"))
    assert (tmp_path / provision.CA).read_bytes() == kept.ca_file.read_bytes()
    assert ssl.create_default_context(cafile=tmp_path / provision.CA).get_ca_certs()


def test_to_provision_again_keeps_the_authority_that_is_trusted_already(tmp_path: Path):
    provision.provision(tmp_path)
    before = (tmp_path / provision.CA).read_bytes()
    provision.provision(tmp_path)
    assert (tmp_path / provision.CA).read_bytes() == before
