"""Another subscriber's SIM in the same modem: ModemManager shows it, and the operator takes the session for theirs."""

from __future__ import annotations

import json

import pytest

from phonecheck_sandbox import world
from phonecheck_sandbox.box import Box
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.namespaces import unavailable

if reason := unavailable():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.sandbox


def verified(box: Box) -> tuple[str, str]:
    """The outcome for the SIM's own number, and the address that it was proved from."""
    done = box.exec(["phonecheck", "verify", "--json", "--connect", "--apn", "internet"])
    document = json.loads(done.stdout)
    return document["outcome"], document["link"]["source"]


def test_a_swapped_sim_is_another_subscriber_until_it_is_swapped_back():
    with Box("--no-connect") as box:
        assert verified(box) == ("match", str(world.SUBSCRIBER.address))
        assert box.ctl("swap-sim") == {"number": f"+{world.OTHER_SUBSCRIBER.msisdn}"}
        assert verified(box) == ("match", str(world.OTHER_SUBSCRIBER.address))
        assert box.ctl("swap-sim") == {"number": f"+{world.SUBSCRIBER.msisdn}"}
        assert verified(box) == ("match", str(world.SUBSCRIBER.address))


def test_with_two_modems_the_other_sim_is_in_use():
    with Box("--modems", "2", "--no-connect") as box:
        with pytest.raises(SandboxError, match="other modem"):
            box.ctl("swap-sim")
        assert all(modem["plugged"] for modem in box.ctl("state")["modems"])
