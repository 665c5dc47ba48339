"""Everything that can go wrong, each with a stable code, an exit status and a cure.

    AgentError                  70  internal-error
    ├─ ConfigError               3  bad-setting · missing-credential · unsafe-file-mode · number-unknown
    │                               · clock-wrong · file-unwritable
    ├─ ModemError                4  modem-manager-unavailable* · modem-not-found* · ambiguous-modem · not-authorized
    │   ├─ SimError              4  sim-missing · sim-locked · pin-refused · puk-required
    │   └─ BearerError           4  not-registered* · not-connected · connect-failed* · no-ip-config*
    │                               · weak-signal*
    ├─ LinkError                 5  interface-gone* · bind-refused · wrong-path · no-route · reply-filtered
    │                               · name-not-found · resolver-silent* · captive-network
    │                               · large-packets-lost
    ├─ CheckError                6  bad-check-url · hop-refused · too-many-redirects · redirect-loop · hop-timeout*
    │   │                           · tls-failed · response-too-large · not-mobile-ip · operator-unsupported
    │   │                           · number-operator-mismatch · rate-limited* · check-expired · platform-error
    │   │                           · operator-error
    │   └─ DeadlineExceeded      -  deadline-exceeded*   (the exit status of the step it struck)
    ├─ ServerError               7  server-unreachable* · server-rejected · protocol-mismatch
    └─ ServiceError              8  agent-unavailable* · agent-busy* · already-running · not-allowed · not-configured
                                    · bad-option · unknown-check · check-hung* · check-crashed* · check-killed*
                                    · check-garbled* · check-interrupted* · reports-waiting*

``*`` marks the codes worth another try, with a new check. An adapter maps the foreign exceptions it meets (GLib.Error,
OSError, httpx, dns, ssl) to these, and none of those leaves it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """The exit status of the commands, by the step that failed."""

    MATCH = 0
    NO_MATCH = 1
    USAGE = 2
    CONFIG = 3
    MODEM = 4
    LINK = 5
    CHECK = 6
    SERVER = 7
    SERVICE = 8
    BUG = 70
    INTERRUPTED = 130


class AgentError(Exception):
    """A failure with a cause and a cure.

    Args:
        code: one of the codes of the class, as in the tree above.
        message: one sentence of cause. It holds no number, identity, token, code, cookie or URL query.
        hint: one sentence of cure; the code's own cure where the caller knows no better one.
        retry_after: seconds that whoever refused asked to wait before anything is tried again; None where it did not say.
    """

    exit_status: ExitStatus = ExitStatus.BUG
    cures: ClassVar[dict[str, str]] = {
        "internal-error": "This is a bug in phonecheck: please report it with the output of the same command and -v.",
    }
    """The codes of the class, each with its usual cure."""

    def __init__(self, code: str, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        if code not in self.cures:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = self.cures[code] if hint is None else hint
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same command may succeed later with nothing mended."""
        return self.code in _RETRYABLE


class ConfigError(AgentError):
    """What the device was told is wrong or missing."""

    exit_status = ExitStatus.CONFIG
    cures: ClassVar[dict[str, str]] = {
        "bad-setting": "Correct the setting; docs/configuration.md lists them all.",
        "missing-credential": "Put the credential where the configuration says, or into the unit's LoadCredential=.",
        "unsafe-file-mode": "Make the file readable by its owner alone: chmod 600 FILE.",
        "number-unknown": "Give the number on the command line, or set phone.number in the configuration.",
        "clock-wrong": "Let it be set: timedatectl set-ntp true; or by hand: date -s 'YYYY-MM-DD HH:MM:SS'.",
        "file-unwritable": "Name another file with -o, in a directory that you may write to and that has room.",
    }


class ModemError(AgentError):
    """The modem cannot be found, read or used."""

    exit_status = ExitStatus.MODEM
    cures: ClassVar[dict[str, str]] = {
        "modem-manager-unavailable": "Start it: systemctl start ModemManager.",
        "modem-not-found": "See what ModemManager sees: phonecheck modem list.",
        "ambiguous-modem": "Choose one, by --modem or modem.id: its device path, or iccid: or imei: with the whole number.",
        "not-authorized": "Run as root or as a member of the group that the polkit rule or the D-Bus policy admits.",
    }


class SimError(ModemError):
    """The SIM is missing or locked."""

    cures: ClassVar[dict[str, str]] = {
        "sim-missing": "Put a SIM into the modem, then reset it or power it off and on.",
        "sim-locked": "Unlock the SIM with its PIN: phonecheck modem unlock.",
        "pin-refused": "Check the PIN before trying again: the SIM counts failed tries and then asks for its PUK.",
        "puk-required": "Unblock the SIM with the PUK from its operator: mmcli -i SIM --puk=PUK --pin=NEW-PIN.",
    }


class BearerError(ModemError):
    """The modem has no data connection that the exchange could use."""

    cures: ClassVar[dict[str, str]] = {
        "not-registered": "Check antenna, coverage and subscription, then wait for the registration.",
        "not-connected": "Connect it: --connect --apn YOUR-APN, or let NetworkManager do it.",
        "connect-failed": "Check APN and subscription with the operator.",
        "no-ip-config": "Reconnect the bearer; if it stays, ask the operator which ip-type the APN serves.",
        "weak-signal": "Move, turn or replace the antenna while you watch it: phonecheck monitor.",
    }


class LinkError(AgentError):
    """The kernel will not take the exchange over the link, or a name has no address there."""

    exit_status = ExitStatus.LINK
    cures: ClassVar[dict[str, str]] = {
        "interface-gone": "Check that the modem is plugged in and its bearer connected, then ask for a new check.",
        "bind-refused": "Try as root: Linux before 5.7 wants CAP_NET_RAW, and a container or a unit may forbid it.",
        "wrong-path": "Look for a policy rule or a VPN that reroutes bound sockets: ip rule; ip route get ADDRESS oif LINK.",
        "no-route": "Give the link a route of its own: ip route add default dev LINK metric 700.",
        "reply-filtered": "Loosen the reverse path filter: sysctl -w net.ipv4.conf.LINK.rp_filter=2.",
        "name-not-found": "Check the name; the operator's DNS servers were asked, and no other.",
        "resolver-silent": "Check the bearer's DNS servers and the signal, then ask for a new check.",
        "captive-network": "Ask the operator for an APN that leads to the Internet, and whether the SIM is paid for.",
        "large-packets-lost": "Give the link a smaller MTU: ip link set LINK mtu 1280.",
    }


class CheckError(AgentError):
    """The check URL's chain did not come to its end."""

    exit_status = ExitStatus.CHECK
    cures: ClassVar[dict[str, str]] = {
        "bad-check-url": "A check URL is https, has a host and no user name; correct it at its source.",
        "hop-refused": "If the operator needs such a hop, see chain.cleartext in the configuration; else report the hop.",
        "too-many-redirects": "Report the hops to the platform: phonecheck open URL shows them.",
        "redirect-loop": "Report the hops to the platform: phonecheck open URL shows them.",
        "hop-timeout": "Check signal and coverage, then ask for a new check; chain.hop_timeout allows more time.",
        "tls-failed": "Check the device's clock and its CA certificates.",
        "response-too-large": "Report the hop to its owner.",
        "not-mobile-ip": "Check that the APN leads to the Internet directly, not through a VPN or a private APN.",
        "operator-unsupported": "Ask the platform whether this operator is covered.",
        "number-operator-mismatch": "Check that the number belongs to the SIM in this modem.",
        "rate-limited": "Wait, then ask for a new check.",
        "check-expired": "Ask for a new check: each is spent once and lives only for its ttl.",
        "platform-error": "Ask for a new check; if it stays, report the hops to the platform.",
        "operator-error": "Ask for a new check; if it stays, report the hops to the operator.",
        "deadline-exceeded": "Allow more time with --timeout, or check signal and coverage.",
    }


class DeadlineExceeded(CheckError):
    """The one deadline of the command, or the check's ttl, passed in the middle of a step.

    Args:
        message: one sentence that names the step.
        exit_status: the exit status of the step's own errors.
    """

    def __init__(self, message: str, *, exit_status: ExitStatus = ExitStatus.CHECK) -> None:
        super().__init__("deadline-exceeded", message)
        self.exit_status = exit_status


class ServerError(AgentError):
    """The app server cannot be reached, refuses, or speaks another protocol."""

    exit_status = ExitStatus.SERVER
    cures: ClassVar[dict[str, str]] = {
        "server-unreachable": "Check server.url, the device's own network and the server's certificate.",
        "server-rejected": "Check the server's log for this request, and the device's credential.",
        "protocol-mismatch": "Check server.protocol and the server's paths; docs/app-server.md lists what it must answer.",
    }


class ServiceError(AgentError):
    """The service cannot do what it was asked, or a check that it had made ended without an answer."""

    exit_status = ExitStatus.SERVICE
    cures: ClassVar[dict[str, str]] = {
        "agent-unavailable": "Start the service: systemctl start phonecheck-agent.",
        "agent-busy": "Wait for the checks that are queued, then ask again.",
        "already-running": "Use the one that runs: phonecheck status; or stop it: systemctl stop phonecheck-agent.",
        "not-allowed": "Ask as root or as a member of the group phonecheck: adduser USER phonecheck, then log in again.",
        "not-configured": "Set server.url in /etc/phonecheck/agent.toml, then: systemctl reload phonecheck-agent.",
        "bad-option": "Verify takes number (s), modem (s) and timeout (d); see docs/dbus-api.md.",
        "unknown-check": "See which checks are remembered: phonecheck history.",
        "check-hung": "See what it waited for: phonecheck verify -v.",
        "check-crashed": "This is a bug in phonecheck: please report it with the output of phonecheck verify -v.",
        "check-killed": "See who killed it: journalctl -k; where memory was short, raise MemoryMax= of the unit.",
        "check-garbled": "This is a bug in phonecheck: please report it with the output of phonecheck verify --json.",
        "check-interrupted": "Ask for a new check: the service was stopped in the middle of this one.",
        "reports-waiting": "See why the app server does not take them: journalctl -u phonecheck-agent.",
    }


_RETRYABLE = frozenset(
    {
        "modem-manager-unavailable",
        "modem-not-found",
        "not-registered",
        "connect-failed",
        "no-ip-config",
        "interface-gone",
        "resolver-silent",
        "hop-timeout",
        "rate-limited",
        "deadline-exceeded",
        "server-unreachable",
        "agent-unavailable",
        "agent-busy",
        "check-hung",
        "check-crashed",
        "check-killed",
        "check-garbled",
        "check-interrupted",
        "weak-signal",
        "reports-waiting",
    }
)
