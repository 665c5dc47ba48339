"""What is out of the ordinary in the sandbox at the moment: one flat set of knobs.

The supervisor holds the truth and sends it whole to each process on a change (``phonecheck-sandbox ctl set KEY=VALUE``);
servers, radio and DNS read it at each request, so a change acts at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, get_type_hints

DNS_FAULTS = (
    *("silent", "first-silent", "nxdomain", "servfail", "formerr", "truncated", "spoofed"),
    *("rebind-loopback", "rebind-lan"),
)
"""Of the carrier's DNS. ``formerr`` is its answer to EDNS; ``truncated`` and ``spoofed`` are UDP's."""
APP_FAULTS = (
    *("down", "slow", "401", "403", "404", "429", "429-once", "500", "not-json", "not-object", "redirect", "oversize"),
    *("check-url-http", "check-url-userinfo", "check-url-no-host", "check-url-loopback", "check-url-missing"),
    *("finish-500", "finish-redirect"),
    *("report-slow", "report-down", "report-lost", "report-401", "report-404", "report-429", "report-500"),
)
"""Of the app server: its answers by status or shape, the check URLs it hands out, and what is wrong only at the finish or
only for reports. ``report-lost`` takes the report and loses the answer; ``report-429`` asks to wait five seconds."""

APN_ACCESS = ("portal", "portal-tls", "filtered")
"""What an APN lets its subscribers have. Both portals answer port 80 of every host; port 443 is refused with the first, and
answered with the portal's own certificate with the second. ``filtered`` drops all but DNS and the portal, silently."""
PLATFORM_CERTS = ("expired", "not-yet-valid", "other-host", "other-ca")
"""What is wrong with the platform's certificate."""

_WORDS = {
    "dns_fault": DNS_FAULTS,
    "app_fault": APP_FAULTS,
    "radio_black_hole": ("4", "6"),
    "apn_access": APN_ACCESS,
    "platform_cert": PLATFORM_CERTS,
}
_BOUNDS = {
    **dict.fromkeys(("radio_rtt", "radio_jitter", "radio_wake"), (0, 600_000)),
    "radio_loss": (0, 100),
    "radio_rate": (0, 10_000_000),
    "device_clock": (-20_000, 20_000),
    "radio_mtu": (0, 65_535),
    "platform_ttl": (1, 3600),
    **dict.fromkeys(("platform_pending", "mno_extra_hops"), (0, 10_000)),
}
_STATUSES = {"platform_status": 400, "platform_create_status": 400, "mno_status": 200}
"""From which HTTP status on they make sense; 0 is none."""


@dataclass(slots=True)
class Conditions:
    """Every knob, at its ordinary setting. Times are in milliseconds unless a name says otherwise."""

    radio_rtt: float = 0.0
    """Round-trip time that the radio adds."""
    radio_jitter: float = 0.0
    """Up to so much more for a packet, at random, each way."""
    radio_loss: float = 0.0
    """Per cent of the packets lost, each way."""
    radio_rate: float = 0.0
    """Kilobits a second each way; 0 is without a limit."""
    radio_wake: float = 0.0
    """What the first packet waits after ten seconds of silence."""
    radio_dead: bool = False
    """The radio swallows everything."""
    radio_black_hole: str = ""
    """The radio swallows one family of packets: 4 or 6."""
    radio_mtu: int = 0
    """The radio swallows IP packets of more bytes than this, each way, and tells nobody; 0 is without a limit."""

    apn_access: str = ""
    """One of APN_ACCESS, for connections made from now on."""

    dns_fault: str = ""
    """One of DNS_FAULTS."""

    platform_down: bool = False
    """The platform's host answers no packet from outside; the app server, which sits beside it, still reaches it."""
    platform_cert: str = ""
    """One of PLATFORM_CERTS, shown to whoever comes from outside; not to the app server."""
    platform_status: int = 0
    """Answer the check URL with this: 400 404 409 412 429 500 501."""
    platform_create_status: int = 0
    """Answer the creation of a check with this."""
    platform_ttl: int = 60
    """Seconds a check lives."""
    platform_pending: int = 0
    """So many GETs of a v0.1 result find it PENDING."""
    platform_error: str = ""
    """End a v0.2 chain with this in-body error, at HTTP 200 (mno_redirect_unsupported, mno_timeout …)."""
    platform_redirect_url: bool = False
    """v0.2: create checks with the app server's own redirect_url."""

    mno_extra_hops: int = 0
    """So many further redirects inside the MNO."""
    mno_loop: bool = False
    """The MNO redirects in a circle."""
    mno_status: int = 0
    """The MNO's first hop answers with this status."""
    mno_hang: bool = False
    """The MNO's first hop never answers."""

    device_bind_refused: bool = False
    """Programs on the device may not bind a socket to an interface (SO_BINDTODEVICE); for those started from now on."""
    device_clock: float = 0.0
    """Days by which their clock is ahead, less than 0 for behind; likewise. Servers keep theirs."""

    app_fault: str = ""
    """One of APP_FAULTS."""

    @classmethod
    def parse(cls, pairs: list[str], base: Conditions | None = None) -> Conditions:
        """Apply ``KEY=VALUE`` texts; ``-`` and ``_`` are alike in a key.

        Raises:
            ValueError: an unknown key or a value of another kind, said in a sentence.
        """
        values = dataclasses.asdict(base or cls())
        kinds = get_type_hints(cls)
        for pair in pairs:
            key, equals, text = pair.partition("=")
            key = key.strip().replace("-", "_")
            if not equals or key not in kinds:
                raise ValueError(f"unknown condition {key!r}; known are: {', '.join(kinds)}")
            values[key] = _read(kinds[key], key, text.strip())
        read = cls(**values)
        read.check()
        return read

    def check(self) -> None:
        """See that a condition can be: one that nothing acts on would be taken for one that changes nothing.

        Raises:
            ValueError: the first value that cannot, said in a sentence.
        """
        for key, words in _WORDS.items():
            if getattr(self, key) not in ("", *words):
                raise ValueError(f"{key} takes one of these, or nothing: {', '.join(words)}")
        for key, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, key) <= most:  # NaN is in no interval
                raise ValueError(f"{key} takes a number from {least} to {most}")
        for key, least in _STATUSES.items():
            if getattr(self, key) and not least <= getattr(self, key) <= 599:
                raise ValueError(f"{key} takes an HTTP status from {least} to 599, or 0")

    def update(self, values: dict[str, Any]) -> None:
        """Take over all values of another set, in place."""
        for key, value in values.items():
            setattr(self, key, value)


def _read(kind: type, key: str, text: str) -> str | float | bool:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError(f"{key} takes yes or no")
        return text.lower() in ("true", "1", "yes")
    try:
        return text if kind is str else kind(text)
    except ValueError:
        raise ValueError(f"{key} takes a number") from None
