"""The JSON contract of docs/json.md, key by key."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface

from phonecheck import document
from phonecheck.errors import CheckError
from phonecheck.model import (
    Bearer,
    Hop,
    IpConfig,
    IpMethod,
    Link,
    Lock,
    Modem,
    ModemState,
    Outcome,
    Path,
    PhoneNumber,
    Registration,
    Sim,
    Timings,
)
from phonecheck.redact import Identity

MODEM = Modem(
    "/org/freedesktop/ModemManager1/Modem/0",
    device="/sys/devices/usb1/1-1",
    imei=Identity("867223029999992"),
    state=ModemState.CONNECTED,
    retries=((Lock.SIM_PIN, 3),),
    signal=67,
    technologies=("lte",),
    registration=Registration.HOME,
    operator_code="00101",
    operator_name="Sandbox Mobile",
    own_numbers=(PhoneNumber("447700900123"),),
    sim=Sim("/s", Identity("8944001012345678909"), Identity("001010123456789")),
    bearers=(Bearer("/b", "wwan0", True, ip4=IpConfig(IpMethod.STATIC, IPv4Interface("10.64.0.2/30"))),),
)
PATH = Path("wwan0", IPv4Address("10.64.0.2"), IPv4Address("203.0.113.10"), 443)
OUTCOME = Outcome(
    "inconclusive",
    PhoneNumber("447700900123"),
    "c69bc0e6",
    MODEM,
    Link("wwan0", (IPv4Interface("10.64.0.2/30"),), dns=(IPv4Address("10.64.0.53"),)),
    (
        Hop(1, "https://host/path?code=secret", 302, PATH, timings=Timings(1.234, 60.06, 61.0, 62.3, 185.0)),
        Hop(2, "http://he.mno.example/447700900123", cleartext=True, trace_ids=(("x-trace-id", "id-447700900123"),)),
    ),
    None,
    512.44,
    CheckError("not-mobile-ip", "Not mobile."),
)


def test_an_outcome_has_the_keys_of_the_design() -> None:
    found = document.of_outcome(OUTCOME)
    assert list(found) == [
        "schema", "outcome", "match", "check_id", "phone_number", "modem", "link", "hops", "http_status", "ms", "error",
    ]  # fmt: skip
    assert found["modem"] == {
        "id": "iccid:…8909",
        "operator": "Sandbox Mobile",
        "operator_code": "00101",
        "registration": "home",
        "technology": "lte",
        "signal": 67,
    }
    assert found["link"] == {"interface": "wwan0", "family": 4, "source": "10.64.0.2", "dns": ["10.64.0.53"]}
    hop = found["hops"][0]
    assert (hop["n"], hop["url"], hop["status"], hop["peer"], hop["bound_to"], hop["cleartext"]) == (
        1, "https://host/path?…", 302, "203.0.113.10", "wwan0", False,
    )  # fmt: skip
    assert hop["ms"] == {"dns": 1.2, "connect": 60.1, "tls": 61.0, "first_byte": 62.3, "total": 185.0}
    assert found["hops"][1]["status"] is None
    assert found["ms"] == 512.4
    assert found["error"]["code"] == "not-mobile-ip"
    assert found["error"]["retryable"] is False


def test_match_is_null_unless_the_app_server_said() -> None:
    for word, match in (("match", True), ("no_match", False), ("inconclusive", None), ("opened", None)):
        assert document.of_outcome(Outcome(word))["match"] is match  # type: ignore[arg-type]


def test_nothing_secret_is_in_any_document() -> None:
    text = json.dumps([document.of_outcome(OUTCOME), document.of_modem(MODEM)])
    for secret in ("447700900123", "8944001012345678909", "001010123456789", "867223029999992", "secret"):
        assert secret not in text


def test_a_modem_has_its_sim_its_retries_and_its_bearers() -> None:
    found = document.of_modem(MODEM)
    assert found["state"] == "connected"
    assert found["retries"] == {"sim-pin": 3}
    assert found["own_numbers"] == ["…0123"]
    assert found["sim"]["imsi"] == "…6789"
    assert found["bearers"][0]["ip4"]["address"] == "10.64.0.2/30"


def test_a_trace_id_is_kept_whole_unless_it_could_be_a_number() -> None:
    ids = (("x-a-trace-id", "4f1234567890abcd"), ("x-b-trace-id", "447700900123"), ("x-c-trace-id", "tel447700900123"))
    found = document.of_outcome(Outcome("opened", hops=(Hop(1, "https://a/", 200, trace_ids=ids),)))["hops"][0][
        "trace_ids"
    ]
    assert found["x-a-trace-id"] == "4f1234567890abcd"
    assert not any("447700900123" in value for value in found.values())
