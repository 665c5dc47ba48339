"""What the lab answers, path by path.

/redirects/N            N redirects on the same host, then 200 {"lab": "done"}
/loop  /endless         in a circle; to a new place each time
/location?to=…          302 with this Location to the byte; case=upper|lower|mixed, space=0, status=303 …
/downgrade              https -> http -> https -> 200        /code-in-cleartext   https -> http, 200 with a code
/cookies/set|replace|expire?to=…   sets cookies, then redirects; any path that ends in /echo tells which came back
/headers                names of the headers received, in order
/json  /problem/NNN  /status/NNN
/chunked  /drip?ms=…  /split                                 right answers in odd pieces
/oversize  /endless-body  /gzip-bomb  /header-flood          too much
/hang  /reset  /close  /keepalive-close                      too little
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class LabRequest:
    """A request as it came. ``http`` and ``https`` are the origins of its host in either scheme."""

    path: str
    query: dict[str, str]
    headers: list[tuple[str, str]]
    secure: bool
    http: str
    https: str

    @property
    def cookies(self) -> list[tuple[str, str]]:
        """Names and values, in the order sent and as often as sent."""
        pairs = [p for name, value in self.headers if name.lower() == "cookie" for p in value.split(";")]
        return [(name.strip(), value) for name, _, value in (pair.partition("=") for pair in pairs)]


_Hop = Callable[[LabRequest, asyncio.StreamWriter], Awaitable[bool]]


async def answer(request: LabRequest, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
    """Answer a request; whether the connection serves another one.

    Raises:
        OSError: the client left.
        ValueError: the path asks for something that is no number where one belongs.
    """
    if request.path == "/hang":
        # Until the client gives up.
        await reader.read()
        return False
    if request.path == "/endless-body":
        return await _endless_body(writer, reader)
    first = "/" + request.path.split("/")[1]
    hop = (
        _echo
        if request.path.endswith("/echo")
        else _expect
        if request.path.endswith("/expect")
        else _HOPS.get(request.path) or _HOPS.get(first + "/")
    )
    return await (hop or _not_found)(request, writer)


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes = b"",
    headers: tuple[str, ...] = (),
    *,
    content_type: str = "application/json",
) -> bool:
    lines = [f"HTTP/1.1 {status} Lab", *headers]
    if status not in (204, 304):
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    await writer.drain()
    return True


async def _json(writer: asyncio.StreamWriter, values: object, status: int = 200, kind: str = "json") -> bool:
    return await _send(writer, status, json.dumps(values).encode(), content_type=f"application/{kind}")


async def _go(writer: asyncio.StreamWriter, to: str, *cookies: str) -> bool:
    body = b"<!doctype html><title>One moment</title>"
    headers = (f"Location: {to}", *(f"Set-Cookie: {cookie}" for cookie in cookies))
    return await _send(writer, 302, body, headers, content_type="text/html")


def _last(request: LabRequest, default: int) -> int:
    text = request.path.rpartition("/")[2]
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else default


async def _not_found(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _json(writer, {"lab": "no such path"}, 404)


async def _done(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _json(writer, {"lab": "done"})


async def _redirects(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    left = _last(request, 0)
    return await (_go(writer, f"/redirects/{left - 1}") if left else _done(request, writer))


async def _loop(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _go(writer, "/loop" if request.path == "/loop/back" else "/loop/back")


async def _endless(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _go(writer, f"/endless/{_last(request, 0) + 1}")


async def _location(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    names = {"upper": "LOCATION", "lower": "location", "mixed": "LoCaTiOn"}
    name = names.get(request.query.get("case", ""), "Location")
    space = "" if request.query.get("space") == "0" else " "
    status = int(request.query.get("status", "302"))
    return await _send(writer, status, b"", (f"{name}:{space}{request.query.get('to', '')}",))


async def _downgrade(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    if request.path == "/downgrade/done":
        return await _done(request, writer)
    if request.secure:
        return await _go(writer, f"{request.http}/downgrade/plain")
    return await _go(writer, f"{request.https}/downgrade/done")


async def _code_in_cleartext(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    if request.secure:
        return await _go(writer, f"{request.http}/code-in-cleartext/end")
    return await _json(
        writer, {"check_id": "00000000-0000-4000-8000-000000000000", "code": "lab-code"}, 200, "hal+json"
    )


async def _cookies(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    to = request.query.get("to", "/cookies/echo")
    match request.path.rpartition("/")[2]:
        case "set":
            return await _go(
                writer,
                to,
                "lab_host=1; Path=/",
                "lab_default=1",
                "lab_scoped=1; Path=/cookies/deep",
                "lab_domain=1; Domain=mno.example; Path=/",
                "lab_foreign=1; Domain=platform.example; Path=/",
                "lab_secure=1; Secure; Path=/",
                "lab_max_age=1; Max-Age=0; Path=/",
                "lab_expires=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
            )
        case "replace":
            return await _go(writer, to, "lab_host=2; Path=/")
        case "expire":
            return await _go(writer, to, "lab_host=; Max-Age=0; Path=/")
    return await _not_found(request, writer)


async def _echo(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _json(writer, {"cookies": [name for name, _ in request.cookies], "values": dict(request.cookies)})


async def _expect(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    """204 if the cookies that came are exactly those of ``names``, in that order; else 409 with those that came."""
    came = [f"{name}={value}" for name, value in request.cookies]
    wanted = [name for name in request.query.get("names", "").split(",") if name]
    return await (_send(writer, 204) if came == wanted else _json(writer, {"cookies": came}, 409))


async def _headers(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _json(writer, {"headers": [name.lower() for name, _ in request.headers]})


async def _plain_json(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _json(writer, {"lab": "json"})


async def _problem(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    status = _last(request, 500)
    problem = {"type": "https://lab.mno.example/problems#lab_problem", "title": "Lab", "detail": "As asked for"}
    return await _json(writer, problem, status, "problem+json")


async def _status(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    status = _last(request, 200)
    return await _send(writer, status, b"" if status in (204, 304) else b'{"lab": "status"}')


_BODY = b'{"lab": "pieces", "filler": "' + b"x" * 40 + b'"}'
_PIECES = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


async def _chunked(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for size, extension in ((1, b""), (10, b";lab=1"), (len(_BODY), b"")):
        start = {1: 0, 10: 1, len(_BODY): 11}[size]
        chunk = _BODY[start : start + size]
        writer.write(b"%X%s\r\n%s\r\n" % (len(chunk), extension, chunk))
        await writer.drain()
        await asyncio.sleep(0.002)
    writer.write(b"0\r\nLab-Trailer: 1\r\n\r\n")
    await writer.drain()
    return True


async def _drip(request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    pause = min(float(request.query.get("ms", "5")), 10_000) / 1000
    for byte in _PIECES:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(pause)
    return True


async def _split(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    # 7 bytes at a time cut status line, header names, the blank line and the body.
    for start in range(0, len(_PIECES), 7):
        writer.write(_PIECES[start : start + 7])
        await writer.drain()
        await asyncio.sleep(0.001)
    return True


async def _oversize(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    size = 10 * _MIB
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // 65536):
        writer.write(b" " * 65536)
        await writer.drain()
    return True


async def _endless_body(writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    # Until the client's end: after that a TLS transport takes every write, waits for none, and this loop would spin.
    while not reader.at_eof():
        writer.write(b" " * 4096)
        await writer.drain()
    return False


@functools.cache
def _bomb() -> bytes:
    """64 MiB of zeros in 64 KiB (RFC 1952)."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(pack.compress(bytes(_MIB)) for _ in range(64)) + pack.flush()


async def _gzip_bomb(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    return await _send(writer, 200, _bomb(), ("Content-Encoding: gzip",))


async def _header_flood(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(40_000):
        writer.write(b"X-Lab-%d: %s\r\n" % (n, b"x" * 90))
        await writer.drain()
    writer.write(b"Content-Length: 0\r\n\r\n")
    return True


async def _reset(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _close(_request: LabRequest, _writer: asyncio.StreamWriter) -> bool:
    return False


async def _keepalive_close(_request: LabRequest, writer: asyncio.StreamWriter) -> bool:
    await _send(writer, 302, b"", ("Location: /json", "Connection: keep-alive", "Keep-Alive: timeout=60"))
    return False


_HOPS: dict[str, _Hop] = {
    "/redirects/": _redirects,
    "/loop": _loop,
    "/loop/": _loop,
    "/endless": _endless,
    "/endless/": _endless,
    "/location": _location,
    "/downgrade": _downgrade,
    "/downgrade/": _downgrade,
    "/code-in-cleartext": _code_in_cleartext,
    "/code-in-cleartext/": _code_in_cleartext,
    "/cookies/": _cookies,
    "/headers": _headers,
    "/json": _plain_json,
    "/problem/": _problem,
    "/status/": _status,
    "/chunked": _chunked,
    "/drip": _drip,
    "/split": _split,
    "/oversize": _oversize,
    "/gzip-bomb": _gzip_bomb,
    "/header-flood": _header_flood,
    "/reset": _reset,
    "/close": _close,
    "/keepalive-close": _keepalive_close,
}
