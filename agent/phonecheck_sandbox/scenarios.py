"""Scenarios: situations of a device that have a name, for ``--scenario`` and for tests."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """A situation to start a sandbox in.

    Attributes:
        does: one line for whoever chooses.
        conditions: knobs that it turns (conditions.py); what it leaves out stays ordinary.
        plan: fields of the Plan that it sets (plan.py): what cannot be changed while the sandbox runs.
        acts: control requests that are carried out, in this order, before the sandbox is ready: ``"lock-sim"``.
    """

    does: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    acts: tuple[str, ...] = ()

    def check_running(self, name: str) -> None:
        """See that a running sandbox can take the scenario on.

        Raises:
            ValueError: it sets what is fixed when a sandbox starts, said in cause and cure.
        """
        if self.plan:
            fixed = ", ".join(self.plan)
            raise ValueError(
                f"The scenario {name} sets what cannot change while a sandbox runs: {fixed}. "
                f"Start one so: phonecheck-sandbox shell --scenario {name}."
            )


_CONTROL = "org.freedesktop.ModemManager1.Device.Control"

_MODEM = {
    "two-modems": Scenario("Two modems, each with a SIM of its own.", plan={"modems": 2}),
    "sim-locked": Scenario("The SIM wants its PIN, 1234, and has three tries left.", acts=("lock-sim",)),
    "puk-locked": Scenario("The SIM has had three wrong PINs, and wants its PUK.", acts=("puk-lock",)),
    "no-sim": Scenario("There is no SIM; ModemManager takes 15 s to believe it.", acts=("remove-sim",)),
    "modem-off": Scenario("The modem is disabled.", acts=("power off",)),
    "searching": Scenario("The modem finds no network.", acts=("registration searching",)),
    "denied": Scenario("The network does not let the SIM in.", acts=("registration denied",)),
    "roaming": Scenario(
        "The SIM is abroad, registered with another operator, and has no session.",
        acts=("disconnect", "registration roaming"),
    ),
    "bearer-down": Scenario("The modem is registered, and has no session.", acts=("disconnect",)),
    "wrong-apn": Scenario(
        "No session; the network serves the APN iot.example only.", acts=("disconnect", "apn iot.example")
    ),
    "refused-activation": Scenario(
        "No session; the network refuses one: not subscribed.", acts=("disconnect", "activation refused 33")
    ),
    "slow-activation": Scenario(
        "No session; the network takes 5 s to give one.", acts=("disconnect", "activation slow 5")
    ),
    "hung-activation": Scenario(
        "No session; the network never answers who wants one.", acts=("disconnect", "activation hang")
    ),
    "polkit-denied": Scenario(
        "No session; polkit does not let anybody control the modem.", acts=("disconnect", f"deny {_CONTROL}")
    ),
    "unplugged": Scenario("The modem is not plugged in.", acts=("unplug",)),
    "weak-signal": Scenario("The modem hears its network at 3 per cent.", acts=("signal 3",)),
    "bus-down": Scenario("The system bus has ended, and ModemManager with it.", acts=("bus-stop",)),
    "manager-down": Scenario("ModemManager is not running.", acts=("manager-stop",)),
    "manager-late": Scenario(
        "ModemManager starts after 2 s, as at boot, and shows the modem 3 s later.",
        acts=("manager-stop", "later 2 manager-start"),
    ),
}
_LINK = {
    "unconfigured": Scenario("The session is up, and nobody has configured wwan0.", plan={"configure": False}),
    "ethernet": Scenario("wwan0 is Ethernet, with ARP and a gateway.", plan={"link_kind": "ethernet"}),
    "dhcp": Scenario(
        "wwan0 is Ethernet, its address is to be leased, and nobody has asked for it.",
        plan={"link_kind": "ethernet", "ip_method": "dhcp", "configure": False},
    ),
    "ipv6-only": Scenario("The session is IPv6 only, with DNS64 and NAT64.", plan={"ip": "6"}),
    "dual-stack": Scenario("The session has IPv4 and IPv6.", plan={"ip": "4v6"}),
    "one-family-black-holed": Scenario(
        "The session has IPv4 and IPv6, and the radio swallows IPv6.", {"radio_black_hole": "6"}, plan={"ip": "4v6"}
    ),
    "strict-rp-filter": Scenario("The device's reverse path filter is strict.", acts=("rp-filter 1",)),
    "vpn": Scenario("A VPN has the default route, by rules ahead of main as wg-quick sets them.", acts=("vpn on",)),
    "vpn-kill-switch": Scenario("The same VPN, and nothing is to go beside it.", acts=("vpn kill-switch",)),
    "no-route": Scenario(
        "wwan0 is Ethernet and has its address, and no default route.",
        plan={"link_kind": "ethernet"},
        acts=("route-lost",),
    ),
    "mwan3": Scenario(
        "wwan0 is Ethernet, and policy rules as mwan3 sets them keep in what is to go by it.",
        plan={"link_kind": "ethernet"},
        acts=("mwan3 on",),
    ),
    "networkmanager": Scenario(
        "No session; NetworkManager has a connection for the modem.",
        plan={"manager": "networkmanager", "connect": False},
    ),
    "hat": Scenario(
        "No modem that ModemManager knows: a HAT that is a router of its own, at usb0.", plan={"link_kind": "hat"}
    ),
}
_DEVICE = {
    "bind-refused": Scenario(
        "The device's kernel does not let programs bind a socket to wwan0.", {"device_bind_refused": True}
    ),
    "wrong-clock": Scenario("Programs on the device take it to be twenty years ago.", {"device_clock": -7305.0}),
}
_NETWORK = {
    "lte": Scenario(
        "An ordinary day: 60 ms of round-trip time.",
        {"radio_rtt": 60.0, "radio_jitter": 10.0},
    ),
    "bad-radio": Scenario(
        "A radio at the edge of its cell: slow, lossy, and slow to wake.",
        {"radio_rtt": 400.0, "radio_jitter": 150.0, "radio_loss": 3.0, "radio_wake": 2000.0},
    ),
    "large-packets-lost": Scenario(
        "Packets of more than 1280 bytes get lost on the radio, and nobody is told.", {"radio_mtu": 1280}
    ),
    "portal": Scenario("The APN leads port 80 to its portal, and refuses port 443.", {"apn_access": "portal"}),
    "portal-tls": Scenario("The APN leads port 80 and port 443 to its portal.", {"apn_access": "portal-tls"}),
    "filtered-apn": Scenario("The APN swallows all but DNS.", {"apn_access": "filtered"}),
    "platform-down": Scenario("The platform's host does not answer the device.", {"platform_down": True}),
    "certificate-expired": Scenario("The platform's certificate has expired.", {"platform_cert": "expired"}),
    "certificate-of-another": Scenario(
        "The platform's certificate is for another host.", {"platform_cert": "other-host"}
    ),
    "authority-unknown": Scenario(
        "The platform's certificate is from an authority that nobody trusts.", {"platform_cert": "other-ca"}
    ),
    "not-mobile": Scenario("The platform does not take the address for a mobile one: 412.", {"platform_status": 412}),
    "operator-unsupported": Scenario("The platform does not serve this operator: 501.", {"platform_status": 501}),
    "wrong-operator": Scenario("The number belongs to another operator: 409.", {"platform_status": 409}),
    "rate-limited": Scenario("The platform has had enough requests: 429.", {"platform_status": 429}),
    "dns-silent": Scenario("The operator's DNS does not answer.", {"dns_fault": "silent"}),
    "dns-spoofed": Scenario("Forged answers arrive before those of the operator's DNS.", {"dns_fault": "spoofed"}),
    "redirect-loop": Scenario("The operator redirects in a circle.", {"mno_loop": True}),
    "eleven-redirects": Scenario("The operator redirects once more than is allowed.", {"mno_extra_hops": 6}),
    "token-refused": Scenario("The customer's app server does not take the device's token.", {"app_fault": "401"}),
    "app-server-down": Scenario("The customer's app server does not answer.", {"app_fault": "down"}),
    "slow-result": Scenario("A result of v0.1 that takes its time.", {"platform_pending": 2}),
}
_HANGING = {"mno_hang": True}
"""A hop that does not answer, so that a check is still under way when something happens to its link."""
_LOSS = {
    "drop": Scenario("A hop hangs; after 2 s the network ends the session.", _HANGING, acts=("later 2 drop-bearer",)),
    "unplug": Scenario("A hop hangs; after 2 s the modem is pulled.", _HANGING, acts=("later 2 unplug",)),
    "replug": Scenario(
        "A hop hangs; after 2 s the modem is pulled, and plugged in again a second later.",
        _HANGING,
        acts=("later 2 unplug", "later 3 plug"),
    ),
    "manager-stops": Scenario("A hop hangs; after 2 s ModemManager ends.", _HANGING, acts=("later 2 manager-stop",)),
    "manager-dies": Scenario("A hop hangs; after 2 s ModemManager crashes.", _HANGING, acts=("later 2 manager-kill",)),
    "link-lost": Scenario("A hop hangs; after 2 s wwan0 is set down.", _HANGING, acts=("later 2 link-down",)),
    "address-lost": Scenario(
        "A hop hangs; after 2 s wwan0 loses its address.", _HANGING, acts=("later 2 address-lost",)
    ),
    "device-gone": Scenario("A hop hangs; after 2 s wwan0 is gone.", _HANGING, acts=("later 2 device-gone",)),
}
SCENARIOS: dict[str, Scenario] = _MODEM | _DEVICE | _LINK | _LOSS | _NETWORK
"""For ``--scenario``, ``phonecheck-sandbox scenarios`` and tests."""


def named(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in SCENARIOS:
        near = difflib.get_close_matches(name, SCENARIOS, n=1)
        cure = f"Did you mean {near[0]}?" if near else "See them: phonecheck-sandbox scenarios"
        raise ValueError(f"There is no scenario {name!r}. {cure}")
    return SCENARIOS[name]
