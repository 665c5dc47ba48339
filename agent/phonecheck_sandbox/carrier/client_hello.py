"""What a box in the carrier's network can read of a TLS connection before anything is encrypted (RFC 8446 §4.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

TLS13 = 0x0304
_SERVER_NAME, _SUPPORTED_VERSIONS = 0, 43


@dataclass(frozen=True, slots=True)
class ClientHello:
    """A client's first flight. ``size`` is in bytes, with the record's header."""

    size: int
    server_name: str
    versions: tuple[int, ...]


class NotTlsError(ValueError):
    """The bytes are no ClientHello."""


def parse(data: bytes) -> ClientHello | None:
    """Read a ClientHello that fits one record, as those of all common clients do; None while bytes are missing.

    Raises:
        NotTlsError: it never will be one.
    """
    if data[:1] not in (b"", b"\x16"):
        raise NotTlsError
    if len(data) < 5:
        return None
    end = 5 + int.from_bytes(data[3:5])
    if len(data) < end:
        return None
    try:
        return _parse_record(data[5:end], end)
    except IndexError:
        raise NotTlsError from None


def _parse_record(record: bytes, size: int) -> ClientHello:
    fields = _Fields(record)
    if fields.number(1) != 1:
        raise NotTlsError
    fields.number(3)
    fields.take(2 + 32)  # legacy_version, random
    for length in (1, 2, 1):  # legacy_session_id, cipher_suites, legacy_compression_methods
        fields.block(length)
    name = ""
    versions: tuple[int, ...] = ()
    extensions = _Fields(fields.block(2)) if fields.left else _Fields(b"")
    while extensions.left:
        kind, body = extensions.number(2), _Fields(extensions.block(2))
        if kind == _SERVER_NAME:
            names = _Fields(body.block(2))
            if names.number(1) == 0:
                name = names.block(2).decode("latin-1").lower()
        elif kind == _SUPPORTED_VERSIONS:
            listed = body.block(1)
            versions = tuple(int.from_bytes(listed[i : i + 2]) for i in range(0, len(listed), 2))
    return ClientHello(size, name, versions)


class _Fields:
    """Reads a TLS structure from the front. IndexError when it ends early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise IndexError
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length))

    def block(self, length_of_length: int) -> bytes:
        return self.take(self.number(length_of_length))
