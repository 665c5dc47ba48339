from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonecheck.errors import AgentError
from phonecheck.model import FailedReason, IpMethod, Lock, Modem, ModemState, PacketService, Registration
from phonecheck.modem import names, parse
from phonecheck.modem.ready import Done, Wishes, link_of, next_step

MODEM, SIM, BEARER = f"{names.ROOT}/Modem/0", f"{names.ROOT}/SIM/0", f"{names.ROOT}/Bearer/0"


def read(objects: dict[str, dict[str, dict[str, Any]]]) -> Modem:
    (modem,) = parse.modems(objects)
    return modem


def test_reads_a_connected_modem(objects):
    modem = read(objects)
    assert (modem.path, modem.device) == (MODEM, "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1")
    assert (modem.manufacturer, modem.model) == ("Linux Foundation", "Virtual MBIM modem")
    assert modem.imei.value == "867223029999992"
    assert modem.state is ModemState.CONNECTED
    assert modem.failed_reason is FailedReason.NONE
    assert modem.lock is Lock.NONE
    assert modem.retries == ((Lock.SIM_PIN, 3),)
    assert modem.signal == 67
    assert modem.technologies == ("lte",)
    assert modem.registration is Registration.HOME
    assert modem.packet_service is PacketService.ATTACHED
    assert (modem.operator_code, modem.operator_name) == ("00101", "Testnet LTE")
    assert [number.digits for number in modem.own_numbers] == ["447700900123"]


def test_reads_the_sim(objects):
    sim = read(objects).sim
    assert sim.path == SIM
    assert sim.iccid.value == "8944001012345678909"
    assert sim.imsi.value == "001010123456789"
    assert (sim.operator_code, sim.operator_name) == ("00101", "Testnet LTE")


def test_reads_the_bearer_with_its_two_configurations(objects):
    objects[BEARER][names.BEARER]["Ip6Config"] = {
        "method": 2,
        "address": "2001:db8::2",
        "prefix": 64,
        "gateway": "fe80::1",
        "dns1": "2001:db8::53",
        "mtu": 1400,
    }
    (bearer,) = read(objects).bearers
    assert (bearer.path, bearer.interface, bearer.apn) == (BEARER, "wwan0", "internet")
    assert (bearer.connected, bearer.suspended, bearer.default) == (True, False, True)
    assert bearer.ip4.method is IpMethod.STATIC
    assert bearer.ip4.address == IPv4Interface("10.64.0.2/30")
    assert bearer.ip4.gateway == IPv4Address("10.64.0.1")
    assert bearer.ip4.dns == (IPv4Address("10.64.0.53"), IPv4Address("10.64.1.53"))
    assert bearer.ip4.mtu == 1430
    assert bearer.ip6.address == IPv6Interface("2001:db8::2/64")
    assert bearer.ip6.gateway == IPv6Address("fe80::1")


def test_a_family_without_a_method_is_none(objects):
    assert read(objects).bearers[0].ip6 is None


def test_dhcp_needs_no_more_than_its_method(objects):
    objects[BEARER][names.BEARER]["Ip4Config"] = {"method": 3}
    config = read(objects).bearers[0].ip4
    assert (config.method, config.address, config.dns, config.mtu) == (IpMethod.DHCP, None, (), None)


def test_zeros_that_modems_write_for_nothing_are_nothing(objects):
    objects[BEARER][names.BEARER]["Ip4Config"].update({"gateway": "0.0.0.0", "dns1": "0.0.0.0", "mtu": 0})
    config = read(objects).bearers[0].ip4
    assert (config.gateway, config.dns, config.mtu) == (None, (IPv4Address("10.64.1.53"),), None)


@pytest.mark.parametrize(
    "change",
    [
        {"address": "10.64.0.256"},
        {"address": "2001:db8::2"},
        {"address": 174063618},
        {"address": "127.0.0.1"},
        {"prefix": 33},
        {"prefix": "30"},
        {"prefix": 2**40},
        {"prefix": True},
    ],
)
def test_an_address_that_cannot_be_one_is_left_out(objects, change):
    objects[BEARER][names.BEARER]["Ip4Config"].update(change)
    config = read(objects).bearers[0].ip4
    assert config.address is None
    assert config.gateway == IPv4Address("10.64.0.1")


def test_a_scope_is_no_part_of_an_address(objects):
    objects[BEARER][names.BEARER]["Ip6Config"] = {"method": 2, "address": "fe80::1%\x1b[31m", "gateway": "fe80::1%x"}
    config = read(objects).bearers[0].ip6
    assert (config.address, config.gateway) == (None, None)


@pytest.mark.parametrize(("kind", "default"), [(0, True), (1, True), (2, False), (3, False), (99, False), (None, True)])
def test_tells_default_bearers_from_others(objects, kind, default):
    objects[BEARER][names.BEARER]["BearerType"] = kind
    assert read(objects).bearers[0].default is default


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (("org.freedesktop.ModemManager1.Error.MobileEquipment.X", "Missing or unknown APN"), "Missing or unknown APN"),
        (("org.freedesktop.ModemManager1.Error.MobileEquipment.NoNetwork", ""), "NoNetwork"),
        (("a.b.C", "IMSI 001010123456789 \x1b[31mrefused\n"), "IMSI …6789 [31mrefused"),
        (("", ""), ""),
        (("one",), ""),
        ("text", ""),
    ],
)
def test_a_connection_error_is_told_in_words_without_identities(objects, value, words):
    objects[BEARER][names.BEARER]["ConnectionError"] = value
    assert read(objects).bearers[0].connection_error == words


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (0, ()),
        (1 << 5, ("umts",)),
        (1 << 14 | 1 << 15, ("lte", "5gnr")),
        (1 << 17, ("lte-nb-iot",)),
        (1 << 20, ("bit-20",)),
        (-1, ()),
        (2**40, ()),
        ("lte", ()),
    ],
)
def test_technologies_are_words_and_unknown_bits_survive(objects, mask, words):
    objects[MODEM][names.MODEM]["AccessTechnologies"] = mask
    assert read(objects).technologies == words


@pytest.mark.parametrize(
    ("value", "signal"),
    [((67, True), 67), ((67, False), 67), ((0, False), None), ((0, True), 0), ((101, True), None), (67, None)],
)
def test_signal(objects, value, signal):
    objects[MODEM][names.MODEM]["SignalQuality"] = value
    assert read(objects).signal == signal


def test_own_numbers_are_those_in_international_form(objects):
    objects[MODEM][names.MODEM]["OwnNumbers"] = ["07700900123", "5551234567", "+447700900123", "+0", "", 7, "+1 555"]
    assert [number.digits for number in read(objects).own_numbers] == ["447700900123"]


def test_new_enumeration_values_survive(objects):
    objects[MODEM][names.MODEM].update({"State": 42, "UnlockRequired": 77, "UnlockRetries": {99: 1, 2: 3}})
    modem = read(objects)
    assert (modem.state, modem.state.word) == (42, "unknown-42")
    assert modem.lock.word == "unknown-77"
    assert [(lock.word, left) for lock, left in modem.retries] == [("sim-pin", 3), ("unknown-99", 1)]


def test_the_imei_is_the_equipment_identifier_where_there_is_no_3gpp(objects):
    del objects[MODEM][names.MODEM_3GPP]
    modem = read(objects)
    assert modem.imei.value == "867223029999992"
    assert modem.registration is Registration.UNKNOWN


@pytest.mark.parametrize("sim", ["/", "", "no path", "/a//b", None, 3])
def test_a_modem_without_a_sim(objects, sim):
    objects[MODEM][names.MODEM]["Sim"] = sim
    assert read(objects).sim is None


def test_sim_and_bearer_that_went_while_they_were_read_stay_as_paths(objects):
    modem = read({MODEM: objects[MODEM]})
    assert (modem.sim.path, modem.sim.iccid) == (SIM, None)
    assert [(b.path, b.connected) for b in modem.bearers] == [(BEARER, False)]


def test_names_the_parts_that_are_not_below_the_object_manager(objects):
    objects[MODEM][names.MODEM]["Bearers"] = [BEARER, "junk", f"{names.ROOT}/Bearer/7", BEARER]
    assert list(parse.parts({MODEM: objects[MODEM]})) == [
        (SIM, names.SIM),
        (BEARER, names.BEARER),
        (f"{names.ROOT}/Bearer/7", names.BEARER),
    ]


def test_the_oldest_modem_comes_first(objects):
    paths = [f"{names.ROOT}/Modem/{n}" for n in (10, 9, 2)]
    assert [m.path for m in parse.modems(dict.fromkeys(paths, objects[MODEM]))] == paths[::-1]


def test_objects_that_are_no_modems_are_passed_over(objects):
    assert parse.modems({"/x": {"org.example.Other": {}}, SIM: objects[SIM]}) == ()


def test_hostile_text_reaches_no_terminal(objects):
    objects[MODEM][names.MODEM_3GPP]["OperatorName"] = "\x1b]0;owned\x07Net\n" + "x" * 5000
    name = read(objects).operator_name
    assert name.isprintable()
    assert len(name) <= 120


@pytest.mark.parametrize("name", ["a" * 16, "wwan 0", "../x", "w\x1b", "", 7])
def test_what_cannot_be_an_interface_is_none(objects, name):
    objects[BEARER][names.BEARER]["Interface"] = name
    assert read(objects).bearers[0].interface == ""


def test_identities_show_their_last_four_only(objects):
    shown = repr(read(objects))
    for whole in ("867223029999992", "001010123456789", "8944001012345678909", "447700900123"):
        assert whole not in shown


class Recorder(Mapping[str, object]):
    """Remembers which keys were asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content, self.asked = content, set[str]()

    def __getitem__(self, key: str) -> object:
        self.asked.add(key)
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


@pytest.mark.parametrize(
    ("path", "interface", "kind"),
    [
        (MODEM, names.MODEM, names.ModemProperties),
        (MODEM, names.MODEM_3GPP, names.Modem3gppProperties),
        (SIM, names.SIM, names.SimProperties),
        (BEARER, names.BEARER, names.BearerProperties),
    ],
)
def test_names_lists_exactly_what_is_read(objects, path, interface, kind):
    # An identifier that is missing makes its substitute asked for.
    objects[MODEM][names.MODEM_3GPP].pop("Imei", None)
    recorder = objects[path][interface] = Recorder(objects[path][interface])
    read(objects)
    assert recorder.asked == set(kind.__annotations__)


def test_names_lists_exactly_what_is_read_of_an_ip_configuration(objects):
    recorder = objects[BEARER][names.BEARER]["Ip4Config"] = Recorder(objects[BEARER][names.BEARER]["Ip4Config"])
    read(objects)
    assert recorder.asked == set(names.IpConfigItems.__annotations__)


# Values that a hostile or broken service might give, nested as D-Bus values can be.
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.binary(max_size=4)
    | st.sampled_from(["/", SIM, BEARER, "+447700900123", "10.0.0.1", "::1", "9" * 5000])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=6,
)


def properties(kind: type) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(kind.__annotations__, values))


hostile = st.fixed_dictionaries(
    {
        MODEM: st.fixed_dictionaries(
            {names.MODEM: properties(names.ModemProperties) | values},
            optional={names.MODEM_3GPP: properties(names.Modem3gppProperties) | values},
        ),
        BEARER: st.fixed_dictionaries(
            {
                names.BEARER: st.fixed_dictionaries(
                    {},
                    optional={
                        **dict.fromkeys(names.BearerProperties.__annotations__, values),
                        "Ip4Config": properties(names.IpConfigItems),
                        "Ip6Config": properties(names.IpConfigItems),
                    },
                )
            }
        ),
        SIM: values | st.fixed_dictionaries({names.SIM: properties(names.SimProperties)}),
    }
)


@given(hostile)
def test_hostile_properties_make_a_modem_and_no_exception(objects):
    objects[MODEM][names.MODEM] = {"Bearers": [BEARER], "Sim": SIM, **as_dict(objects[MODEM][names.MODEM])}
    (modem,) = parse.modems(objects)
    list(parse.parts(objects))
    assert repr(modem).isprintable()
    with contextlib.suppress(AgentError):
        next_step(modem, Wishes(connect=True, wait=True, has_pin=True), Done())
    with contextlib.suppress(AgentError):
        link_of(modem)


@given(values)
def test_anything_at_all_makes_no_exception(anything):
    assert isinstance(parse.modems(anything), tuple)
    assert isinstance(list(parse.parts(anything)), list)


def as_dict(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
