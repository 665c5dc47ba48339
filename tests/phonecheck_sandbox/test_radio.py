from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.radio import IDLE_AFTER, LONGEST_BACKLOG, MOST_IN_FLIGHT, Air

IPV4, IPV6 = bytes([0x45]) + bytes(19), bytes([0x60]) + bytes(39)


def air(seed: int = 1, *, ethernet: bool = False, **conditions: float | bool | str) -> Air:
    return Air(Conditions(**conditions), Random(seed), ethernet=ethernet)  # type: ignore[arg-type]


def frame(kind: int, packet: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2) + packet


ARP = frame(0x0806, bytes(28))
SOLICITATION, ECHO = (
    frame(0x86DD, bytes([0x60, 0, 0, 0, 0, 24, 58, 255]) + bytes(32) + bytes([kind])) for kind in (135, 128)
)


def sent_up(through: Air, packets: list[tuple[float, bytes]]) -> None:
    for at, packet in packets:
        through.send(packet, at, up=True)


def test_an_ordinary_radio_passes_everything_at_once():
    radio = air()
    radio.send(b"a", 5.0, up=True)
    assert list(radio.arrived(5.0, up=True)) == [b"a"]
    assert radio.next_arrival() is None


def test_the_directions_do_not_mix():
    radio = air()
    radio.send(b"up", 0.0, up=True)
    radio.send(b"down", 0.0, up=False)
    assert list(radio.arrived(0.0, up=False)) == [b"down"]
    assert list(radio.arrived(0.0, up=True)) == [b"up"]


def test_each_direction_takes_half_of_the_round_trip():
    radio = air(radio_rtt=60.0)
    radio.send(b"a", 1.0, up=True)
    assert radio.next_arrival() == 1.03
    assert list(radio.arrived(1.029, up=True)) == []
    assert list(radio.arrived(1.03, up=True)) == [b"a"]


def test_the_first_packet_after_silence_waits_for_the_radio_and_those_behind_it_too():
    radio = air(radio_wake=2000.0)
    sent_up(radio, [(0.0, b"first"), (0.5, b"second"), (2.5, b"awake")])
    assert list(radio.arrived(1.999, up=True)) == []
    assert list(radio.arrived(2.0, up=True)) == [b"first", b"second"]
    assert list(radio.arrived(2.5, up=True)) == [b"awake"]


def test_traffic_in_one_direction_keeps_the_other_awake_until_both_are_silent():
    radio = air(radio_wake=1000.0)
    radio.send(b"", 0.0, up=False)
    radio.send(b"a", IDLE_AFTER, up=True)
    assert list(radio.arrived(IDLE_AFTER, up=True)) == [b"a"]
    asleep = 2 * IDLE_AFTER + 1
    radio.send(b"b", asleep, up=True)
    assert list(radio.arrived(asleep + 0.999, up=True)) == []
    assert list(radio.arrived(asleep + 1.0, up=True)) == [b"b"]


def test_a_rate_spaces_the_packets():
    radio = air(radio_rate=8.0)  # 1000 bytes a second
    sent_up(radio, [(0.0, bytes(100)), (0.0, bytes(200))])
    assert radio.next_arrival() == 0.1
    assert len(list(radio.arrived(0.299, up=True))) == 1
    assert len(list(radio.arrived(0.301, up=True))) == 1


def test_a_slow_line_drops_what_would_wait_too_long():
    radio = air(radio_rate=8.0)
    sent_up(radio, [(0.0, bytes(100))] * 50)
    passed = list(radio.arrived(100.0, up=True))
    assert len(passed) * 0.1 <= LONGEST_BACKLOG + 0.2
    assert len(passed) >= 10


def test_the_packets_in_flight_are_bounded():
    radio = air(radio_rtt=1e6)
    sent_up(radio, [(0.0, b"x")] * (MOST_IN_FLIGHT + 10))
    assert len(list(radio.arrived(1e6, up=True))) == MOST_IN_FLIGHT


def test_a_dead_radio_swallows_everything_and_a_change_acts_at_once():
    conditions = Conditions(radio_dead=True)
    radio = Air(conditions, Random(1))
    radio.send(b"a", 0.0, up=True)
    conditions.radio_dead = False
    radio.send(b"b", 0.0, up=True)
    assert list(radio.arrived(0.0, up=True)) == [b"b"]


@pytest.mark.parametrize(("hole", "passes"), [("", [IPV4, IPV6]), ("4", [IPV6]), ("6", [IPV4])])
def test_a_black_hole_swallows_its_family_alone(hole: str, passes: list[bytes]):
    raw, framed = air(radio_black_hole=hole), air(radio_black_hole=hole, ethernet=True)
    for packet, kind in ((IPV4, 0x0800), (IPV6, 0x86DD)):
        raw.send(packet, 0.0, up=True)
        framed.send(frame(kind, packet), 0.0, up=False)
    assert list(raw.arrived(0.0, up=True)) == passes
    assert [one[14:] for one in framed.arrived(0.0, up=False)] == passes


@pytest.mark.parametrize("conditions", [{"radio_dead": True}, {"radio_loss": 100.0}, {"radio_black_hole": "6"}])
def test_a_modem_answers_for_its_neighbours_whatever_the_radio_is_in(conditions: dict[str, Any]):
    radio = air(ethernet=True, radio_rtt=100.0, **conditions)
    sent_up(radio, [(0.0, ARP), (0.0, SOLICITATION), (0.0, ECHO)])
    assert list(radio.arrived(0.0, up=True)) == [ARP, SOLICITATION]
    assert radio.next_arrival() is None


@given(st.binary(max_size=60), st.booleans())
def test_what_is_no_packet_is_relayed_too(data: bytes, ethernet: bool):
    radio = air(ethernet=ethernet)
    radio.send(data, 0.0, up=True)
    assert list(radio.arrived(0.0, up=True)) == [data]


def test_loss_is_a_percentage():
    radio = air(radio_loss=30.0)
    sent_up(radio, [(0.0, b"x")] * 1000)
    assert 600 < len(list(radio.arrived(0.0, up=True))) < 800
    everything = air(radio_loss=100.0)
    sent_up(everything, [(0.0, b"x")] * 1000)
    assert list(everything.arrived(0.0, up=True)) == []


@given(
    gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=40),
    jitter=st.floats(0, 500),
    rtt=st.floats(0, 500),
    seed=st.integers(0, 1000),
)
def test_jitter_delays_and_never_reorders(gaps: list[float], jitter: float, rtt: float, seed: int):
    radio = air(seed, radio_jitter=jitter, radio_rtt=rtt)
    now, sent = 0.0, []
    for number, gap in enumerate(gaps):
        now += gap
        radio.send(str(number).encode(), now, up=True)
        sent.append(str(number).encode())
    assert list(radio.arrived(now + (jitter + rtt) / 1000 + 1e-9, up=True)) == sent


@given(st.floats(1, 500), st.floats(0, 500))
def test_no_packet_is_earlier_than_half_the_round_trip_nor_later_than_the_jitter_allows(rtt: float, jitter: float):
    radio = air(7, radio_rtt=rtt, radio_jitter=jitter)
    radio.send(b"a", 10.0, up=False)
    at = radio.next_arrival()
    assert at is not None
    assert rtt / 2000 - 1e-9 <= at - 10.0 <= (rtt / 2 + jitter) / 1000 + 1e-9


@pytest.mark.parametrize(("size", "passes"), [(1280, True), (1281, False)])
@pytest.mark.parametrize("ethernet", [False, True])
@pytest.mark.parametrize("up", [True, False])
def test_a_path_that_is_too_narrow_swallows_ip_packets_by_their_size(size: int, passes: bool, ethernet: bool, up: bool):
    radio = air(radio_mtu=1280, ethernet=ethernet)
    packet = IPV4 + bytes(size - len(IPV4))
    sent = frame(0x0800, packet) if ethernet else packet
    radio.send(sent, 0.0, up=up)
    assert list(radio.arrived(0.0, up=up)) == [sent] * passes
