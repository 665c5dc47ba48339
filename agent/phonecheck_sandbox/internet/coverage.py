"""The platform's coverage API, as far as a device asks it: whose address is this (openapi/specs/utils.yaml)."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from phonecheck_sandbox.internet.problems import OF_REDIRECT, problem, problem_of_status

if TYPE_CHECKING:
    from starlette.requests import Request

    from phonecheck_sandbox.conditions import Conditions

_ANSWERS = frozenset({400, 412, 429})
"""Those that the specification has, beside 200."""
_NO_PHONE_CHECK = 501
"""What the check URL answers where it does not serve the operator: this API then names the operator without the product."""
_CORS = {"Access-Control-Allow-Origin": "*"}


class Coverage:
    """One operator, and all others.

    Args:
        mobile_range: the operator's addresses.
        network_id: its MCC and MNC.
        network_name: what it is called.
        conditions: ``platform_status`` holds here too where it is an answer of this API.
    """

    def __init__(self, mobile_range: IPv4Network, network_id: str, network_name: str, conditions: Conditions) -> None:
        self._mobile_range = mobile_range
        self._conditions = conditions
        self._network: dict[str, object] = {
            "network_id": network_id,
            "network_name": network_name,
            # 001 is nobody's country code; the subscribers' numbers are of this one.
            "country_code": "GB",
        }

    async def of_device(self, request: Request) -> Response:
        """GET …/device_ip: the operator of the address that the request comes from, and what works with it."""
        if self._conditions.platform_status in _ANSWERS:
            return problem_of_status(self._conditions.platform_status, OF_REDIRECT)
        address = request.client.host if request.client else "0.0.0.0"
        if ip_address(address) not in self._mobile_range:
            return problem("not_mobile_ip")
        served = self._conditions.platform_status != _NO_PHONE_CHECK
        found = {
            **self._network,
            "mobile_data_ip": address,
            "products": [{"product_id": "PCK", "product_name": "Phone Check"}] if served else [],
        }
        return JSONResponse(found, headers=_CORS, media_type="application/hal+json")
