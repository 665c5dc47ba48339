"""The map of the sandbox: who is where, and under which name. Only documentation ranges and names (RFC 5737, 2606).

device ── lan0 ── lan (router, NAT) ──────────────── internet (platform, app server, public DNS)
   └──── wwan0 ~ radio ~ pgw0 ── carrier (CGNAT, own DNS, MNO) ──┘
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from phonecheck_sandbox import secret

NODES = ("device", "lan", "carrier", "internet")

# device
LAN0 = IPv4Interface("192.168.8.20/24")
LAN0_6 = IPv6Interface("2001:db8:8::20/64")
WWAN0 = IPv4Interface("10.64.0.2/30")
WWAN0_6 = IPv6Interface("2001:db8:64:1::2/64")
WWAN0_MTU = 1430

# lan: a home router
LAN_ROUTER = IPv4Interface("192.168.8.1/24")
LAN_ROUTER_6 = IPv6Interface("2001:db8:8::1/64")
"""It has no IPv6 Internet behind it: what the device sends it by mistake is seen leaving, and goes nowhere."""
LAN_PUBLIC = IPv4Interface("192.0.2.10/24")

# carrier: what the subscribers see, and what the Internet sees of them
PGW = IPv4Interface("10.64.0.1/30")
PGW_6 = IPv6Interface("2001:db8:64:1::1/64")
SUBSCRIBERS = IPv4Network("10.64.0.0/24")
SUBSCRIBERS_6 = IPv6Network("2001:db8:64::/48")
CARRIER_DNS = (IPv4Address("10.64.1.53"), IPv4Address("10.64.2.53"))
CARRIER_DNS_6 = (IPv6Address("2001:db8:65:1::53"), IPv6Address("2001:db8:65:2::53"))
"""DNS64: where a name has no AAAA, they make one up from its A and the NAT64's prefix (RFC 6147)."""
NAT64 = IPv6Network("2001:db8:46::/96")
"""A prefix of the operator's own, so that it must be discovered (RFC 7050)."""
NAT64_POOL = IPv4Network("10.66.0.0/24")
"""What the NAT64 makes of the subscribers' addresses, on the inner side of the CGNAT."""
CARRIER_PUBLIC = IPv4Interface("203.0.113.64/24")
CARRIER_PUBLIC_RANGE = CARRIER_PUBLIC.network
MNO_PARTNER = IPv4Address("203.0.113.80")
"""Where the platform asks the MNO, over the Internet, whose token it was given."""

# internet
INTERNET_TO_LAN = IPv4Interface("192.0.2.1/24")
INTERNET_TO_CARRIER = IPv4Interface("203.0.113.1/24")
PLATFORM = IPv4Address("198.51.100.10")
APP_SERVER = IPv4Address("198.51.100.20")
PUBLIC_DNS = IPv4Address("198.51.100.53")
VPN: dict[int, IPv4Interface | IPv6Interface] = {
    4: IPv4Interface("10.200.0.2/32"),
    6: IPv6Interface("2001:db8:200::2/128"),
}
"""A VPN's end on the device, by IP version; and the other, on the internet."""
VPN_EXIT: dict[int, IPv4Interface | IPv6Interface] = {
    4: IPv4Interface("10.200.0.1/24"),
    6: IPv6Interface("2001:db8:200::1/64"),
}
INTERNET_NETWORK = IPv4Network("198.51.100.0/24")

PLATFORM_HOST = "api.platform.example"
PLATFORM_NODE_HOST = "node1.edge.platform.example"
APP_SERVER_HOST = "app.customer.example"
MNO_PARTNER_HOST = "partner.mno.example"

MNO_START_HOST = "start.mno.example"
MNO_ENRICH_HOST = "he.mno.example"
MNO_IDENTITY_HOST = "id.mno.example"
LAB_HOST = "lab.mno.example"
"""The MNO's hop from hell: every oddity a hop can show (phonecheck_sandbox/carrier/lab.py)."""
WRONG_HOST, EXPIRED_HOST, UNKNOWN_CA_HOST = (
    f"{name}.lab.mno.example" for name in ("wrong-host", "expired", "unknown-ca")
)
LAB_OTHER_HOST, TLS13_RESET_HOST, TLS13_SILENT_HOST, SLOW_TLS_HOST = (
    f"{name}.lab.mno.example" for name in ("other", "tls13-reset", "tls13-silent", "slow-tls")
)
"""The lab again with a good certificate; carrier boxes that reset or swallow a modern ClientHello; a slow handshake."""

PORTAL_HOST = "portal.mno.example"
"""Where an APN that is not open leads everybody (conditions.APN_ACCESS)."""

MNO_START_6, MNO_ENRICH_6, MNO_IDENTITY_6, LAB_6, PORTAL_6 = (
    IPv6Address(f"2001:db8:65::{n}") for n in (10, 11, 12, 20, 30)
)
MNO_START = IPv4Address("10.65.0.10")
MNO_ENRICH = IPv4Address("10.65.0.11")
MNO_IDENTITY = IPv4Address("10.65.0.12")
LAB = IPv4Address("10.65.0.20")
PORTAL = IPv4Address("10.65.0.30")

PUBLIC_NAMES: dict[str, IPv4Address] = {
    PLATFORM_HOST: PLATFORM,
    APP_SERVER_HOST: APP_SERVER,
    MNO_PARTNER_HOST: MNO_PARTNER,
}
CARRIER_NAMES: dict[str, IPv4Address] = {
    **PUBLIC_NAMES,
    MNO_START_HOST: MNO_START,
    MNO_ENRICH_HOST: MNO_ENRICH,
    MNO_IDENTITY_HOST: MNO_IDENTITY,
    PORTAL_HOST: PORTAL,
    LAB_HOST: LAB,
    WRONG_HOST: LAB,
    EXPIRED_HOST: LAB,
    UNKNOWN_CA_HOST: LAB,
    LAB_OTHER_HOST: LAB,
    TLS13_RESET_HOST: LAB,
    TLS13_SILENT_HOST: LAB,
    SLOW_TLS_HOST: LAB,
    PLATFORM_NODE_HOST: PLATFORM,
}
"""What the carrier's DNS answers: the public names, and its own, which exist nowhere else."""
CARRIER_NAMES_6: dict[str, IPv6Address] = {
    MNO_START_HOST: MNO_START_6,
    MNO_ENRICH_HOST: MNO_ENRICH_6,
    MNO_IDENTITY_HOST: MNO_IDENTITY_6,
    PORTAL_HOST: PORTAL_6,
    **{name: LAB_6 for name, address in CARRIER_NAMES.items() if address == LAB},
}
"""Its AAAA. The platform, like much of the Internet, has none."""
CARRIER_ALIASES: dict[str, str] = {
    PLATFORM_HOST: "api.edge.platform.example",
    "api.edge.platform.example": PLATFORM_NODE_HOST,
}
"""CNAMEs of the carrier's DNS: the platform sits behind two, as behind a content network."""

APP_REDIRECT_URL = f"https://{APP_SERVER_HOST}/v0.2/phone-check/exchange-code"
"""Where a v0.2 chain ends with ``platform_redirect_url``; for the agent's ``server.redirect_url``."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A SIM of the carrier, and the addresses its session has. ``msisdn`` is E.164 without ``+``."""

    msisdn: str
    imsi: str
    iccid: str
    imei: str
    address: IPv4Address
    address6: IPv6Address


OPERATOR_CODE = "00101"
OPERATOR_NAME = "Sandbox Mobile"
SUBSCRIBER = Subscriber(
    "447700900123", "001010123456789", "8944001012345678909", "867223029999992", WWAN0.ip, WWAN0_6.ip
)
OTHER_SUBSCRIBER = Subscriber(
    *("447700900456", "001010987654321", "8944001019876543211", "867223021111118"),
    IPv4Address("10.64.0.6"),
    IPv6Address("2001:db8:64:2::2"),
)
"""Another customer of the same carrier; with ``--modems 2``, the SIM of the second modem."""
SIMS = (SUBSCRIBER, OTHER_SUBSCRIBER)
"""In the order of the modems that they are in at first."""
REPORT_PATH = "/v0.2/phone-check/report"
SUBSCRIBERS_BY_ADDRESS: dict[IPv4Address | IPv6Address, Subscriber] = {
    address: s for s in (SUBSCRIBER, OTHER_SUBSCRIBER) for address in (s.address, s.address6)
}
CARRIER_NUMBERS = "447700900"
"""Numbers that start so belong to this carrier; others are another MNO's, for which the platform answers 409."""

CLIENT_ID, CLIENT_SECRET = "sandbox-project", f"{secret.MARK}-client"
SERVER_TOKEN = f"{secret.MARK}-device-token"


def through_nat64(address: IPv4Address) -> IPv6Address:
    """The address by which the NAT64 reaches an IPv4 address: the last 32 bits of a /96 (RFC 6052, 2.2)."""
    return NAT64[int(address)]
