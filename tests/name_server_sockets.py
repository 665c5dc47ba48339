"""Sockets for a name server of a test's own."""

from __future__ import annotations

import socket


def udp_and_tcp() -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a TCP listener on one loopback port: the kernel gives a port that is free for one of them only."""
    for _ in range(50):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        return udp, tcp
    raise AssertionError("no port is free for UDP and TCP")
