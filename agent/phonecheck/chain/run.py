"""The runner: opens a check URL, follows its redirects, and brings back what the last answer said.

The rules: GET stays GET; 301, 302, 303, 307 and 308 with a Location are followed, nothing else; an exact limit; loops
found; one cookie jar; bodies read whole under a cap; cleartext hops by policy, recorded, and never the one that yields the
code; one deadline. docs/protocol.md, 2, says which of them shipped clients got wrong.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable

import httpcore
import httpx

from phonecheck.chain import ending, headers
from phonecheck.chain.backend import Backend
from phonecheck.chain.cookies import Jar
from phonecheck.chain.record import Record
from phonecheck.chain.redirects import (
    REDIRECTS,
    Trail,
    answer_in_query,
    matches_redirect_url,
    refuse_scheme,
)
from phonecheck.chain.transport import BoundTransport
from phonecheck.chain.url import Url, next_hop
from phonecheck.config import Chain as Limits
from phonecheck.deadline import Deadline, retry_after
from phonecheck.errors import AgentError, CheckError, DeadlineExceeded
from phonecheck.model import ChainEnd, Hop, Path
from phonecheck.redact import Secret

_log = logging.getLogger(__name__)

BODY_CAP = 64 * 1024
"""Bytes of a last answer; the platform's are under one kilobyte."""
_DRAIN_CAP = 16 * 1024
_DRAIN_SECONDS = 1.0


class Chain:
    """One chain over one link; not to be used twice, for its cookies and connections are the chain's own.

    Args:
        backend: the network.
        context: TLS of the first try.
        limits: redirects, seconds per hop, cleartext policy.
        platform_headers: sent to the check URL's host alone, and over https alone.
        deadline: of the whole chain.
        on_hop: told of each hop as it ends, the one that fails too.
        redirect_url: the app server's own; a redirect to it ends the chain and is not requested.
    """

    def __init__(
        self,
        backend: Backend,
        context: ssl.SSLContext,
        *,
        limits: Limits,
        platform_headers: dict[str, str],
        deadline: Deadline,
        on_hop: Callable[[Hop], None],
        redirect_url: str | None = None,
    ) -> None:
        self._backend = backend
        self._transport = BoundTransport(backend, context)
        self._limits = limits
        self._platform_headers = platform_headers
        self._deadline = deadline
        self._on_hop = on_hop
        self._redirect_url = redirect_url
        self._jar = Jar()

    def open(self, start: Url) -> ChainEnd:
        """Request ``start`` and every redirect.

        Raises:
            CheckError: the chain did not end well. LinkError: the link did not carry it. DeadlineExceeded.
        """
        trail = Trail(self._limits.max_redirects)
        hops: list[Hop] = []
        url = start
        try:
            while True:
                trail.step(url, self._jar.fingerprint())
                record = self._backend.begin(self._deadline.within(self._limits.hop_timeout), self._deadline)
                following = self._hop(len(hops) + 1, url, start, record, hops)
                if isinstance(following, ChainEnd):
                    return following
                url = following
        finally:
            self._transport.close()

    def _hop(self, n: int, url: Url, start: Url, record: Record, hops: list[Hop]) -> Url | ChainEnd:
        began = time.monotonic()
        response: httpx.Response | None = None
        try:
            refused = refuse_scheme(url, self._limits.cleartext, first=n == 1)
            if refused:
                raise CheckError("hop-refused", f"The hop {url.host_shown} is refused: {refused}.")
            response = self._request(url, start, record)
            self._jar.store(url, [value.decode("latin-1") for value in _fields(response, b"set-cookie")])
            following = self._follow(url, start, response, record, hops)
        finally:
            # The hop that failed is evidence like any other, status None where no answer came.
            hop = Hop(
                n,
                url.text,
                response.status_code if response is not None else None,
                record.path,
                cleartext=not url.is_https,
                reused=record.reused and record.path is not None,
                tls_version=record.tls_version,
                dns_server=record.dns_server,
                timings=record.timings((time.monotonic() - began) * 1000),
                trace_ids=headers.trace_ids(response.headers.multi_items()) if response is not None else (),
            )
            hops.append(hop)
            _log.debug("hop %d %s -> %s in %.0f ms", n, url.redacted, hop.status, hop.timings.total)
            self._on_hop(hop)
        return following

    def _request(self, url: Url, start: Url, record: Record) -> httpx.Response:
        at_platform = url.is_https and url.host == start.host
        request = httpx.Request(
            "GET",
            url.text,
            headers=[
                (name.encode("ascii"), value.encode("latin-1"))
                for name, value in headers.for_hop(
                    host=url.host_header,
                    cookies=self._jar.header(url),
                    platform_headers=self._platform_headers if at_platform else None,
                )
            ],
            extensions={"target": url.target.encode("ascii")},
        )
        while True:
            try:
                return self._transport.handle_request(request)
            except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError) as error:
                # A server may close a kept connection at the moment it is used again. Nothing was answered on it, and a
                # GET may then be sent once more on a new one (RFC 9112, 9.3.1). The first hop is never sent twice: its
                # connection is never a kept one.
                if record.reused and record.first_byte is None:
                    record.request_sent = None
                    _log.debug("the kept connection to %s was closed; using a new one", url.host_shown)
                    record.reused = False
                    continue
                raise self._broken(url, start, error) from None

    @staticmethod
    def _broken(url: Url, start: Url, error: Exception) -> AgentError:
        # h11's word for a head that outgrew its buffer (100 KiB in httpcore).
        if getattr(next(iter(error.args), None), "error_status_hint", None) == 431:
            return CheckError("response-too-large", f"The hop {url.host_shown} sent headers without end.")
        words = "broke off the exchange" if isinstance(error, httpcore.NetworkError) else "did not answer in HTTP"
        code, who = ("platform-error", "The platform") if url.host == start.host else ("operator-error", "The hop")
        return CheckError(code, f"{who} {url.host_shown} {words}.")

    def _follow(
        self, url: Url, start: Url, response: httpx.Response, record: Record, hops: list[Hop]
    ) -> Url | ChainEnd:
        locations = _fields(response, b"location") if response.status_code in REDIRECTS else []
        if locations:
            following = next_hop(url, locations[0])
            self._drain(response, record)
            if self._redirect_url and matches_redirect_url(following, self._redirect_url):
                return self._end_in_query(url, following, response.status_code, hops, record)
            return following
        body = self._read(url, start, response)
        answer = ending.Answer.from_body(response.headers.get("content-type", ""), body)
        if not 200 <= response.status_code < 300:
            raise ending.error_of_status(
                response.status_code,
                answer,
                host=url.host_shown,
                at_platform=url.host == start.host,
                retry_after=retry_after(response.headers.get("retry-after"), response.headers.get("date"), time.time()),
            )
        if answer.failed:
            raise ending.error_of_word(answer.word or "unknown", _paths(hops, record))
        return self._end(
            url, response.status_code, hops, answer.code, answer.text("check_id"), answer.text("reference_id")
        )

    def _end_in_query(self, url: Url, following: Url, status: int, hops: list[Hop], record: Record) -> ChainEnd:
        answer = ending.Answer(dict(answer_in_query(following)))
        if answer.failed:
            raise ending.error_of_word(answer.word or "unknown", _paths(hops, record))
        return self._end(url, status, hops, answer.code, answer.text("check_id"), answer.text("reference_id"))

    @staticmethod
    def _end(
        url: Url, status: int, hops: list[Hop], code: Secret | None, check_id: str | None, reference_id: str | None
    ) -> ChainEnd:
        if code is not None and not url.is_https:
            raise CheckError(
                "hop-refused",
                f"The hop {url.host_shown} sent the code in cleartext, where anyone on its way could take it.",
                hint="Report the hop to the platform; the code was not used.",
            )
        return ChainEnd(tuple(hops), status, code, check_id, reference_id)

    @staticmethod
    def _drain(response: httpx.Response, record: Record) -> None:
        """Read a redirect's body, so that its connection can be kept; give up on a large, slow or broken one."""
        record.hop = record.hop.within(_DRAIN_SECONDS)
        size = 0
        try:
            for chunk in response.iter_raw():
                size += len(chunk)
                if size > _DRAIN_CAP:
                    break
        except DeadlineExceeded:
            raise
        except (httpcore.NetworkError, httpcore.ProtocolError, CheckError):
            _log.debug("the body of a redirect was cut short")
        finally:
            response.close()

    def _read(self, url: Url, start: Url, response: httpx.Response) -> bytes:
        chunks, size = [], 0
        try:
            # iter_raw: decoding could turn one chunk into megabytes before the cap sees it.
            for chunk in response.iter_raw():
                size += len(chunk)
                if size > BODY_CAP:
                    raise CheckError(
                        "response-too-large", f"The hop {url.host_shown} sent more than {BODY_CAP // 1024} KiB of body."
                    )
                chunks.append(chunk)
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise self._broken(url, start, error) from None
        finally:
            response.close()
        return b"".join(chunks)


def _paths(hops: list[Hop], record: Record) -> list[Path]:
    """The paths of the hops so far, and of the one under way."""
    return [path for path in (*(hop.path for hop in hops), record.path) if path is not None]


def _fields(response: httpx.Response, name: bytes) -> list[bytes]:
    return [value for key, value in response.headers.raw if key.lower() == name]
