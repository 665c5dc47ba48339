import struct
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_sandbox import world
from phonecheck_sandbox.modem.basic_connect import answer, indicated
from phonecheck_sandbox.modem.mbim import BASIC_CONNECT, INTERNET_CONTEXT, Cid, Command, Status, encode, number, text
from phonecheck_sandbox.modem.state import PIN_TRIES, PUK_TRIES, ModemState, Registration

PIN, PUK = 2, 11
ENTER, ENABLE, DISABLE, CHANGE = range(4)


@pytest.fixture
def state() -> ModemState:
    return ModemState.of(world.SUBSCRIBER)


def query(state: ModemState, cid: Cid) -> tuple[Status, bytes]:
    return answer(state, Command(BASIC_CONNECT, cid))


def put(state: ModemState, cid: Cid, information: bytes) -> tuple[Status, bytes]:
    return answer(state, Command(BASIC_CONNECT, cid, is_set=True, information=information))


def pin(state: ModemState, kind: int, operation: int, old: str, new: str = "") -> tuple[Status, tuple[int, ...]]:
    status, information = put(state, Cid.PIN, encode(kind, operation, old, new))
    return status, struct.unpack("<III", information)


def connect(state: ModemState, apn: str = "internet", *, session: int = 0, ip_type: int = 1) -> tuple[Status, bytes]:
    return put(state, Cid.CONNECT, encode(session, 1, apn, "", "", 0, 0, ip_type, INTERNET_CONTEXT))


def test_a_ready_sim_tells_its_identities_and_its_own_number(state: ModemState) -> None:
    status, buffer = query(state, Cid.SUBSCRIBER_READY_STATUS)
    assert (status, number(buffer, 0)) == (Status.SUCCESS, 1)
    assert (text(buffer, 4), text(buffer, 12)) == (world.SUBSCRIBER.imsi, world.SUBSCRIBER.iccid)
    assert (number(buffer, 24), text(buffer, 28)) == (1, f"+{world.SUBSCRIBER.msisdn}")


def test_a_sim_is_locked_with_the_tries_that_it_has_left(state: ModemState) -> None:
    state.sim.lock("1234", tries=1)
    assert pin(state, PIN, ENTER, "0000") == (Status.FAILURE, (PUK, 1, PUK_TRIES))
    assert state.sim.locked


def test_a_blocked_sim_takes_no_pin(state: ModemState) -> None:
    state.sim.block()
    assert pin(state, PIN, ENTER, "1234") == (Status.FAILURE, (PUK, 1, PUK_TRIES))
    assert number(query(state, Cid.SUBSCRIBER_READY_STATUS)[1], 0) == 6


def test_a_locked_sim_tells_no_imsi_and_no_number(state: ModemState) -> None:
    state.sim.lock("1234")
    _, buffer = query(state, Cid.SUBSCRIBER_READY_STATUS)
    assert (number(buffer, 0), text(buffer, 4), text(buffer, 12), number(buffer, 24)) == (
        6,
        "",
        world.SUBSCRIBER.iccid,
        0,
    )
    assert query(state, Cid.REGISTER_STATE)[0] == Status.PIN_REQUIRED
    assert connect(state)[0] == Status.PIN_REQUIRED


def test_without_a_sim_there_is_nothing_to_read(state: ModemState) -> None:
    state.sim.inserted = False
    assert number(query(state, Cid.SUBSCRIBER_READY_STATUS)[1], 0) == 2
    assert {query(state, cid)[0] for cid in (Cid.PIN, Cid.HOME_PROVIDER, Cid.REGISTER_STATE)} == {
        Status.SIM_NOT_INSERTED
    }


def test_three_wrong_pins_block_the_sim_and_the_puk_sets_a_new_one(state: ModemState) -> None:
    state.sim.lock("1234")
    assert pin(state, PIN, ENTER, "0000") == (Status.FAILURE, (PIN, 1, 2))
    assert pin(state, PIN, ENTER, "0000") == (Status.FAILURE, (PIN, 1, 1))
    assert pin(state, PIN, ENTER, "0000") == (Status.FAILURE, (PUK, 1, PUK_TRIES))
    assert pin(state, PIN, ENTER, "1234") == (Status.FAILURE, (PUK, 1, PUK_TRIES))
    assert pin(state, PUK, ENTER, "87654321", "4321") == (Status.FAILURE, (PUK, 1, PUK_TRIES - 1))
    assert pin(state, PUK, ENTER, "12345678", "4321") == (Status.SUCCESS, (PIN, 0, PIN_TRIES))
    state.sim.locked = True
    assert pin(state, PIN, ENTER, "4321") == (Status.SUCCESS, (PIN, 0, PIN_TRIES))


def test_ten_wrong_puks_end_the_sim(state: ModemState) -> None:
    state.sim.pin_tries = 0
    for _ in range(PUK_TRIES):
        assert pin(state, PUK, ENTER, "00000000", "1111")[0] == Status.FAILURE
    assert pin(state, PUK, ENTER, "12345678", "1111") == (Status.FAILURE, (PUK, 1, 0))


def test_a_pin_is_enabled_changed_and_disabled_with_the_right_pin_only(state: ModemState) -> None:
    steps = [
        (pin(state, PIN, operation, old, new)[0], state.sim.pin_enabled)
        for operation, old, new in [
            (ENABLE, "9999", ""),
            (ENABLE, "1234", ""),
            (CHANGE, "1234", "4321"),
            (DISABLE, "4321", ""),
        ]
    ]
    assert steps == [
        (Status.FAILURE, False),
        (Status.SUCCESS, True),
        (Status.SUCCESS, True),
        (Status.SUCCESS, False),
    ]


@pytest.mark.parametrize(
    ("network", "mbim", "operator"),
    [
        (Registration.HOME, 3, world.OPERATOR_CODE),
        (Registration.ROAMING, 4, "00102"),
        (Registration.SEARCHING, 2, ""),
        (Registration.DENIED, 6, ""),
        (Registration.IDLE, 1, ""),
    ],
)
def test_registration(state: ModemState, network: Registration, mbim: int, operator: str) -> None:
    state.radio.network = network
    _, buffer = query(state, Cid.REGISTER_STATE)
    assert (number(buffer, 4), text(buffer, 20)) == (mbim, operator)
    # What ModemManager needs to tell searching and denied from idle.
    assert bool(number(buffer, 12)) == (network is not Registration.IDLE)
    assert (connect(state)[0] == Status.SUCCESS) == network.served


def test_radio_off_is_idle(state: ModemState) -> None:
    assert put(state, Cid.RADIO_STATE, encode(0)) == (Status.SUCCESS, encode(1, 0))
    assert number(query(state, Cid.REGISTER_STATE)[1], 4) == Registration.IDLE


def test_a_session_has_the_addresses_of_its_subscriber() -> None:
    state = ModemState.of(world.OTHER_SUBSCRIBER)
    assert query(state, Cid.IP_CONFIGURATION)[0] == Status.CONTEXT_NOT_ACTIVATED
    assert connect(state)[0] == Status.SUCCESS
    _, buffer = query(state, Cid.IP_CONFIGURATION)
    fields = struct.unpack_from("<15I", buffer)
    assert fields[1:4] == (15, 0, 1)
    at, gateway, dns = fields[4], fields[7], fields[10]
    assert struct.unpack_from("<I4s", buffer, at) == (30, IPv4Address("10.64.0.6").packed)
    assert buffer[gateway : gateway + 4] == IPv4Address("10.64.0.5").packed
    assert buffer[dns:] == b"".join(server.packed for server in world.CARRIER_DNS)
    assert fields[9] == len(world.CARRIER_DNS)
    assert fields[13:] == (world.WWAN0_MTU, 0)


def ip_fields(state: ModemState) -> tuple[bytes, tuple[int, ...]]:
    status, buffer = query(state, Cid.IP_CONFIGURATION)
    assert status == Status.SUCCESS
    return buffer, struct.unpack_from("<15I", buffer)


@pytest.mark.parametrize(("ip", "ipv4"), [("6", 0), ("4v6", 15)])
def test_a_session_may_have_ipv6_alone_or_too(ip: Any, ipv4: int) -> None:
    state = ModemState.of(world.SUBSCRIBER, ip=ip)
    assert connect(state, ip_type=3)[0] == Status.SUCCESS
    buffer, fields = ip_fields(state)
    assert fields[1:4] == (ipv4, 15, int(ipv4 > 0))
    assert fields[5] == 1
    assert struct.unpack_from("<I16s", buffer, fields[6]) == (64, world.SUBSCRIBER.address6.packed)
    assert buffer[fields[8] : fields[8] + 16] == world.PGW_6.ip.packed
    assert fields[11] == len(world.CARRIER_DNS_6)
    assert buffer[fields[12] :] == b"".join(server.packed for server in world.CARRIER_DNS_6)
    assert fields[13:] == (world.WWAN0_MTU if ipv4 else 0, world.WWAN0_MTU)


def test_where_the_host_is_to_take_a_lease_nothing_of_ipv4_is_given() -> None:
    state = ModemState.of(world.SUBSCRIBER, ip="4v6", ip_method="dhcp")
    assert connect(state, ip_type=3)[0] == Status.SUCCESS
    _, fields = ip_fields(state)
    assert (fields[1], fields[3:5], fields[7], fields[9:11], fields[13]) == (0, (0, 0), 0, (0, 0), 0)
    assert (fields[2], fields[5]) == (15, 1)


IPV4_ONLY, IPV6_ONLY = 50, 51


@pytest.mark.parametrize(
    ("ip", "wanted", "granted", "network_error"),
    [
        ("4", 0, 1, 0),
        ("4", 1, 1, 0),
        ("4", 2, 0, IPV4_ONLY),
        ("4", 3, 1, 0),
        ("6", 1, 0, IPV6_ONLY),
        ("6", 2, 2, 0),
        ("6", 4, 2, 0),
        ("4v6", 0, 3, 0),
        ("4v6", 1, 1, 0),
        ("4v6", 2, 2, 0),
        ("4v6", 3, 3, 0),
    ],
)
def test_a_session_has_what_was_asked_for_and_is_offered(ip: Any, wanted: int, granted: int, network_error: int):
    state = ModemState.of(world.SUBSCRIBER, ip=ip)
    status, buffer = connect(state, ip_type=wanted)
    assert (status, number(buffer, 32)) == (Status.FAILURE if network_error else Status.SUCCESS, network_error)
    assert state.session.granted == granted
    if granted:
        assert number(buffer, 12) == granted
        _, fields = ip_fields(state)
        assert (bool(fields[1]), bool(fields[2])) == (bool(granted & 1), bool(granted & 2))


def test_an_ip_type_that_is_none_is_refused(state: ModemState) -> None:
    assert connect(state, ip_type=5)[0] == Status.INVALID_PARAMETERS


def test_a_network_may_refuse_every_session(state: ModemState) -> None:
    not_subscribed = 33
    state.session.refusal = not_subscribed
    status, buffer = connect(state)
    assert (status, number(buffer, 32), state.session.up) == (Status.FAILURE, not_subscribed, False)


def test_another_apn_is_refused_as_the_network_would(state: ModemState) -> None:
    status, buffer = connect(state, "nowhere")
    unknown_apn = 27
    assert (status, number(buffer, 32)) == (Status.FAILURE, unknown_apn)
    assert not state.session.up


def test_there_is_one_session(state: ModemState) -> None:
    assert connect(state, session=1)[0] == Status.MAX_ACTIVATED_CONTEXTS


def test_another_service_is_not_supported(state: ModemState) -> None:
    sms = UUID("533fbeeb-14fe-4467-9f90-33a223e56c3f")
    assert answer(state, Command(sms, 1)) == (Status.NO_DEVICE_SUPPORT, b"")


def test_every_command_that_is_announced_is_answered(state: ModemState) -> None:
    _, buffer = query(state, Cid.DEVICE_SERVICES)
    element = buffer[number(buffer, 8) :][: number(buffer, 12)]
    count = number(element, 24)
    announced = struct.unpack_from(f"<{count}I", element, 28)
    assert set(announced) == set(Cid)
    assert Status.NO_DEVICE_SUPPORT not in {query(state, Cid(cid))[0] for cid in announced}


@given(st.sampled_from(sorted(Cid)), st.booleans(), st.binary(max_size=80))
def test_no_information_buffer_breaks_the_modem(cid: Cid, is_set: bool, information: bytes) -> None:
    state = ModemState.of(world.SUBSCRIBER)
    status, _ = answer(state, Command(BASIC_CONNECT, cid, is_set, information))
    assert status in Status
    assert indicated(state).keys() >= {Cid.CONNECT, Cid.SUBSCRIBER_READY_STATUS}
