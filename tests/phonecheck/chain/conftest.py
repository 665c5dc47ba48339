"""The scripted web, and an opener of chains in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme

from scripted_web import Opener, Web


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def web(ca: trustme.CA) -> Iterator[Web]:
    web = Web(ca)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def opener(web: Web) -> Iterator[Opener]:
    opener = Opener(web)
    yield opener
    opener.close()
