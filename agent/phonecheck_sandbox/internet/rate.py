"""The platform's rate limit and the headers that show it (models/common/Headers.v1.yaml)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from phonecheck_sandbox.internet.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response


class RateLimit:
    """Requests per hour, over all of the project's.

    Args:
        per_hour: so many.
        clock: seconds since the epoch: X-RateLimit-Reset is in them, as in the specification's example.
    """

    def __init__(self, per_hour: int = 100_000, clock: Callable[[], float] = time.time) -> None:
        self._per_hour = per_hour
        self._clock = clock
        self._reset = 0
        self._requests = 0

    def refusal(self) -> Response | None:
        """Count a request; the problem to answer with when the hour's are used up."""
        now = self._clock()
        if now >= self._reset:
            self._reset, self._requests = (int(now) // 3600 + 1) * 3600, 0
        self._requests += 1
        if self._requests <= self._per_hour:
            return None
        return problem("too_many_requests", retry_after=int(self._reset - now) + 1)

    def headed(self, response: Response) -> Response:
        """Put the headers on an answer."""
        response.headers["X-RateLimit-Limit"] = str(self._per_hour)
        response.headers["X-RateLimit-Remaining"] = str(max(0, self._per_hour - self._requests))
        response.headers["X-RateLimit-Reset"] = str(self._reset)
        return response
