"""What the kernel knows of devices, addresses, routes and rules: the few rtnetlink questions that the agent asks.

pyroute2 answers them too, and its import costs 25 MB and 0.2 s, most of what ``verify`` may take on its own; so it is
kept for changing things (routes.py), and the questions are asked here. Each has a socket of its own, open for its answer
only.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from phonecheck.errors import LinkError
from phonecheck.link.rtmessage import (
    HEADER,
    IFADDRMSG,
    IFINFOMSG,
    RTMSG,
    Address,
    Device,
    Message,
    Route,
    Rule,
    attribute,
    attributes,
    messages,
    number,
    read_address,
    read_device,
    read_route,
    read_rule,
)
from phonecheck.model import IPAddress, IPInterface

_REQUEST, _ACKNOWLEDGE, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_CREATE_NEW = 0x600
_ERROR, _DONE = 2, 3
_GETLINK, _NEWADDR, _GETADDR, _GETROUTE, _GETRULE, _GETNETCONF = 18, 20, 22, 26, 34, 82
_FIB_MATCH = 0x2000
_IFLA_IFNAME = 3
_RTA_DST, _RTA_SRC, _RTA_OIF = 1, 2, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_PROTO = 1, 2, 8, 11
_NETCONFA_IFINDEX, _NETCONFA_RP_FILTER, _NETCONFA_IFINDEX_ALL = 1, 3, -1


def device(name: str) -> Device | None:
    """The device of that name or alternative name, or None."""
    if "\0" in name:  # the kernel would read up to it
        return None
    wanted = attribute(_IFLA_IFNAME, os.fsencode(name) + b"\0")
    try:
        found = _ask(_GETLINK, 0, IFINFOMSG.pack(0, 0, 0, 0, 0) + wanted)
    except OSError:
        return None
    return next((d for m in found if (d := read_device(m.body))), None)


def addresses() -> tuple[Address, ...]:
    """Every address that a socket could use now; IPv6 ones whose uniqueness is not settled are left out."""
    found = _dump(_GETADDR, IFADDRMSG.pack(0, 0, 0, 0, 0))
    return tuple(a for m in found if (a := read_address(m.body)))


def route(peer: IPAddress, *, device: int | None = None, source: IPAddress | None = None) -> Route | None:
    """The table entry by which a packet to ``peer`` would leave, or None where there is none.

    The entry itself is asked for (RTM_F_FIB_MATCH), not the cached result: a lookup that names a device never fails on
    IPv4, as the kernel then "assumes that the destination is on link", and that guess is not a route.
    """
    bits = peer.max_prefixlen
    source_bits = 0 if source is None else bits
    body = RTMSG.pack(_family(peer), bits, source_bits, 0, 0, 0, 0, 0, _FIB_MATCH) + attribute(_RTA_DST, peer.packed)
    if source is not None:
        body += attribute(_RTA_SRC, source.packed)
    if device is not None:
        body += attribute(_RTA_OIF, struct.pack("=I", device))
    try:
        found = _ask(_GETROUTE, 0, body)
    except OSError:
        return None
    return next((r for m in found if (r := read_route(m.body))), None)


def devices() -> tuple[Device, ...]:
    """Every device."""
    return tuple(d for m in _dump(_GETLINK, IFINFOMSG.pack(0, 0, 0, 0, 0)) if (d := read_device(m.body)))


def routes() -> tuple[Route, ...]:
    """Every route that leads somewhere, of both families and all tables."""
    return tuple(r for body in raw_routes() if (r := read_route(body)))


def default_routes(device: int) -> tuple[Route, ...]:
    """The default routes through a device, of both families and all tables."""
    return tuple(r for r in routes() if r.default and device in r.devices)


def rules() -> tuple[Rule, ...]:
    """Every policy rule of both families."""
    return tuple(r for body in raw_rules() if (r := read_rule(body)))


def raw_routes() -> tuple[bytes, ...]:
    """Every entry of every table as the kernel tells it, also those that lead nowhere."""
    return tuple(m.body for m in _dump(_GETROUTE, RTMSG.pack(*([0] * 9))))


def raw_rules() -> tuple[bytes, ...]:
    """Every policy rule as the kernel tells it, in the order in which it asks them, a family after the other."""
    return tuple(m.body for m in _dump(_GETRULE, RTMSG.pack(*([0] * 9))))


def add_address(device: int, address: IPInterface, *, flags: int, protocol: int) -> None:
    """Give a device an address that is marked with a protocol (IFA_PROTO), which pyroute2 0.7 cannot say.

    Raises:
        OSError: the kernel's answer; EEXIST where the device has it already.
    """
    body = IFADDRMSG.pack(_family(address.ip), address.network.prefixlen, 0, 0, device)
    body += attribute(_IFA_LOCAL, address.ip.packed) + attribute(_IFA_ADDRESS, address.ip.packed)
    body += attribute(_IFA_FLAGS, struct.pack("=I", flags)) + attribute(_IFA_PROTO, bytes([protocol]))
    _ask(_NEWADDR, _ACKNOWLEDGE | _CREATE_NEW, body)


def reverse_path_filter(device: int) -> int:
    """The IPv4 filter in force on a device: 0 none, 1 strict, 2 loose (RFC 3704).

    It is the larger of ``net.ipv4.conf.all.rp_filter`` and the device's own (kernel, networking/ip-sysctl); linux/netconf.h
    tells both without /proc, which a unit may hide.
    """
    modes = [0]
    for index in (_NETCONFA_IFINDEX_ALL, device):
        wanted = attribute(_NETCONFA_IFINDEX, struct.pack("=i", index))
        try:
            found = _ask(_GETNETCONF, 0, struct.pack("=B3x", socket.AF_INET) + wanted)
        except OSError:
            continue
        modes += [number(attributes(m.body[4:]).get(_NETCONFA_RP_FILTER)) or 0 for m in found]
    return max(modes)


def _dump(kind: int, body: bytes) -> list[Message]:
    try:
        return _ask(kind, _DUMP, body)
    except OSError as error:
        raise _refused(error) from None


def _ask(kind: int, flags: int, body: bytes) -> list[Message]:
    """Ask one question on a socket of its own.

    Raises:
        OSError: the kernel's answer is an error.
        LinkError: bind-refused; this process may not ask at all.
    """
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)  # NETLINK_ROUTE
    except OSError as error:
        raise _refused(error) from None
    with sock:
        sock.settimeout(2.0)
        for _ in range(3):
            sock.send(HEADER.pack(HEADER.size + len(body), kind, flags | _REQUEST, 1, 0) + body)
            found = _answer(sock, dump=bool(flags & _DUMP))
            # The table changed under the dump: what was read may lack entries or hold them twice.
            if not any(m.flags & _DUMP_INTERRUPTED for m in found):
                break
        return [m for m in found if m.kind != _DONE]


def _answer(sock: socket.socket, *, dump: bool) -> list[Message]:
    found: list[Message] = []
    while True:
        data, sender = sock.recvfrom(65536)
        if sender[0] != 0:  # any process may send to a netlink socket; only the kernel has port 0
            continue
        for message in messages(data):
            if message.sequence != 1:
                continue
            if message.kind == _ERROR:
                code = -struct.unpack_from("=i", message.body)[0] if len(message.body) >= 4 else errno.EBADMSG
                if code == 0:  # what was to be done is done
                    return found
                raise OSError(code, os.strerror(code))
            found.append(message)
            if message.kind == _DONE or not dump:
                return found


def _refused(error: OSError) -> LinkError:
    return LinkError(
        "bind-refused",
        f"The kernel does not tell this process its addresses and routes: {error.strerror or 'no answer'}.",
        hint="Allow netlink sockets: in a unit, RestrictAddressFamilies= must hold AF_NETLINK.",
    )


def _family(address: IPAddress) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
