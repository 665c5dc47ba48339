"""The data session (MBIM 10.5.12, 10.5.20): asked for, given in the families that fit, or refused as a network does."""

from __future__ import annotations

import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from phonecheck_sandbox.modem.mbim import (
    BASIC_CONNECT,
    INTERNET_CONTEXT,
    Cid,
    Command,
    MalformedError,
    Refused,
    Status,
    encode,
    number,
    text,
)
from phonecheck_sandbox.modem.state import Cause, Families, ModemState, Session


def activates(command: Command) -> bool:
    """Whether the command asks the network for a session: the one answer that takes as long as the network does."""
    if (command.service, command.cid, command.is_set) != (BASIC_CONNECT, Cid.CONNECT, True):
        return False
    with suppress(MalformedError):
        return bool(number(command.information, 4))
    return False


def connection(state: ModemState, network_error: int = 0) -> bytes:
    """What CONNECT answers, and what is indicated when it changes; ``network_error`` is a `Cause` or of its kind."""
    activated, activating, deactivated, no_voice = 1, 2, 3, 0
    session = state.session
    families = session.granted or session.offered
    # ModemManager tells us nothing when it cancels a Connect: it asks before the next one, and deactivates what it finds.
    activation = activated if session.up else activating if session.asked else deactivated
    return encode(0, activation, no_voice, families, INTERNET_CONTEXT, network_error)


def connect(state: ModemState, command: Command) -> bytes:
    """CONNECT (MBIM 10.5.12)."""
    if not command.is_set:
        return connection(state)
    session_id, activate = number(command.information, 0), number(command.information, 4)
    if session_id != 0:
        raise Refused(Status.MAX_ACTIVATED_CONTEXTS)
    if not activate:
        state.session.end()
        return connection(state)
    apn, wanted = text(command.information, 8), _families(number(command.information, 40))
    if not state.registration.served:
        raise Refused(Status.NOT_REGISTERED)
    if cause := _refusal(state.session, apn, wanted):
        raise Refused(Status.FAILURE, connection(state, cause))
    state.session.granted = wanted & state.session.offered
    return connection(state)


def _families(ip_type: int) -> Families:
    modems_choice, ipv4_and_ipv6 = 0, 4
    if ip_type in (modems_choice, ipv4_and_ipv6):
        return Families.IPV4 | Families.IPV6
    if ip_type > ipv4_and_ipv6:
        raise Refused(Status.INVALID_PARAMETERS)
    return Families(ip_type)


def _refusal(session: Session, apn: str, wanted: Families) -> int:
    if session.refusal:
        return session.refusal
    if apn not in session.apns:
        return Cause.UNKNOWN_APN
    if not wanted & session.offered:
        return Cause.IPV4_ONLY if session.offered == Families.IPV4 else Cause.IPV6_ONLY
    return 0


def ip_configuration(state: ModemState) -> bytes:
    """IP_CONFIGURATION (MBIM 10.5.20)."""
    session = state.session
    if not session.up:
        raise Refused(Status.CONTEXT_NOT_ACTIVATED)
    tail_start = 15 * 4
    tail = bytearray()

    def place(*values: IPv4Interface | IPv6Interface | IPv4Address | IPv6Address) -> int:
        at = tail_start + len(tail)
        for value in values:
            if isinstance(value, IPv4Interface | IPv6Interface):
                tail.extend(struct.pack("<I", value.network.prefixlen))
            tail.extend(value.packed)
        return at if values else 0

    address, gateway, dns, mtu = 1, 2, 4, 8
    everything, nothing = address | gateway | dns | mtu, 0
    # MBIM 10.5.20: where no address is given, the host is to ask by DHCP; then nothing of the family is.
    v4 = session if Families.IPV4 in session.granted and session.address else None
    v6 = session if Families.IPV6 in session.granted else None
    at4 = place(v4.address) if v4 and v4.address else 0
    at6 = place(v6.address6) if v6 else 0
    gateway4 = place(v4.gateway) if v4 else 0
    gateway6 = place(v6.gateway6) if v6 else 0
    dns4, dns6 = (v4.dns if v4 else ()), (v6.dns6 if v6 else ())
    return encode(
        *(0, everything if v4 else nothing, everything if v6 else nothing),
        *(int(at4 > 0), at4, int(at6 > 0), at6, gateway4, gateway6),
        *(len(dns4), place(*dns4), len(dns6), place(*dns6)),
        *(session.mtu if v4 else 0, session.mtu if v6 else 0),
    ) + bytes(tail)
