"""A PhoneCheck resource: its states and what of it is shown (models/check/CheckDefaultResourceModels.yaml)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["ACCEPTED", "PENDING", "COMPLETED", "EXPIRED", "ERROR"]
Version = Literal["v0.1", "v0.2"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(slots=True)
class Check:
    """One check. Times of its life are seconds on the monotonic clock.

    Attributes:
        url: of the resource itself, without a trailing slash.
        state: what the MNO must send the browser back with, until it has.
        token: what the MNO sent the browser back with, until it is exchanged.
        code: v0.2, what ends the chain, until it is redeemed.
        msisdn: whom the MNO found behind the chain.
        pending_reads: v0.1, so many reads after the chain still find it PENDING.
    """

    id: str
    version: Version
    number: str
    url: str
    expires: float
    ttl: int
    reference_id: str | None = None
    redirect_url: str | None = None
    status: Status = "ACCEPTED"
    match: bool | None = None
    error_code: str | None = None
    state: str | None = None
    token: str | None = None
    code: str | None = None
    msisdn: str | None = None
    network_id: str | None = None
    pending_reads: int = 0
    created_at: str = field(default_factory=_now)
    updated_at: str | None = None
    clock: Callable[[], float] = time.monotonic

    def age(self) -> None:
        """Let the check expire when its time has come. Codes and tokens die with it; that is our choice."""
        if self.status in ("ACCEPTED", "PENDING") and self.clock() >= self.expires:
            self._become("EXPIRED")

    def start(self, state: str) -> None:
        """The check URL was opened."""
        self._become("PENDING")
        self.state = state

    def complete(self) -> None:
        """The number of the chain is known: compare."""
        self.match = self.msisdn == self.number
        self._become("COMPLETED")

    def fail(self, error_code: str) -> None:
        """End with one of PhoneCheckErrorCode's words."""
        self.error_code = error_code
        self._become("ERROR")

    def _become(self, status: Status) -> None:
        self.status = status
        self.updated_at = _now()
        if status != "PENDING":
            self.state = self.token = self.code = None

    def created(self, balance: int) -> dict[str, Any]:
        """The answer to its creation."""
        return {**self._base(), "ttl": self.ttl, "snapshot_balance": balance, "_links": self._links(check_url=True)}

    def shown(self) -> dict[str, Any]:
        """The resource."""
        values = {**self._base(), "ttl": self.ttl}
        if self.status == "COMPLETED":
            values |= {"match": self.match, "network_id": self.network_id}
        if self.status == "ERROR":
            values["error_code"] = self.error_code
        return {**values, "_links": self._links(check_url=self.status == "ACCEPTED")}

    def patched(self) -> dict[str, Any]:
        """The answer to its completion with a code (CheckPatchPartial)."""
        return {**self._base(), "match": self.match}

    def _base(self) -> dict[str, Any]:
        values = {
            "check_id": self.id,
            "reference_id": self.reference_id,
            "status": self.status,
            "charge_amount": 1,
            "charge_currency": "API",
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        return {key: value for key, value in values.items() if value is not None}

    def _links(self, *, check_url: bool) -> dict[str, Any]:
        links = {"self": {"href": self.url}}
        if check_url:
            links["check_url"] = {"href": f"{self.url}/redirect"}
        return links
