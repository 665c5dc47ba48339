"""Acting on a running sandbox: the requests, their form on the wire, and the caller's side of it.

A connection carries one request and one reply, each a line of JSON. The request is ``{"words": ["unplug", "0"]}``, or
``{"exec": {…}}`` with the caller's standard input, output and error as three descriptors beside its first byte
(SCM_RIGHTS, unix(7)); while an exec runs, ``{"signal": N}`` lines send its process group a signal, and the end of the
connection kills it. The reply is ``{"ok": true, …}`` or ``{"ok": false, "error": …, "hint": …, "usage": …}``.

Two sockets take it: an abstract one in the machine's network namespace, whose name tells uid and pid of the keeper and so
makes running sandboxes findable with no file to leave behind, and a path inside, for programs on the device.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonecheck_sandbox.errors import SandboxError

INSIDE = "PHONECHECK_SANDBOX"
"""The environment variable that tells a program on the device where the control socket is."""

Reply = dict[str, Any]
"""What a request is answered with; empty where there is nothing to tell."""

_NAME = re.compile(r"@phonecheck-sandbox-(\d+)-(\d+)")
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Verb:
    """A request's name: what it takes, what it does, how many words it takes at least and at most."""

    takes: str
    does: str
    least: int = 0
    most: int = 0
    modem: bool = False
    """Whether it takes the number of a modem, N as in wwanN."""


VERBS: dict[str, Verb] = {
    "state": Verb("", "Show conditions, modems, the reports that came, and where the logs are."),
    "wait-ready": Verb("", "Answer once everything runs."),
    "set": Verb("KEY=VALUE...", "Change conditions, see phonecheck_sandbox/conditions.py.", 1, 100),
    "scenario": Verb("NAME", "Take on a named scenario, unless it needs another sandbox.", 1, 1),
    "reset": Verb("", "Make all conditions ordinary."),
    "unplug": Verb("[N]", "Pull the modem: wwanN is gone.", modem=True),
    "plug": Verb("[N]", "Plug it in again; ModemManager takes some seconds.", modem=True),
    "drop-bearer": Verb("[N]", "Have the network end the session.", modem=True),
    "connect": Verb("[N]", "Bring the session up, through ModemManager.", modem=True),
    "disconnect": Verb("[N]", "Take the session down, through ModemManager.", modem=True),
    "lock-sim": Verb("[N]", "Have the SIM ask for its PIN, and replug the modem.", modem=True),
    "pin-lock": Verb("[TRIES [N]]", "The same, with so many tries left: 1 to 3.", 0, 1, modem=True),
    "puk-lock": Verb("[N]", "Spend the PIN's tries: the SIM asks for its PUK.", modem=True),
    "remove-sim": Verb("[N]", "Take the SIM out.", modem=True),
    "insert-sim": Verb("[N]", "Put the SIM in again.", modem=True),
    "swap-sim": Verb(
        "[N]", "Put another subscriber's SIM in, or the former one again; the modem restarts.", modem=True
    ),
    "registration": Verb("WORD [N]", "home, roaming, searching, denied or idle.", 1, 1, modem=True),
    "apn": Verb("NAME [N]", "Have the network serve this APN only; internet is the ordinary one.", 1, 1, modem=True),
    "activation": Verb(
        "normal|slow SECONDS|hang|refused CAUSE",
        "How the network takes requests for a session; CAUSE is a number of 3GPP TS 24.008, 10.5.6.6.",
        1,
        2,
    ),
    "power": Verb("on|off [N]", "Enable the modem or disable it, through ModemManager.", 1, 1, modem=True),
    "reset-modem": Verb("[N]", "Have the modem restart by itself: wwanN goes and comes back.", modem=True),
    "signal": Verb("PERCENT", "Set the signal quality.", 1, 1),
    "manager-stop": Verb("", "Stop ModemManager."),
    "manager-kill": Verb("", "Kill ModemManager with SIGKILL."),
    "manager-start": Verb("", "Start it again."),
    "bus-stop": Verb("", "End the system bus, and with it all that is on it."),
    "bus-start": Verb("", "Start it again, and ModemManager."),
    "deny": Verb("ACTION...", "Have polkit refuse these actions.", 1, 100),
    "allow": Verb("", "Have polkit allow everything."),
    "link-down": Verb("[N]", "Set wwanN down behind the modem's back.", modem=True),
    "address-lost": Verb("[N]", "Take wwanN's addresses, likewise.", modem=True),
    "route-lost": Verb("[N]", "Take wwanN's default routes, likewise; the session's next start sets them.", modem=True),
    "device-gone": Verb("[N]", "Take wwanN itself, likewise; ctl plug gives it back.", modem=True),
    "configure": Verb("on|off", "Whether wwanN is configured when its session comes up.", 1, 1),
    "vpn": Verb("on|kill-switch|off", "A VPN with wg-quick's rules; with kill-switch, nothing goes beside it.", 1, 1),
    "mwan3": Verb("on|off", "The policy rules of mwan3, with the modem's uplink switched off.", 1, 1),
    "rp-filter": Verb("0|1|2", "Set the device's reverse path filter.", 1, 1),
    "snapshot": Verb("", "The device's rules, routes of all tables, links and addresses, to be compared."),
    "later": Verb("SECONDS REQUEST...", "Make a request so long from now, or from when the sandbox is ready.", 2, 12),
    "counters": Verb("[reset]", "Packets that left, by interface and destination; reset starts them at zero.", 0, 1),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is well formed."""

    verb: str
    values: tuple[str, ...] = ()
    modem: int = 0


def parse(words: Sequence[str], modems: int = 1) -> Request:
    """Read the words of a request.

    Raises:
        ValueError: cause and cure, a sentence each.
    """
    if not words:
        raise ValueError(f"No request was given. Known are: {', '.join(VERBS)}.")
    name, *values = words
    verb = VERBS.get(name)
    if verb is None:
        near = difflib.get_close_matches(name, VERBS, n=1)
        cure = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(VERBS)}."
        raise ValueError(f"There is no request {name!r}. {cure}")
    modem = 0
    if verb.modem and len(values) == verb.most + 1:
        text = values.pop()
        if text not in map(str, range(modems)):
            raise ValueError(f"There is no modem {text!r}. Known are: {', '.join(map(str, range(modems)))}.")
        modem = int(text)
    if not verb.least <= len(values) <= verb.most:
        raise ValueError(f"{name} takes other words than these. Say: ctl {' '.join((name, verb.takes)).strip()}.")
    return Request(name, tuple(values), modem)


def address_of(uid: int, pid: int) -> str:
    """The abstract address of the sandbox that a user's keeper holds."""
    return f"\0phonecheck-sandbox-{uid}-{pid}"


def running(table: str, uid: int) -> list[tuple[int, int]]:
    """Uid and pid of each sandbox in the text of /proc/net/unix that a user may act on: root on all of them."""
    found = {(int(m[1]), int(m[2])) for m in _NAME.finditer(table)}
    return sorted(one for one in found if uid in (0, one[0]))


def find(pid: int | None = None) -> str:
    """The address of the sandbox that is meant: of this program, of a keeper's pid, or the only one that runs.

    Raises:
        SandboxError: there is none, or more than one.
    """
    if pid is None and (inside := os.environ.get(INSIDE)):
        return inside
    all_of_them = running(Path("/proc/net/unix").read_text(), os.getuid())
    meant = [one for one in all_of_them if pid in (None, one[1])]
    if not meant:
        raise SandboxError(
            "No sandbox of yours runs here." if pid is None else f"No sandbox of yours has the pid {pid}.",
            hint="Start one in another terminal: phonecheck-sandbox shell",
        )
    if len(meant) > 1:
        raise SandboxError(
            f"{len(meant)} sandboxes run here: pids {', '.join(str(pid) for _, pid in meant)}.",
            hint="Choose one with --pid.",
        )
    return address_of(*meant[0])


def dial(address: str, timeout: float | None = None) -> socket.socket:
    """Open a connection to a sandbox.

    Raises:
        SandboxError: nobody answers there.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(timeout)
    try:
        line.connect(address)
    except OSError as error:
        line.close()
        raise SandboxError(
            f"The sandbox does not answer: {error.strerror}.",
            hint="It has ended, or this environment is from one that has; start another.",
        ) from None
    return line


def ask(address: str, words: Sequence[str], timeout: float | None = None) -> dict[str, Any]:
    """Send a request and return the reply without its ``ok``.

    Raises:
        ValueError: the words make no request.
        SandboxError: the sandbox could not do it, or ended.
        TimeoutError: no answer in ``timeout`` seconds.
    """
    with dial(address, timeout) as line:
        with _hung_up():
            line.sendall(encode({"words": list(words)}))
        return receive(line)


def begin_exec(
    line: socket.socket, argv: Sequence[str], *, node: str, env: Mapping[str, str], stdio: Sequence[int]
) -> None:
    """Ask for a command on a node, in the caller's directory; its exit status comes with ``receive``.

    Raises:
        SandboxError: the caller's directory is gone.
    """
    try:
        cwd = str(Path.cwd())
    except FileNotFoundError:
        raise SandboxError("The directory that you are in is gone.", hint="Go to another one: cd") from None
    message = encode({"exec": {"argv": list(argv), "node": node, "cwd": cwd, "env": dict(env)}})
    with _hung_up():
        sent = socket.send_fds(line, [message], list(stdio))
        if sent < len(message):  # not for nothing: with the whole message out, the command may have come and gone
            line.sendall(message[sent:])


def receive(line: socket.socket) -> dict[str, Any]:
    """Wait for the reply.

    Raises:
        ValueError, SandboxError, TimeoutError: as ``ask``.
    """
    answer = b""
    while not answer.endswith(b"\n"):
        with _hung_up():
            part = line.recv(1 << 16)
            if not part:
                raise ConnectionResetError
        answer += part
    reply = decode(answer)
    if reply.pop("ok", False):
        return reply
    if reply.get("usage"):
        raise ValueError(reply["error"])
    raise SandboxError(str(reply.get("error")), hint=str(reply.get("hint")))


@contextmanager
def _hung_up() -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        raise SandboxError("The sandbox ended before it answered.", hint="Start it again.") from None


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """A line as a message.

    Raises:
        ValueError: too long, not JSON, or not an object.
    """
    if len(line) > _LONGEST_LINE:
        raise ValueError("The request is longer than a megabyte.")
    try:
        message = json.loads(line)
    except ValueError:
        raise ValueError("The request is not a line of JSON.") from None
    if not isinstance(message, dict):
        raise ValueError("The request is not a JSON object.")  # noqa: TRY004  of the wrong form, like any other line
    return message
