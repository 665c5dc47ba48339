"""What is refused before anything is asked of anyone."""

from __future__ import annotations

import dataclasses

import pytest

from phonecheck import wiring
from phonecheck.config import Server, Settings
from phonecheck.errors import AgentError


@pytest.mark.parametrize("url", ["https://user@app.example/done", "https://app.example:0/done", "https://a b/done"])
def test_a_redirect_url_that_no_chain_could_end_at_is_told_before_a_check_is_spent(url: str) -> None:
    server = Server(url="https://app.example", redirect_url=url)
    with pytest.raises(AgentError) as caught:
        wiring.wire(dataclasses.replace(Settings(), server=server), with_server=True)
    assert caught.value.code == "bad-setting"
    assert "server.redirect_url" in caught.value.message
