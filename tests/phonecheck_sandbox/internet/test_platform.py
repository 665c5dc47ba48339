from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

pytestmark = pytest.mark.anyio
Net = Any  # of conftest.py

HOME = "192.0.2.10"
TYPES = "https://developer.tru.id/docs/reference/api-errors#"
PROBLEMS = {
    "mno_not_supported": (400, "Bad Request", "Mobile Network Operator Not Supported"),
    "phone_format_invalid": (400, "Bad Request", "Phone Number Validation Error"),
    "bad_request": (400, "Bad Request", "The request body is invalid"),
    "forbidden": (403, "Forbidden", "Forbidden"),
    "check_not_found": (404, "Not Found", "Check Not Found"),
    "ip_msisdn_mismatch": (409, "Conflict", "ip_msisdn_mismatch"),
    "not_mobile_ip": (412, "Precondition Failed", "Not a mobile IP"),
    "mno_redirect_unsupported": (501, "Not Implemented", "Mobile Network Operator Not Supporting Redirect"),
}


def is_problem(answer: httpx.Response, word: str) -> bool:
    """Whether the answer is the problem of the specification, word for word."""
    status, title, detail = PROBLEMS[word]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {"type": TYPES + word, "title": title, "detail": detail}
    assert answer.status_code == status
    return True


async def open_url(net: Net, url: str, **where: Any) -> httpx.Response:
    async with net.browser(**where) as browser:
        answer: httpx.Response = await browser.get(url)
        return answer


async def test_a_v02_check_from_creation_to_match(net: Net) -> None:
    check = await net.create(reference_id="mine")
    assert check["status"] == "ACCEPTED"
    assert (check["ttl"], check["charge_amount"], check["charge_currency"], check["snapshot_balance"]) == (
        60,
        1,
        "API",
        999,
    )
    url = check["_links"]["check_url"]["href"]
    assert re.fullmatch(r"https://api\.platform\.example/phone_check/v0\.2/checks/[0-9a-f-]{36}/redirect", url)
    end = await open_url(net, url)
    assert end.status_code == 200
    assert end.headers["Content-Type"] == "application/hal+json"
    assert set(end.json()) == {"check_id", "code", "reference_id"}
    assert (end.json()["check_id"], end.json()["reference_id"]) == (check["check_id"], "mine")
    assert (await net.read(url))["status"] == "PENDING"
    done = await net.patch(url, end.json()["code"])
    assert done.status_code == 200
    assert (done.json()["status"], done.json()["match"], done.json()["reference_id"]) == ("COMPLETED", True, "mine")
    shown = await net.read(url)
    assert (shown["status"], shown["match"], shown["network_id"]) == ("COMPLETED", True, "00101")
    assert "check_url" not in shown["_links"]


async def test_the_chain_has_the_hops_of_a_real_one(net: Net) -> None:
    end = await open_url(net, await net.check_url())
    hops = [(r.status_code, r.url.scheme, r.url.host) for r in end.history]
    assert hops == [
        (302, "https", "api.platform.example"),
        (302, "https", "start.mno.example"),
        (303, "http", "he.mno.example"),
        (302, "https", "id.mno.example"),
        (307, "https", "id.mno.example"),
    ]
    locations = [next((n, v) for n, v in r.headers.raw if n.lower() == b"location") for r in end.history]
    assert b" " in locations[2][1]
    assert locations[3][0] == b"LOCATION"
    assert locations[3][1].startswith(b"../")


@pytest.mark.parametrize("extra", [3, 4, 6])
async def test_extra_hops_are_extra_redirects(net: Net, extra: int) -> None:
    net.conditions.mno_extra_hops = extra
    end = await open_url(net, await net.check_url())
    assert (end.status_code, len(end.history)) == (200, 5 + extra)


async def test_a_v01_chain_ends_with_ok_and_the_read_after_it_completes(net: Net) -> None:
    net.conditions.platform_pending = 2
    url = await net.check_url("v0.1")
    assert (await net.read(url))["status"] == "ACCEPTED"
    end = await open_url(net, url)
    assert (end.status_code, end.text, end.headers["Content-Type"]) == (200, "OK", "text/plain; charset=utf-8")
    statuses = [await net.read(url) for _ in range(4)]
    assert [s["status"] for s in statuses] == ["PENDING", "PENDING", "COMPLETED", "COMPLETED"]
    assert "match" not in statuses[0]
    assert statuses[3]["match"] is True


@pytest.mark.parametrize("version", ["v0.1", "v0.2"])
async def test_another_subscribers_number_completes_without_a_match(net: Net, version: str) -> None:
    url = await net.check_url(version, "447700900456")
    end = await open_url(net, url)
    if version == "v0.2":
        assert (await net.patch(url, end.json()["code"])).json()["match"] is False
    assert (await net.read(url))["match"] is False


async def test_the_session_decides_whose_number_it_is(net: Net) -> None:
    url = await net.check_url(number="447700900456")
    end = await open_url(net, url, session="10.64.0.6")
    assert (await net.patch(url, end.json()["code"])).json()["match"] is True


async def test_another_operators_number_is_a_409_and_an_error(net: Net) -> None:
    url = await net.check_url(number="447911123456")
    assert is_problem(await open_url(net, url), "ip_msisdn_mismatch")
    shown = await net.read(url)
    assert (shown["status"], shown["error_code"]) == ("ERROR", "ip_msisdn_mismatch")
    assert is_problem(await open_url(net, url), "check_not_found")


async def test_from_a_fixed_line_it_is_a_412_which_spends_nothing(net: Net) -> None:
    url = await net.check_url()
    assert is_problem(await open_url(net, url, public=HOME), "not_mobile_ip")
    assert (await net.read(url))["status"] == "ACCEPTED"
    assert (await open_url(net, url)).status_code == 200
    # Also of a check that is spent: the address is looked at first.
    assert is_problem(await open_url(net, url, public=HOME), "not_mobile_ip")


async def test_a_check_url_works_once(net: Net) -> None:
    url = await net.check_url()
    assert (await open_url(net, url)).status_code == 200
    assert is_problem(await open_url(net, url), "check_not_found")


async def test_the_way_back_works_once_and_with_its_state_alone(net: Net) -> None:
    url = await net.check_url()
    end = await open_url(net, url)
    back = str(end.url)
    assert "/return?state=" in back
    assert is_problem(await open_url(net, back), "check_not_found")
    second = await net.check_url()
    async with net.browser(follow=False) as browser:
        await browser.get(second)
    forged = second.replace("/redirect", "/return?state=guess&token=guess")
    assert is_problem(await open_url(net, forged), "check_not_found")


async def test_a_token_the_operator_never_gave_ends_in_an_error(net: Net) -> None:
    url = await net.check_url()
    async with net.browser(follow=False) as browser:
        location = (await browser.get(url)).headers["Location"]
        state = parse_qs(urlsplit(location).query)["state"][0]
        end = await browser.get(url.replace("/redirect", f"/return?state={state}&token=made-up"))
    assert (end.status_code, end.json()["error"]) == (200, "mno_user_not_found")
    assert (await net.read(url))["error_code"] == "mno_user_not_found"


@pytest.mark.parametrize("code", ["wrong", "", "é"])
async def test_a_wrong_code_is_a_404_and_leaves_the_right_one(net: Net, code: str) -> None:
    url = await net.check_url()
    end = await open_url(net, url)
    assert is_problem(await net.patch(url, code), "check_not_found")
    assert (await net.patch(url, end.json()["code"])).status_code == 200
    assert is_problem(await net.patch(url, end.json()["code"]), "check_not_found")


async def test_completing_before_the_chain_is_a_404(net: Net) -> None:
    assert is_problem(await net.patch(await net.check_url(), "anything"), "check_not_found")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'[{"op":"add","path":"/code","value":"x"}]', "application/json"),
        (b'{"op":"add","path":"/code","value":"x"}', "application/json-patch+json"),
        (b'[{"op":"replace","path":"/code","value":"x"}]', "application/json-patch+json"),
        (b'[{"op":"add","path":"/match","value":"x"}]', "application/json-patch+json"),
        (b'[{"op":"add","path":"/code","value":1}]', "application/json-patch+json"),
        (b"[]", "application/json-patch+json"),
        (b"[", "application/json-patch+json"),
    ],
)
async def test_only_the_one_patch_is_taken(net: Net, body: bytes, media_type: str) -> None:
    url = await net.check_url()
    headers = {**await net.access_token(), "Content-Type": media_type}
    async with net.project() as project:
        answer = await project.patch(url.removesuffix("/redirect"), content=body, headers=headers)
    assert is_problem(answer, "bad_request")


@pytest.mark.parametrize("opened", [False, True])
async def test_a_check_expires_with_its_ttl(net: Net, opened: bool) -> None:
    net.conditions.platform_ttl = 30
    url = await net.check_url()
    code = (await open_url(net, url)).json()["code"] if opened else "none"
    net.clock.now += 30
    assert (await net.read(url))["status"] == "EXPIRED"
    assert is_problem(await net.patch(url, code), "check_not_found")
    assert is_problem(await open_url(net, url), "check_not_found")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "mno_not_supported"),
        (404, "check_not_found"),
        (409, "ip_msisdn_mismatch"),
        (412, "not_mobile_ip"),
        (501, "mno_redirect_unsupported"),
    ],
)
async def test_the_check_url_answers_with_the_status_asked_for(net: Net, status: int, word: str) -> None:
    url = await net.check_url()
    net.conditions.platform_status = status
    assert is_problem(await open_url(net, url), word)


async def test_429_says_when_to_come_back_and_500_is_one(net: Net) -> None:
    url = await net.check_url()
    net.conditions.platform_status = 429
    limited = await open_url(net, url)
    assert (limited.status_code, limited.headers["Retry-After"], limited.json()["type"]) == (
        429,
        "30",
        TYPES + "too_many_requests",
    )
    net.conditions.platform_status = 500
    assert (await open_url(net, url)).status_code == 500
    net.conditions.platform_status = 0
    net.conditions.platform_create_status = 429
    async with net.project() as project:
        answer = await project.post(
            "/phone_check/v0.2/checks", json={"phone_number": "447700900123"}, headers=await net.access_token()
        )
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")


async def test_a_v02_chain_can_end_with_an_error_at_200(net: Net) -> None:
    net.conditions.platform_error = "mno_redirect_unsupported"
    check = await net.create(reference_id="mine")
    end = await open_url(net, check["_links"]["check_url"]["href"])
    assert end.status_code == 200
    assert end.json() == {
        "check_id": check["check_id"],
        "error": "mno_redirect_unsupported",
        "error_description": "mno redirect unsupported",
        "reference_id": "mine",
    }


@pytest.mark.parametrize("error", ["", "mno_timeout"])
async def test_a_redirect_url_gets_code_or_error_in_its_query(net: Net, error: str) -> None:
    net.conditions.platform_error = error
    url = await net.check_url(redirect_url="https://app.customer.example/done?x=1")
    end = await open_url(net, url)
    last = end.history[-1]
    assert last.status_code == 302
    query = parse_qs(urlsplit(last.headers["Location"]).query)
    assert query["x"] == ["1"]
    assert query["check_id"] == [url.split("/")[-2]]
    assert ("code" in query, query.get("error")) == ((False, ["mno_timeout"]) if error else (True, None))


async def test_the_projects_redirect_url_holds_where_the_check_has_none(net: Net) -> None:
    net.conditions.platform_redirect_url = True
    end = await open_url(net, await net.check_url())
    assert (
        end.history[-1]
        .headers["Location"]
        .startswith("https://app.customer.example/v0.2/phone-check/exchange-code?check_id=")
    )
    # Our app server does not take codes from whoever brings one.
    assert end.status_code == 405


@pytest.mark.parametrize("version", ["v0.1", "v0.2"])
async def test_the_api_wants_a_token_of_the_right_scope(net: Net, version: str) -> None:
    path = f"/phone_check/{version}/checks"
    async with net.project() as project:
        for method, url in (
            ("POST", path),
            ("GET", path + "/1"),
            *([("PATCH", path + "/1")] if version == "v0.2" else []),
        ):
            for headers in ({}, {"Authorization": "Bearer made-up"}):
                answer = await project.request(method, url, headers=headers)
                assert answer.status_code == 401
            answer = await project.request(method, url, headers=await net.access_token("coverage"))
            assert is_problem(answer, "forbidden")


async def test_the_token_endpoint_refuses_as_oauth2_says(net: Net) -> None:
    form = {"grant_type": "client_credentials", "scope": "phone_check"}
    async with net.project() as project:
        wrong = await project.post("/oauth2/v1/token", data=form, auth=("project", "guess"))
        assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
        broken = await project.post("/oauth2/v1/token", data=form, headers={"Authorization": "Basic %%"})
        assert broken.status_code == 401
        for change, error in (
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"scope": "everything"}, "invalid_scope"),
            ({"scope": ""}, "invalid_scope"),
        ):
            answer = await project.post("/oauth2/v1/token", data=form | change, auth=("project", "project-secret"))
            assert (answer.status_code, answer.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "bad_request"),
        (b"[]", "bad_request"),
        (b"{}", "bad_request"),
        (b'{"phone_number": 447700900123}', "bad_request"),
        (b'{"phone_number": "07700900123"}', "phone_format_invalid"),
        (b'{"phone_number": "447700900123", "phone_ip": "here"}', "bad_request"),
        (b'{"phone_number": "447700900123", "phone_ip": "192.0.2.1"}', "not_mobile_ip"),
        (b'{"phone_number": "447911123456", "phone_ip": "203.0.113.64"}', "ip_msisdn_mismatch"),
    ],
)
async def test_a_check_is_not_created_from_bad_data(net: Net, body: bytes, word: str) -> None:
    async with net.project() as project:
        answer = await project.post("/phone_check/v0.2/checks", content=body, headers=await net.access_token())
    assert is_problem(answer, word)


async def test_rate_headers_are_on_answers_and_problems(net: Net) -> None:
    url = await net.check_url()
    for answer in (await open_url(net, url), await open_url(net, url)):
        assert int(answer.headers["X-RateLimit-Limit"]) > int(answer.headers["X-RateLimit-Remaining"]) > 0
        assert int(answer.headers["X-RateLimit-Reset"]) % 3600 == 0


async def test_only_completed_checks_are_charged(net: Net) -> None:
    url = await net.check_url()
    assert (await net.create())["snapshot_balance"] == 999
    await net.patch(url, (await open_url(net, url)).json()["code"])
    assert (await net.create())["snapshot_balance"] == 998


async def test_a_check_of_one_version_is_unknown_to_the_other(net: Net) -> None:
    url = await net.check_url("v0.1")
    assert is_problem(await open_url(net, url.replace("v0.1", "v0.2")), "check_not_found")
