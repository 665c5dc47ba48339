"""The app server's client: creates a check, brings its result, reports what came of one; and asks whether it is there."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from phonecheck.appserver import answers, coverage
from phonecheck.appserver.answers import Answer, Step
from phonecheck.appserver.connection import Connection
from phonecheck.appserver.coverage import Probe
from phonecheck.appserver.faults import UnsentError
from phonecheck.appserver.outbox import Verdict, verdict_of
from phonecheck.config import Server
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ConfigError, ExitStatus, ServerError
from phonecheck.model import ChainEnd, Check, PhoneNumber
from phonecheck.redact import Secret

if TYPE_CHECKING:
    from typing import Self

    import httpx

_PATHS: dict[str, tuple[str, str]] = {
    "v0.1": ("/v0.1/phone-check", "/v0.1/phone-check"),
    "v0.2": ("/v0.2/phone-check", "/v0.2/phone-check/exchange-code"),
}
"""Create and finish: the routes of the platform's own example server."""

_REPORT = 'Set it to the path that takes them, as server.report = "/v0.2/phone-check/report".'
_ANSWERED = "the app server had answered"
_TRIES = 3
"""Connections that ``finish`` tries for one request."""

_log = logging.getLogger("phonecheck.appserver")


class AppServer:
    """The customer's application server, made for one check or a few reports, and to be closed.

    Args:
        settings: where and how; ``url`` is set.
        token: sent as a bearer token, to this server alone.
        transport: in place of httpx's own, for a server that is reached over the link. It finds the request's Deadline
            in ``request.extensions["deadline"]``, and brings its own TLS, made with ``appserver.tls.context(settings)``.
        sleep: seconds; tests hand in their own, as they do for the next two.
        clock: seconds since the epoch.
        jitter: from 0 to 1.
    """

    def __init__(
        self,
        settings: Server,
        token: Secret | None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        create, finish = _PATHS[settings.protocol]
        self._create_path, self._finish_path = settings.create or create, settings.finish or finish
        self._finish_method: Literal["GET", "POST"] = "GET" if settings.protocol == "v0.1" else "POST"
        self._report_path = settings.report
        self._coverage_path = settings.coverage
        self._authenticated = token is not None or settings.client_cert is not None
        self._connection = Connection(settings, token, transport, clock)
        self._sleep = sleep
        self._jitter = jitter

    def create(self, number: PhoneNumber, deadline: Deadline) -> Check:
        """Ask for a check of a number.

        Asked once: a request that failed may have created a check all the same, and nothing is lost yet. Only a 429,
        which says that nothing was done, is waited for.

        Raises:
            ServerError: server-unreachable, server-rejected, protocol-mismatch.
            CheckError: the platform's refusal, which the server passed on.
            DeadlineExceeded: with the exit status of the app server.
            ConfigError: bad-setting, for a certificate file or a proxy that cannot be used.
            LinkError: for a server that is reached over the link.
        """
        answer = self._ask("create", "POST", self._create_path, {"phone_number": number.digits}, deadline)
        if answer.status not in (200, 201):
            raise self._refusal(answer, "create")
        return answers.parse_check(answer.body)

    def finish(self, check: Check, end: ChainEnd, deadline: Deadline) -> bool:
        """Whether the number matched.

        v0.1 is asked again while there is no result. v0.2 is handed the code once, as a code is spent by being sent. A
        connection that does not come about is tried again for both: the check is paid for, its result worth a wait.

        Args:
            check: the check whose chain was opened.
            end: its end; for v0.2 it holds the code.
            deadline: no later than the end of the check's ttl.

        Raises:
            CheckError: as for ``create``, and check-expired. The others as for ``create``.
        """
        path, body = self._finishing(check, end.code)
        if body is not None and end.reference_id is not None:
            body["reference_id"] = end.reference_id
        asked = 0
        while True:
            answer = self._ask("finish", self._finish_method, path, body, deadline, tries=_TRIES)
            pending = answer.status == 202 and self._finish_method == "GET"
            if answer.status != 200 and not pending:
                raise self._refusal(answer, "finish")
            match = None if pending else answers.parse_match(answer.body, check)
            if match is not None:
                return match
            if self._finish_method == "POST":
                raise ServerError("protocol-mismatch", "The app server took the code and answered without a match.")
            self._wait(max(self._back_off(asked), answer.retry_after or 0.0), deadline)
            asked += 1

    def report(self, key: str, body: Mapping[str, object], deadline: Deadline) -> Verdict:
        """Tell the server what came of a check, and what it says to that.

        Asked once: whoever keeps the report comes again, with the same key, by which the server knows it (the header
        Idempotency-Key of draft-ietf-httpapi-idempotency-key-header).

        Args:
            key: the report's id, of letters, digits, "-" and "_".
            body: the report.
            deadline: as for ``create``.

        Raises:
            ServerError: server-unreachable, protocol-mismatch: it may have the report or not. The others as ``create``.
        """
        if self._report_path is None:
            raise ConfigError("bad-setting", "The app server takes no reports: server.report is not set.", hint=_REPORT)
        deadline.require(answers.DONE["report"], ExitStatus.SERVER)
        answer = self._connection.request(
            "POST", self._report_path, body, deadline, headers={"Idempotency-Key": key}, status_is_all=True
        )
        asked = f"POST {self._report_path}".partition("?")[0]
        return verdict_of(answer, asked, authenticated=self._authenticated)

    def probe(self, deadline: Deadline) -> Probe:
        """Ask whether the server is there and takes this device, once each by at most two routes; no check is created.

        The first is for a coverage token. That it is refused says little: the server may not have the route, and a gateway
        or a page that answers for all such routes answers as it likes. So the route that brings results is asked for a
        check that nobody has, and what it says counts.

        Raises:
            ServerError: server-unreachable, server-rejected, protocol-mismatch. The others as ``create``.
        """
        asked = f"GET {self._coverage_path}".partition("?")[0]
        deadline.require(_ANSWERED, ExitStatus.SERVER)
        answer = self._connection.request("GET", self._coverage_path, None, deadline)
        access = coverage.parse_access(answer.body) if answer.status == 200 else None
        if access is not None or answer.status == 429:
            return Probe(asked, answer.status, access)
        path, body = self._finishing(coverage.NOBODYS, coverage.NO_CODE)
        deadline.require(_ANSWERED, ExitStatus.SERVER)
        answer = self._connection.request(self._finish_method, path, body, deadline)
        if answer.status in (200, 202):
            answers.parse_match(answer.body, coverage.NOBODYS)
        elif answer.status not in coverage.ACCEPTED:
            raise self._refusal(answer, "finish")
        return Probe(f"{self._finish_method} {self._finish_path}".partition("?")[0], answer.status)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finishing(self, check: Check, code: Secret | None) -> tuple[str, dict[str, str] | None]:
        """Path and body of the request that brings a check's result."""
        path = self._finish_path
        if self._finish_method == "GET":
            return f"{path}{'&' if '?' in path else '?'}check_id={quote(check.id, safe='')}", None
        if code is None:
            raise ValueError("a v0.2 check is finished with its code")
        return path, {"check_id": check.id, "code": code.value}

    def _refusal(self, answer: Answer, step: Step) -> AgentError:
        asked = f"POST {self._create_path}" if step == "create" else f"{self._finish_method} {self._finish_path}"
        return answers.refusal(answer, step, asked.partition("?")[0], authenticated=self._authenticated)

    def _ask(
        self,
        step: Step,
        method: Literal["GET", "POST"],
        path: str,
        body: Mapping[str, str] | None,
        deadline: Deadline,
        *,
        tries: int = 1,
    ) -> Answer:
        """One answer that is no 429."""
        tried = 0
        while True:
            deadline.require(answers.DONE[step], ExitStatus.SERVER)
            try:
                answer = self._connection.request(method, path, body, deadline)
            except ServerError as error:
                # What ended because the time allowed ended says so, however it ended.
                deadline.require(answers.DONE[step], ExitStatus.SERVER)
                tried += 1
                if not isinstance(error, UnsentError) or tried == tries:
                    raise
                self._wait(self._back_off(tried), deadline)
                continue
            if answer.status != 429:
                return answer
            if answer.retry_after is None or answer.retry_after >= deadline.remaining():
                raise answers.too_many(step, answer.retry_after)
            _log.debug("the app server asks to wait %.0f s", answer.retry_after)
            self._wait(max(1.0, answer.retry_after), deadline)

    def _back_off(self, tried: int) -> float:
        """0.5, 1, then 2 seconds, each less up to a half of it, so that devices that failed together part."""
        return 0.5 * 2.0 ** min(tried, 2) * (1 - self._jitter() / 2)

    def _wait(self, seconds: float, deadline: Deadline) -> None:
        self._sleep(min(seconds, deadline.remaining()))
