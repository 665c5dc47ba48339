"""Runs on the device: looks at each thing that a check needs, by itself, and prints what it saw as a JSON object."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import dns.message

LINK, PLATFORM, PLATFORM_HOST, APP_SERVER, APP_SERVER_HOST, TOKEN, NUMBER, *DNS = sys.argv[1:]
PATIENCE = 0.7
SMALL = 500
"""A segment that fits any path."""


def bound(kind: socket.SocketKind = socket.SOCK_STREAM, interface: str = LINK) -> socket.socket:
    new = socket.socket(socket.AF_INET, kind)
    new.settimeout(PATIENCE)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    return new


def binds() -> str:
    bound().close()
    return "ok"


def modem() -> str:
    """Its state and signal, as ModemManager has them."""
    done = subprocess.run(["mmcli", "-m", "any", "-J"], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().removeprefix("error: ").partition(":")[0]
    generic = json.loads(done.stdout)["modem"]["generic"]
    return f"{generic['state']} {generic['signal-quality']['value']}"


def resolves() -> str:
    """What the link's servers say of the platform."""
    said = set()
    for server in DNS:
        with bound(socket.SOCK_DGRAM) as client:
            client.connect((server, 53))
            client.send(dns.message.make_query(PLATFORM_HOST, "A").to_wire())
            answer = dns.message.from_wire(client.recv(4096)).answer
            said.add(str(answer[-1][0]))
    return " ".join(said)


def connected(port: int, most: int | None = None) -> socket.socket:
    client = bound()
    if most:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, most)
    client.connect((PLATFORM, port))
    return client


def connects() -> str:
    connected(443).close()
    return "ok"


def cleartext() -> str:
    """The answer of the platform's port 80."""
    web = http.client.HTTPConnection(PLATFORM_HOST)
    with connected(80) as web.sock:
        web.request("GET", "/")
        answer = web.getresponse()
        return f"{answer.status} {answer.headers['Location']}"


def secure(most: int | None = None) -> str:
    """The answer of the platform itself."""
    web = http.client.HTTPSConnection(PLATFORM_HOST)
    context = ssl.create_default_context()
    with connected(443, most) as plain, context.wrap_socket(plain, server_hostname=PLATFORM_HOST) as web.sock:
        web.request("GET", "/")
        return str(web.getresponse().status)


def creates() -> str:
    """The answer of the app server, by the LAN, to who wants a check; it has asked the platform for one."""
    web = http.client.HTTPSConnection(APP_SERVER_HOST)
    # By the route that the device has, and bound to nothing.
    plain = socket.create_connection((APP_SERVER, 443), timeout=5)
    context = ssl.create_default_context()
    with plain, context.wrap_socket(plain, server_hostname=APP_SERVER_HOST) as web.sock:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        web.request("POST", "/v0.2/phone-check", json.dumps({"phone_number": NUMBER}), headers)
        return str(web.getresponse().status)


def seen(look: Callable[[], str]) -> str:
    try:
        return look()
    except TimeoutError:
        return "silent"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.partition(",")[0]
    except ConnectionResetError:
        return "hung up"
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno else str(error)


PROBES: dict[str, Callable[[], str]] = {
    "clock": lambda: str(datetime.now(UTC).year),
    "bind": binds,
    "modem": modem,
    "dns": resolves,
    "connect": connects,
    "cleartext": cleartext,
    "tls": secure,
    "tls in small": lambda: secure(SMALL),
    "server": creates,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: seen(look) for name, look in PROBES.items()}))
