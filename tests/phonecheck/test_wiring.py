"""What is refused before anything is asked of anyone."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pytest

from phonecheck import exchange, wiring
from phonecheck.config import Server, Settings
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, LinkError
from phonecheck.model import Link
from phonecheck.session import Session


@pytest.mark.parametrize("url", ["https://user@app.example/done", "https://app.example:0/done", "https://a b/done"])
def test_a_redirect_url_that_no_chain_could_end_at_is_told_before_a_check_is_spent(url: str) -> None:
    server = Server(url="https://app.example", redirect_url=url)
    with pytest.raises(AgentError) as caught:
        wiring.wire(dataclasses.replace(Settings(), server=server), with_server=True)
    assert caught.value.code == "bad-setting"
    assert "server.redirect_url" in caught.value.message


def test_whoever_waits_to_ask_an_app_server_over_the_link_again_hears_that_the_link_went() -> None:
    settings = dataclasses.replace(Settings(), server=Server(url="https://app.example", over="modem"))
    session = Session(settings, None)
    client: Any = exchange.app_server(settings, None, Link("wwan0"), session)
    loss = LinkError("interface-gone", "the modem was pulled")
    teller = threading.Timer(0.05, session.loss.tell, (loss,))
    teller.start()
    with pytest.raises(LinkError) as caught:
        client._wait(5.0, Deadline(60))
    teller.join()
    assert caught.value is loss
