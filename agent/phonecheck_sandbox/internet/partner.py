"""The platform's client of the operator's partner interface: a token in, the number behind it out."""

from __future__ import annotations

import ssl

import httpx


class PartnerError(Exception):
    """The operator did not say whose token it is.

    Args:
        word: PhoneCheckErrorCode's word for it.
    """

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Partner:
    """The interface of one operator.

    Args:
        url: its base URL.
        secret: the Bearer token that opens it.
        transport: for the requests; None for the network's own.
    """

    def __init__(self, url: str, secret: str, transport: httpx.AsyncBaseTransport | None) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {secret}"},
            transport=transport,
            verify=True if transport else ssl.create_default_context(),
            timeout=5.0,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def number_of(self, token: str) -> tuple[str, str]:
        """The number (E.164 without ``+``) and the network id behind a token, which is spent by the question.

        Raises:
            PartnerError: it is not known, or the operator failed.
        """
        try:
            response = await self._http.post("/v1/tokens", json={"token": token})
        except httpx.TimeoutException:
            raise PartnerError("mno_timeout") from None
        except httpx.HTTPError:
            raise PartnerError("mno_server_error") from None
        if response.status_code == 404:
            raise PartnerError("mno_user_not_found")
        if response.status_code != 200:
            raise PartnerError("mno_server_error")
        try:
            values = response.json()
            return str(values["msisdn"]), str(values["network_id"])
        except (ValueError, KeyError, TypeError):
            raise PartnerError("mno_response_error") from None
