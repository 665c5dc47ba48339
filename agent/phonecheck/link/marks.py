"""What runs have set up, found by its marks, and removed: ours and only ours."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from typing import Any

from phonecheck.link import changes, netlink
from phonecheck.link.changes import PROTOCOL
from phonecheck.link.rtmessage import Address, Device, Route, Rule

Marked = Device | Address | Rule | Route
_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.ENXIO, errno.EADDRNOTAVAIL})
_log = logging.getLogger(__name__)


def marked(index: int | None = None) -> list[Marked]:
    """What is ours, of the device with that index or of all, in the order in which it is removed.

    The device goes down first, and an address before its rule: what still comes in is nobody's then, and is not answered
    by the default route.
    """
    found: list[Marked] = [d for d in netlink.devices() if changes.brought_up(d)]
    found += [a for a in netlink.addresses() if a.protocol == PROTOCOL]
    found += [r for r in netlink.rules() if r.protocol == PROTOCOL and r.source and changes.index_of(r.table)]
    found += [r for r in netlink.routes() if r.protocol == PROTOCOL and r.default and changes.index_of(r.table)]
    return [item for item in found if index in (None, index_of(item))]


def index_of(item: Marked) -> int:
    """The index of the device that it belongs to, which may be gone."""
    match item:
        case Device():
            return item.index
        case Address():
            return item.device
        case Rule() | Route():
            return changes.index_of(item.table) or 0


def words(items: Sequence[Marked]) -> tuple[str, ...]:
    """Each in words."""
    names = {d.index: d.name for d in netlink.devices()}
    return tuple(_words(item, names.get(index_of(item), "a device that is gone")) for item in items)


def _words(item: Marked, name: str) -> str:
    match item:
        case Device():
            return f"{name}, set up"
        case Address():
            return f"{name}, address {item.interface}"
        case Rule():
            return f"{name}, rule from {item.source} to table {item.table}"
        case Route():
            return f"{name}, IPv{item.family} default route in table {item.table}"


def remove(items: Sequence[Marked]) -> None:
    """Remove them; one that is gone already is none the worse.

    Raises:
        OSError: of the first that the kernel keeps, after the others are removed.
    """
    refused: OSError | None = None
    if items:
        with changes.session() as ip:
            for item in items:
                try:
                    _delete(ip, item)
                except OSError as error:
                    if error.errno not in _GONE:
                        _log.info("the kernel keeps %s: %s", words([item])[0], error.strerror)
                        refused = refused or error
    if refused is not None:
        raise refused


def _delete(ip: Any, item: Marked) -> None:
    match item:
        case Device():
            changes.take_down(ip, item)
        case Address():
            changes.delete_address(ip, item)
        case Rule():
            changes.delete_rule(ip, item)
        case Route():
            changes.delete_route(ip, item)
