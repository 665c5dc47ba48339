from __future__ import annotations

import pytest

from phonecheck_sandbox import world
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.mobile_link import handed_over, session_of
from phonecheck_sandbox.plan import IpType


def test_each_modem_has_the_addresses_of_its_subscriber_in_networks_of_its_own():
    first, second = session_of(0, ip="4v6"), session_of(1, ip="4v6")
    for session, interface, subscriber in (
        (first, "wwan0", world.SUBSCRIBER),
        (second, "wwan1", world.OTHER_SUBSCRIBER),
    ):
        assert session.interface == interface
        assert [address.ip for address in session.device.addresses] == [subscriber.address, subscriber.address6]
        for near, far in zip(session.device.addresses, session.gateway.addresses, strict=True):
            assert near.network == far.network
            assert near.ip != far.ip
    networks = [address.network for session in (first, second) for address in session.device.addresses]
    assert len(set(networks)) == len(networks)


def test_a_session_has_the_families_that_the_network_gives_and_the_shape_of_its_modem():
    assert [address.version for address in session_of(0).device.addresses] == [4]
    assert [address.version for address in session_of(0, ip="6").device.addresses] == [6]
    assert not session_of(0).ethernet
    assert (session_of(0, kind="ethernet").interface, session_of(0, kind="ethernet").ethernet) == ("wwan0", True)
    assert (session_of(0, kind="hat").interface, session_of(0, kind="hat").ethernet) == ("usb0", True)


def test_the_map_and_the_session_agree():
    session = session_of(0, ip="4v6")
    assert session.device.addresses == (world.WWAN0, world.WWAN0_6)
    assert session.gateway.addresses == (world.PGW, world.PGW_6)


@pytest.mark.parametrize("ip", ["4", "6", "4v6"])
def test_a_session_that_is_handed_over_is_what_the_other_subscriber_has(ip: IpType):
    mine, theirs = session_of(0, ip=ip), session_of(1, ip=ip)
    now = handed_over(mine, world.OTHER_SUBSCRIBER)
    assert (now.interface, now.gateway.interface) == (mine.interface, mine.gateway.interface)
    assert now.device.addresses == theirs.device.addresses
    assert now.gateway.addresses == theirs.gateway.addresses
    assert handed_over(now, world.SUBSCRIBER) == mine


def test_a_leased_session_stays_its_subscribers():
    with pytest.raises(SandboxError, match="leases"):
        handed_over(session_of(0, kind="ethernet", method="dhcp"), world.OTHER_SUBSCRIBER)
