from __future__ import annotations

from phonecheck_sandbox import world
from phonecheck_sandbox.topology import session_of


def test_each_modem_has_the_address_of_its_subscriber_in_a_network_of_its_own():
    first, second = session_of(0), session_of(1)
    assert (first.interface, first.device.ip) == ("wwan0", world.SUBSCRIBER.address)
    assert (second.interface, second.device.ip) == ("wwan1", world.OTHER_SUBSCRIBER.address)
    for session in (first, second):
        assert session.gateway.ip in session.device.network
        assert session.device.network.subnet_of(world.SUBSCRIBERS)
    assert not first.device.network.overlaps(second.device.network)
