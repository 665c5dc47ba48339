"""What a link lacks in the kernel, set up for the time of an exchange and removed after it; nothing else is touched.

**A table of its own, and a rule for its address.** The link's private table (its number is 112000 and the device's index)
holds one default route; a rule sends there what comes from the link's address, ahead of whatever else the device has: a
VPN's `not from all fwmark`, a kill switch, a better default. It is also the one way that strict reverse path filtering
lets the answers in by (measured; a rule for the device, `oif`, is not looked at for answers). No other traffic has that
source address, so no other traffic moves.

**Marked.** What is set up says that it is ours (changes.py), so a later run finds what one that was killed left behind,
and removes it if nobody uses it any more (claims.py).
"""

from __future__ import annotations

import errno
import logging

from phonecheck.errors import LinkError
from phonecheck.link import capability, changes, claims, lacking, marks, netlink
from phonecheck.link.path import gone
from phonecheck.link.rtmessage import Device
from phonecheck.model import Family, Link

_TURN_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Configured:
    """One run's use of what is set up on a link, be it by itself or by another run."""

    def __init__(self, device: Device) -> None:
        """Start the use, before anything is changed.

        Raises:
            LinkError: bind-refused.
        """
        self._index = device.index
        self._claim: claims.Claim | None = claims.claim(device.index)

    def remove(self) -> None:
        """End the use; if no other run uses the link, remove what is set up. May be called again; raises nothing.

        To be called when the exchange's sockets are closed: with the rule gone, what comes in for one that was closed too
        early is answered by the default route.
        """
        ended, self._claim = self._claim, None
        if ended is None:
            return
        try:
            with claims.alone(self._index, _TURN_SECONDS):
                if not ended.shared:
                    _remove(marks.marked(self._index))
        except LinkError as error:
            _log.warning("What was set up on the link is left there. %s %s", error.message, error.hint)
        except Exception as error:  # noqa: BLE001  another error may be on its way, and this must not take its place
            _log.warning("What was set up on the link is left there for the next run: %s", error)
        finally:
            ended.release()


def join(device: Device) -> Configured | None:
    """Use what a run has set up on the device, if one has; to be called in turn (claims.alone).

    Raises:
        LinkError: bind-refused.
    """
    return Configured(device) if marks.marked(device.index) else None


def set_up(link: Link) -> None:
    """Give the link what it lacks; to be called in turn, by one who uses it (:class:`Configured`).

    A family that the kernel refuses (IPv6 switched off) is left out as long as the other one is set up.

    Raises:
        LinkError: interface-gone; wrong-path, where another interface has the link's address; no-route, where the kernel
            refuses. What was set up until then is there still.
    """
    device = netlink.device(link.interface)
    if device is None:
        raise gone(link.interface, "went away")
    _refuse_twins(link, device)
    _tell_of_missing_gateways(link, device)
    refused: dict[Family, LinkError] = {}
    with changes.session() as ip:
        for step in lacking.steps(link, device):
            if step.family in refused:
                continue
            try:
                step.take(ip)
                _log.info("done as if by: %s", step.command)
            except OSError as error:
                if error.errno == errno.EEXIST:
                    continue
                if step.family is None:
                    raise _refusal(device, step, error) from None
                refused[step.family] = _refusal(device, step, error)
    if len(refused) == len(link.families):
        raise next(iter(refused.values()))


def bring_up(device: Device) -> None:
    """Set a device up that nobody has configured; to be called as :func:`set_up`.

    Raises:
        LinkError: interface-gone, no-route.
    """
    step = lacking.up(device)
    try:
        with changes.session() as ip:
            step.take(ip)
    except OSError as error:
        raise _refusal(device, step, error) from None


def commands(link: Link) -> tuple[str, ...]:
    """What a person would type to give the link what it lacks; that is not marked then, and stays.

    Raises:
        LinkError: wrong-path, as :func:`set_up`.
    """
    device = netlink.device(link.interface)
    if device is None:
        return ()
    _refuse_twins(link, device)
    return tuple(step.command for step in lacking.steps(link, device))


def ours() -> tuple[str, ...]:
    """What runs have set up, in words: of those under way, and of those that were killed."""
    return marks.words(marks.marked())


def cleanup() -> tuple[str, ...]:
    """Remove what runs have left behind that are gone, and nothing else; the words of it.

    Raises:
        LinkError: bind-refused; there is something, and this process may not remove it, or must not now.
    """
    removed: tuple[str, ...] = ()
    for index in sorted({marks.index_of(item) for item in marks.marked()}):
        # Looked at before the turn is waited for, as one run may take long at it, and another link is none of its business.
        if claims.in_use(index):
            continue
        with claims.alone(index, _TURN_SECONDS):
            stale = [] if claims.in_use(index) else marks.marked(index)
            words = marks.words(stale)
            _remove(stale)
            removed += words
    return removed


def _remove(stale: list[marks.Marked]) -> None:
    if not stale:
        return
    reason = "that takes CAP_NET_ADMIN"
    if capability.holds(capability.NET_ADMIN):
        try:
            marks.remove(stale)
        except OSError as error:
            reason = str(error.strerror)
        else:
            return
    raise LinkError(
        "bind-refused",
        f"What runs have set up on a link cannot be removed: {reason}.",
        hint="Run it as root: phonecheck link cleanup.",
    )


def _refuse_twins(link: Link, device: Device) -> None:
    wanted = {a.ip for a in link.addresses}
    twin = next((a for a in netlink.addresses() if a.interface.ip in wanted and a.device != device.index), None)
    if twin is not None:
        other = next((d.name for d in netlink.devices() if d.index == twin.device), "another interface")
        raise LinkError(
            "wrong-path",
            f"{other} has {twin.interface.ip} too, the address of {device.name}: no rule could tell them apart.",
            hint=f"Take the address from {other}, or give one of the two another network.",
        )


def _tell_of_missing_gateways(link: Link, device: Device) -> None:
    """As where a HAT's DHCP client was told to set no route: then the hops fail with "No route to host"."""
    for family in link.families:
        if device.resolves_neighbours and not any(g.version == family for g in link.gateways):
            _log.warning(
                "No IPv%d gateway is known for %s, and peers are looked for on the link itself. If that fails, name it:"
                " ip -%d route add default via GATEWAY dev %s metric 700",
                *(family, device.name, family, device.name),
            )


def _refusal(device: Device, step: lacking.Step, error: OSError) -> LinkError:
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return gone(device.name, "went away")
    hint = None
    if error.errno == errno.EPERM:
        hint = "CAP_NET_ADMIN counts in its own network namespace only: run it where the interface belongs."
    elif error.errno == errno.EACCES and step.family == 6:  # inet6_addr_add in net/ipv6/addrconf.c
        name = device.name.replace(".", "/")  # sysctl reads a dot in a name as its own separator
        hint = f"IPv6 is off there: sysctl -w net.ipv6.conf.{name}.disable_ipv6=0; or ask for an IPv4 bearer (ip-type)."
    return LinkError("no-route", f"The kernel refuses `{step.command}`: {error.strerror}.", hint=hint)
