"""Sockets whose every packet leaves by one interface, or no socket at all.

The agent's promise is kept or broken here, so this is why it is done so and not otherwise.

**The order: socket(), SO_BINDTODEVICE, connect().** connect() sends the SYN. An option that is set after it, which is
what httpcore does with ``socket_options`` (as ``socket.create_connection`` gives it nothing earlier to set it on), comes
when the SYN has left by the default route. With two interfaces the exchange then hangs or leaks; with one, the modem's,
it works, and so the mistake passes every test on a desk. The same was found and mended in urllib3 in 2014 (#427).

**The device, not the address.** Linux has the weak host model (RFC 1122 §3.3.4.2): bind() to the address of ``wwan0``
puts that address into packets which the routing table still sends out of ``lan0``. Measured with httpx's
``local_address``: four packets out of lan0, none out of wwan0. Only the device constrains the route lookup. The link's
address is bound as well, but in addition: it makes the policy rules that say ``from ADDRESS`` hold from the first lookup
(IPv6 would else choose the address before it has found the route), it keeps the kernel from choosing an address that
the operator did not assign, and it fails at once where the address is gone.

**Leaving is not coming back.** The answer comes in by the device, and strict reverse path filtering (rp_filter=1) drops
it if the route back to the peer, looked up without the device, is another. That cannot be seen from a socket;
:mod:`phonecheck.link.path` asks the kernel beforehand.

**One setsockopt, ever.** Since Linux 5.7 (commit c427bfec18f2) any process may bind a socket that is not bound yet;
changing a binding wants CAP_NET_RAW still, so a second setsockopt is EPERM. On older kernels the first one is, too.

**Read back.** The kernel cuts a device name that is too long to fifteen characters and takes an empty one as "unbind",
both without an error. The name is therefore read back before connect(), when nothing has left yet, and again after
it, with the addresses of both ends: that is the evidence of the hop. Any doubt closes the socket.

**Closing is sending, too.** Who closes a socket while its peer still speaks leaves the kernel to answer for it, and that
answer is bound to nothing (measured: 52 resets out of lan0 for one answer that was cut off). So a socket is held open,
from before its first packet, until :mod:`phonecheck.link.closing` may close it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from phonecheck.errors import LinkError
from phonecheck.link import netlink
from phonecheck.link.path import gone, no_address, route_exists
from phonecheck.link.waiting import Wait, wait
from phonecheck.model import IPAddress, Path

_NAME_MAX = 15  # IFNAMSIZ (linux/if.h) less the NUL
_RECEIVE_BUFFER = 64 * 1024

Hold = Callable[[socket.socket], None]


def _nobody(sock: socket.socket) -> None:
    """Hold nothing: for a socket whose peer cannot be slow."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """A connection whose first packet is out. ``sock`` does not block; it can be written when there is an outcome."""

    sock: socket.socket
    interface: str
    peer: IPAddress
    port: int
    sources: Collection[IPAddress]

    def finish(self) -> tuple[socket.socket, Path]:
        """The outcome. The socket is closed on any error.

        Raises:
            LinkError, OSError: as :func:`connect_tcp`.
        """
        with _closed_on_error(self.sock):
            failure = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                error = OSError(failure, os.strerror(failure))
                raise _our_fault(error, self.interface, self.peer, self.sources) or error
            return self.sock, _prove(self.sock, self.interface, self.sources)


def start_tcp(
    interface: str,
    peer: IPAddress,
    port: int,
    *,
    sources: Collection[IPAddress] = (),
    hold: Hold = _nobody,
    segment: int | None = None,
) -> Connecting:
    """Send the first packet of a connection over the interface, without waiting; arguments as :func:`connect_tcp`.

    Raises:
        LinkError, OSError: as :func:`connect_tcp`, of what the kernel knows at once.
    """
    with _bound(interface, peer, socket.SOCK_STREAM, sources, hold) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What the peer may have on its way when the connection is given up; the kernel doubles it for its own needs.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if segment is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        sock.setblocking(False)
        with suppress(BlockingIOError):
            _connect(sock, interface, peer, port, sources)
        return Connecting(sock, interface, peer, port, sources)


def connect_tcp(
    interface: str,
    peer: IPAddress,
    port: int,
    *,
    timeout: float,
    sources: Collection[IPAddress] = (),
    hold: Hold = _nobody,
    wait: Wait = wait,
    segment: int | None = None,
) -> tuple[socket.socket, Path]:
    """Connect over the interface and prove it. The socket keeps ``timeout`` (seconds) and has TCP_NODELAY set.

    Args:
        interface: the link's device.
        peer: where to.
        port: where to.
        timeout: seconds for the connection.
        sources: the link's addresses, of which the connection must leave from one; empty where they are not known.
        hold: told of the socket before its first packet; see closing.py.
        wait: waits for the connection; closing.py's ends with the link.
        segment: the most bytes of a segment, in both directions; None for what the link's MTU gives.

    Raises:
        LinkError: interface-gone, bind-refused, wrong-path, no-route: the device is to blame, and nothing left by another
            interface.
        TimeoutError: the peer did not answer.
        OSError: the peer or the network refused: ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH.
    """
    connecting = start_tcp(interface, peer, port, sources=sources, hold=hold, segment=segment)
    with _closed_on_error(connecting.sock):
        if not wait([connecting.sock], select.POLLOUT, timeout):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    sock, path = connecting.finish()
    sock.settimeout(timeout)
    return sock, path


def udp_socket(
    interface: str, peer: IPAddress, port: int, *, sources: Collection[IPAddress] = (), hold: Hold = _nobody
) -> tuple[socket.socket, Path]:
    """A UDP socket to one peer over the interface, proven as by :func:`connect_tcp`; nothing is sent yet.

    It is connected, so the kernel drops what comes from any other address or port, and chooses a fresh source port.

    Raises:
        LinkError: interface-gone, bind-refused, wrong-path, no-route.
    """
    with _bound(interface, peer, socket.SOCK_DGRAM, sources, hold) as sock:
        sock.setblocking(False)
        _connect(sock, interface, peer, port, sources)
        return sock, _prove(sock, interface, sources)


@contextmanager
def _bound(
    interface: str, peer: IPAddress, kind: int, sources: Collection[IPAddress], hold: Hold
) -> Iterator[socket.socket]:
    """A socket that is bound to the device, and to the link's address where it is known; closed on any error."""
    if not 0 < len(os.fsencode(interface)) <= _NAME_MAX or "\0" in interface:
        raise gone(interface, "does not exist")
    source = next((s for s in sources if s.version == peer.version), None)
    if sources and source is None:
        raise no_address(interface, peer)
    sock = socket.socket(socket.AF_INET if peer.version == 4 else socket.AF_INET6, kind | socket.SOCK_CLOEXEC)
    with _closed_on_error(sock):
        if peer.version == 6:
            # An IPv4 address in IPv6 clothes (::ffff:192.168.8.1) would slip past whoever checks addresses by family.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind_device(sock, interface)
        if source is not None:
            _bind_address(sock, interface, source)
        hold(sock)
        yield sock


@contextmanager
def _closed_on_error(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise


def _bind_device(sock: socket.socket, interface: str) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(interface) + b"\0")
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise gone(interface, "does not exist") from None
        reason = "that takes CAP_NET_RAW here" if error.errno == errno.EPERM else error.strerror
        raise LinkError("bind-refused", f"The kernel refuses to bind a socket to {interface}: {reason}.") from None
    _read_back(sock, interface)


def _bind_address(sock: socket.socket, interface: str, source: IPAddress) -> None:
    try:
        sock.bind(_sockaddr(source, 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise gone(interface, f"no longer has the link's address {source}") from None
        reason = error.strerror
        raise LinkError("bind-refused", f"The kernel refuses to bind a socket to {source}: {reason}.") from None


def _connect(sock: socket.socket, interface: str, peer: IPAddress, port: int, sources: Collection[IPAddress]) -> None:
    try:
        sock.connect(_sockaddr(peer, port))
    except BlockingIOError:
        raise
    except OSError as error:
        ours = _our_fault(error, interface, peer, sources)
        raise (error if ours is None else ours) from None


def _prove(sock: socket.socket, interface: str, sources: Collection[IPAddress]) -> Path:
    bound_to = _read_back(sock, interface)
    # Not connected after all (ENOTCONN): whoever shuts a socket down while it connects leaves it without an error.
    to = sock.getpeername()
    source = _address(sock.getsockname()[0])
    if sources and source not in sources:
        raise LinkError("wrong-path", f"The connection left from {source}, which is no address of the link.")
    return Path(bound_to, source, _address(to[0]), to[1])


def _read_back(sock: socket.socket, interface: str) -> str:
    try:
        name = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _NAME_MAX + 1)
    except OSError:
        raise gone(interface, "went away") from None
    bound_to = os.fsdecode(name.split(b"\0")[0])
    if bound_to != interface:
        seen = f"bound to {bound_to}" if bound_to else "not bound"
        raise LinkError("wrong-path", f"The socket was to be bound to {interface} and is {seen}.")
    return bound_to


def _our_fault(error: OSError, interface: str, peer: IPAddress, sources: Collection[IPAddress]) -> LinkError | None:
    """The LinkError of a failed connect, or None where the peer or the network is to blame."""
    code = error.errno
    if code in (errno.ENODEV, errno.ENETDOWN, errno.ENXIO):
        return gone(interface, "is down")
    if code == errno.EADDRNOTAVAIL:
        return no_address(interface, peer)
    if code in (errno.EPERM, errno.EACCES):
        return LinkError(
            "no-route",
            f"This device forbids connections to {peer} over {interface}.",
            hint="Look for a firewall rule, a prohibit route, or the unit's IPAddressDeny= and RestrictNetworkInterfaces=.",
        )
    if code in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL):  # EINVAL: a blackhole route
        return _unreachable(interface, peer, sources)
    return None


def _unreachable(interface: str, peer: IPAddress, sources: Collection[IPAddress]) -> LinkError | None:
    """What "unreachable" means: it is the kernel's own word, or a router's far away (ICMP); so the kernel is asked."""
    device = netlink.device(interface)
    if device is None or not device.up:
        return gone(interface, "is down" if device else "went away")
    own = {a.interface.ip for a in netlink.addresses() if a.device == device.index}
    source = next((a for a in sources or own if a.version == peer.version and a in own), None)
    if source is None:
        return no_address(interface, peer)
    if not route_exists(device, peer, source):
        return LinkError("no-route", f"The kernel has no route to {peer} over {interface}.")
    route = netlink.route(peer, device=device.index, source=source)
    if device.resolves_neighbours and route is not None and route.gateway is None:
        return LinkError(
            "no-route",
            f"Nobody on {interface} answers for {peer}: the route there names no gateway.",
            hint=f"Name it: ip -{peer.version} route add default via GATEWAY dev {interface} metric 600",
        )
    return None


def _sockaddr(address: IPAddress, port: int) -> tuple[str, int]:
    # A scope (fe80::1%wwan0) is dropped: the device that the socket is bound to is the scope.
    return str(address).partition("%")[0], port


def _address(text: str) -> IPAddress:
    return ip_address(text.partition("%")[0])
